"""What names are, and where values come from."""

import ast
import textwrap

import pytest

from guard_integrations.audit.python import PythonModule


def module(code: str) -> PythonModule:
    return PythonModule(ast.parse(textwrap.dedent(code)))


def sink(read: PythonModule) -> ast.expr:
    """The argument of `sink(...)`."""
    return next(call.args[0] for call in read.calls if isinstance(call.func, ast.Name) and call.func.id == "sink")


def origins(code: str, stop: tuple[str, ...] = ()) -> set[str]:
    read = module(code)
    found = read.origins(sink(read), stop=lambda call: read.name(call.func) in stop)
    return {node.arg if isinstance(node, ast.arg) else ast.unparse(node) for node in found}


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("from mistralai import Mistral as M\nclient = M()\nsink(client.chat.complete)", "mistralai.Mistral().chat.complete"),
        ("import mistralai.client as m\nsink(m.Mistral)", "mistralai.client.Mistral"),
        ("import os.path\nsink(os.path.join)", "os.path.join"),
        ("def f(llm: ChatMistralAI | None):\n    sink(llm.invoke)", "ChatMistralAI().invoke"),
        (
            "from a import B\nclass C:\n    def __init__(self):\n        self.b = B()\n    def f(self):\n        sink(self.b.go)",
            "a.B().go",
        ),
        ("from a import B\nwith B() as b:\n    sink(b.go)", "a.B().go"),
        ("from .guards import check\nsink(check)", ".guards.check"),
        ("sink(eval)", "eval"),
        ("def eval(x): ...\nfrom a import f\nsink(f().g)", "a.f().g"),
        ("x = y\ny = x\nsink(x)", ""),
    ],
)  # fmt: skip
def test_a_name_is_what_was_imported(code, name):
    read = module(code)
    assert read.name(sink(read)) == name


def test_a_value_is_followed_through_the_function():
    assert origins('def f(question):\n    text = f"Answer: {question}"\n    sink([{"content": text.strip()}])') >= {
        "question"
    }


def test_what_a_name_stood_for_before_is_forgotten():
    assert origins("def f(q):\n    q = 'fixed'\n    sink(q)") == {"'fixed'"}


def test_branches_are_joined_and_those_that_leave_drop_out():
    assert origins("def f(a, b):\n    x = a\n    if b:\n        x = 'c'\n    sink(x)") == {"a", "'c'"}
    assert origins("def f(a, b):\n    x = a\n    if b:\n        x = b\n        return\n    sink(x)") == {"a"}


def test_a_loop_carries_a_value_round():
    assert "b" in origins("def f(b):\n    x = 'a'\n    for _ in y:\n        sink(x)\n        x = b")


def test_what_is_put_into_a_container_is_part_of_it():
    assert "q" in origins("def f(q):\n    messages = []\n    messages.append({'content': q})\n    sink(messages)")
    assert "q" in origins("def f(q):\n    state = {}\n    state['q'] = q\n    sink(state)")
    assert origins("history = ['a']\ndef f(q):\n    history.append(q)\n    sink(history)") == {"'a'", "q"}


def test_a_guard_stops_what_goes_in():
    code = "def f(q):\n    q = guard(q)\n    sink('x' + q)"
    assert "q" in origins(code)
    assert "q" not in origins(code, stop=("guard",))


def test_outer_functions_and_the_module_are_seen():
    assert origins("def f(q):\n    def g():\n        sink(q)\n    return g") == {"q"}
    assert origins("import os\nx = os.environ['a']\ndef f():\n    sink(x)") == {"os.environ"}


def test_try_with_match_and_walrus_bind():
    assert "e" not in origins("def f(a):\n    try:\n        x = a\n    except E as e:\n        x = 'n'\n    sink(x)")
    assert "a" in origins("def f(a):\n    match a:\n        case {'q': q}:\n            sink(q)")
    assert "a" in origins("def f(a):\n    if (n := a):\n        sink(n)")


def test_the_parts_of_a_pipe_are_found():
    read = module("chain = a | b\nsink(chain | c)")
    assert [ast.unparse(stage) for stage in read.stages(sink(read))] == ["a", "b", "c"]


def test_names_that_go_in_circles_end():
    assert origins("def f(x):\n    while x:\n        x = x + x\n    sink(x)") == {"x"}
