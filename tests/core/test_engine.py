"""The engine: alive or loud, linear, safe to share, at home in any text."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random

import pytest
from dead_sets import dead_sets

from guard_integrations import GuardBlocked, GuardPolicy, GuardUnavailable, InputSanitizer, OutputSanitizer
from guard_integrations.core.findings import Action
from guard_integrations.core.scanner import linear, resolver
from guard_integrations.core.scanner.context import CONTEXT
from guard_integrations.core.scanner.engine import CompiledRule, RuleSet
from guard_integrations.core.scanner.rule import Context, Rule, Run, load_pack, rules_of
from guard_integrations.core.scanner.session import RuleDetector
from guard_integrations.core.scanner.treatment import MAX_VALUE, Treatment

BASIC_IN, BASIC_OUT = InputSanitizer(GuardPolicy.basic()), OutputSanitizer(GuardPolicy.basic())


def a_rule(**fields):
    return Rule(
        **{
            "id": "mine",
            "category": "pii",
            "severity": "low",
            "label": "[MINE]",
            "rationale": "a test",
            "examples": ("x",),
            "stages": frozenset({"output"}),
            "profiles": frozenset({"balanced"}),
            **fields,
        }
    )


def detector(*rules, action=Action.FILTER, replace=None):
    return RuleDetector(
        RuleSet(rules), {rule.id: Treatment(action=action, label=rule.label, replace=replace) for rule in rules}
    )


@pytest.mark.parametrize("answer", [None, []])
def test_a_set_that_ran_out_of_memory_lets_nothing_through(monkeypatch, answer):
    # This is what RE2 reports then: no match, not even the one that every text is.
    monkeypatch.setattr(linear.re2, "Set", dead_sets(answer))
    rules = RuleSet(rules_of(GuardPolicy(), "output"))
    with pytest.raises(GuardUnavailable, match="out of memory"):
        rules.stretches(b"john.doe@example.com")


def test_a_set_of_context_words_that_ran_out_of_memory_lets_nothing_through(monkeypatch):
    rules = [one for one in rules_of(GuardPolicy(), "output") if one.waits]
    monkeypatch.setattr(linear.re2, "Set", dead_sets([]))
    waiting = RuleSet(rules)
    with pytest.raises(GuardUnavailable, match="out of memory"):
        waiting.stretches(b"call 612345678, passport C01X00T47, 90210")


@pytest.mark.parametrize("module", ["raise ImportError", "def compile(pattern): ..."])
def test_without_the_engine_the_error_says_what_to_do(tmp_path, module):
    (tmp_path / "re2.py").write_text(module)
    code = "import guard_integrations"
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)}
    )
    assert "GuardUnavailable" in done.stderr
    assert "pip install" in done.stderr


@pytest.mark.parametrize("text", ["\ud800", "\udfff a@b.co \ud83d", "\ud83d\ude00 078-05-1120", "\x00", "", "é" * 9])
def test_any_string_is_scanned(text):
    assert "078" not in BASIC_OUT.sanitize(text).text
    assert "@" not in BASIC_OUT.sanitize(text).text
    BASIC_IN.sanitize(text)


def test_offsets_are_characters_of_the_callers_text():
    text = "漢😀é\ud800 a@b.co ß 078-05-1120"
    assert [text[found.start : found.end] for found in BASIC_OUT.sanitize(text).findings] == ["a@b.co", "078-05-1120"]


@pytest.mark.parametrize("unit", ["forget ", "<script", "</script ", "a@", "instructions", "1-", "[EMAIL]", "é@b.co "])
@pytest.mark.parametrize("call", [BASIC_IN.sanitize, BASIC_OUT.sanitize, InputSanitizer().sanitize])
def test_ten_times_the_text_is_about_ten_times_the_work(unit, call):
    def once(text):
        with suppress(GuardBlocked, GuardUnavailable):  # a refusal is an answer, too
            call(text)

    def cost(length):
        text = (unit * length)[:length]
        once(text)
        return min(timed(lambda: once(text)) for _ in range(3))

    assert cost(160_000) < 40 * max(cost(16_000), 2e-4)


def timed(call):
    start = time.thread_time()
    call()
    return time.thread_time() - start


def test_a_long_text_is_searched_in_windows_and_nothing_falls_between_them():
    for at in (8184, 8190, 8191, 8192, 8193, 16384, 30000):
        text = ("é " * 30000)[:at] + " a@b.co " + "x " * 20000
        assert [text[found.start : found.end] for found in BASIC_OUT.sanitize(text).findings] == ["a@b.co"]


def test_one_sanitizer_serves_many_threads():
    text = "Mail a@b.co, ssn 078-05-1120, <script>x</script> é " * 50
    expected = BASIC_OUT.sanitize(text)

    def streamed(_):
        stream = BASIC_OUT.stream()
        return "".join([stream.feed(text[at : at + 7]) for at in range(0, len(text), 7)]) + stream.finish()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(streamed, range(32))) == {expected.text}


def test_memory_stays_bounded_while_a_tail_swallows():
    stream = BASIC_OUT.stream()
    stream.feed("<script>")
    for _ in range(2000):
        assert stream.feed("alert(1);" * 20) == ""
    for one in stream._passes:
        assert len(one._raw) < 10_000
        assert all(len(session._data) < 10_000 for session in one._sessions)
    assert stream.feed("</script> done.\n") == " done.\n"


def test_a_value_that_outgrows_its_cap_is_hidden_and_said():
    rule = a_rule(pattern="key:", tail=({"run": "[a-z]"},))
    rule = load(rule)
    long, short = "key:" + "a" * (MAX_VALUE + 1), "key:" + "a" * 50
    made = detector(rule, replace=lambda value: f"<{len(value)}>")
    for text, label, rules in ((short, "<54>", ["mine"]), (long, "[MINE]", ["value-too-long", "mine"])):
        step = made.start().feed(text, final=True)
        assert [edit.text for edit in step.edits] == [label]
        assert [found.rule for found in step.findings] == rules
        session = made.start()
        steps = [session.feed(char) for char in text] + [session.feed("", final=True)]
        assert [edit.text for step in steps for edit in step.edits if not edit.continues] == [label]
        assert [found.rule for step in steps for found in step.findings] == rules


def load(rule):
    """The rule with its tail as the loader makes it."""
    from guard_integrations.core.scanner.rule import Run, Until  # noqa: PLC0415 - only here

    tail = tuple(Run(**phase) if "run" in phase else Until(**phase) for phase in rule.tail)
    return a_rule(pattern=rule.pattern, tail=tail)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_run_takes_no_more_than_it_may(size):
    rule = load(a_rule(pattern="<", tail=({"run": "[aé]", "most": 2}, {"run": "[!]", "most": 1})))
    text = "<éaé <a! <!! <é"
    session = detector(rule).start()
    steps = [session.feed(text[at : at + size]) for at in range(0, len(text), size)] + [session.feed("", final=True)]
    spans = [(found.start, found.end) for step in steps for found in step.findings]
    assert [text[start:end] for start, end in spans] == ["<éa", "<a!", "<!", "<é"]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_terminator_that_could_be_longer_is_waited_for(size):
    rule = load(a_rule(pattern="<<", tail=({"until": r"END\d{0,3}"},)))
    text = "a<<bENDx <<c END12 <<d END1234 <<e EN"
    whole = detector(rule).start().feed(text, final=True)
    session = detector(rule).start()
    steps = [session.feed(text[at : at + size]) for at in range(0, len(text), size)] + [session.feed("", final=True)]
    assert [found for step in steps for found in step.findings] == list(whole.findings)
    assert [(found.start, found.end) for found in whole.findings] == [(1, 7), (9, 18), (19, 29), (31, 37)]


def test_context_words_raise_and_lower(tmp_path):
    pack = tmp_path / "pack.toml"
    pack.write_text(
        """
        [[rule]]
        id = "number"
        category = "pii"
        severity = "low"
        label = "[NUMBER]"
        pattern = '\\b\\d{6}\\b'
        score = 0.3
        context = { raises = ["passport", "電話"], lowers = ["order"], by = 0.4 }
        rationale = "a test"
        examples = ["passport 123456"]
        counterexamples = ["123456"]
        stages = ["output"]
        profiles = ["balanced"]
        """
    )
    made = OutputSanitizer(GuardPolicy(rule_packs=(pack,)))
    assert load_pack(pack)[0].context.raises == ("passport", "電話")
    for text, clean in [
        ("My Passport: 123456", "My Passport: [NUMBER]"),
        ("電話は123456", "電話は[NUMBER]"),
        ("passport order 123456", "passport order 123456"),
        ("passports 123456", "passports 123456"),
        ("passport " + "x " * 40 + "123456", None),
        ("123456", None),
    ]:
        assert made.sanitize(text).text == (clean or text)


def test_a_block_says_rules_and_not_the_text():
    with pytest.raises(GuardBlocked) as caught:
        OutputSanitizer(GuardPolicy(actions={"pii": "block"})).sanitize("I am a@b.co")
    assert caught.value.rules == ("email",)
    assert "a@b.co" not in repr(caught.value) + str(caught.value)


def test_too_many_matches_are_refused(monkeypatch):
    monkeypatch.setattr(resolver, "MAX_MATCHES", 50)
    text = "a@b.co " * 60
    assert OutputSanitizer().sanitize(text[: 7 * 50]).text == "[EMAIL] " * 50
    with pytest.raises(GuardBlocked) as caught:
        OutputSanitizer().sanitize(text)
    assert caught.value.rules == ("too-many-findings",)
    stream = OutputSanitizer().stream()
    with pytest.raises(GuardBlocked):
        [*map(stream.feed, text)]


def test_the_public_interface_of_the_engine_serves_as_well(monkeypatch):
    patterns = [r"a\d{1,3}", r"(?:b|bc)\z", r"\bx"]
    data = b"a123 xa1 bc"
    direct = [linear.compile_pattern(pattern) for pattern in patterns]
    assert linear._DIRECT is not None
    monkeypatch.setattr(linear, "_DIRECT", None)
    for pattern, one in zip(patterns, direct, strict=True):
        public = linear.compile_pattern(pattern)
        for start in range(len(data) + 1):
            assert public.search(data, start, len(data)) == one.search(data, start, len(data))
            assert public.match(data, start, len(data)) == one.match(data, start, len(data))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("replace", [None, lambda value: f"<{len(value)}>"])
def test_what_is_kept_stays_and_the_match_begins_after_it(size, replace):
    rule = a_rule(pattern=r"[a-z0-9]{4,20}\b", keep=r"\bpass(?:word|phrase)?\s{0,2}[:=]\s{0,2}", lead=r"\W")
    made = detector(rule, a_rule(id="other", pattern=r"\b\d{3}-\d{2}\b"), replace=replace)
    text = "é password: abcd, pass=x1y2z3 xpass=abcd passphrase = 123-45 pass=pass=abcd password: 12"
    whole = made.start().feed(text, final=True)
    assert [text[found.start : found.end] for found in whole.findings] == ["abcd", "x1y2z3", "123-45", "pass"]
    session = made.start()
    steps = [session.feed(text[at : at + size]) for at in range(0, len(text), size)] + [session.feed("", final=True)]
    assert sorted(found for step in steps for found in [(f.start, f.end) for f in step.findings]) == sorted(
        (f.start, f.end) for f in whole.findings
    )
    assert [edit for step in steps for edit in step.edits] == list(whole.edits)


@pytest.mark.parametrize(
    ("before", "counts"), [("post card", True), ("postcard", False), ("[card", False), ("card", True)]
)
def test_no_half_of_a_word_counts_where_the_context_begins(before, counts):
    raised = a_rule(id="raised", pattern=r"\b\d{4}\b", score=0.2, context=Context(raises=("card",)))
    lowered = a_rule(id="lowered", pattern=r"\b[a-f]{4}\b", score=0.6, context=Context(lowers=("card",)))
    beginning = f"{before} ".ljust(len(before) - len("card") + CONTEXT, ".")
    for text, found in [("1234", counts), ("abcd", not counts), (".1234", False), (".abcd", True)]:
        assert bool(detector(raised, lowered).start().feed(beginning + text, final=True).findings) is found


def test_a_waiting_rule_is_looked_for_only_beside_its_words(tmp_path):
    context = {"raises": ("number",), "lowers": ("order", "order number")}
    waiting = a_rule(id="waiting", pattern=r"\b\d{4}\b", score=0.2, context=Context(**context))
    labelled = a_rule(id="labelled", pattern=r"\bxx\b", label="the number")
    bracketed = a_rule(id="bracketed", pattern=r"\byy\b", label="[NUMBER]")
    rules = [waiting, labelled, bracketed]
    for text, found in [
        ("number 1234", ["1234"]),
        ("1234", []),
        ("a number, 1234 of them, and 4321", ["1234", "4321"]),
        ("order number 1234", []),
        ("number of the order 1234", []),
        ("order of 5, number 1234", ["1234"]),
        ("xx 1234", ["xx", "1234"]),
        ("yy 1234", ["yy"]),
    ]:
        made = detector(*rules)
        step = made.start().feed(text, final=True)
        assert [text[one.start : one.end] for one in step.findings] == found
        session = made.start()
        steps = [session.feed(char) for char in text] + [session.feed("", final=True)]
        assert [one for step in steps for one in step.findings] == list(step.findings)


def test_what_may_yet_be_cut_short_is_not_decided():
    first = a_rule(id="first", pattern=r"q-\d\d")
    number = a_rule(id="number", lead="-", pattern=r"\d{1,9}", validator="luhn")
    beside = a_rule(id="beside", lead=r"\]", pattern="7x{1,3}")
    made = detector(first, number, beside)
    text = "q-187xx."
    whole = made.start().feed(text, final=True)
    assert [(one.rule, text[one.start : one.end]) for one in whole.findings] == [
        ("first", "q-18"),
        ("number", "18"),
        ("beside", "7xx"),
    ]
    session = made.start()
    steps = [session.feed(char) for char in text] + [session.feed("", final=True)]
    found = [one for step in steps for one in step.findings]
    assert sorted(found, key=lambda one: one.start) == list(whole.findings)


def test_what_is_found_beside_labels_does_not_make_the_search_grow(monkeypatch):
    """Each head that begins right after a label brought the rule's next one, which its search had in the queue already."""
    rules = [rule for rule in rules_of(GuardPolicy(), "output") if rule.category == "pii"]
    treatments = {rule.id: Treatment(action=Action.FILTER, label=rule.label) for rule in rules}
    calls = []
    find = CompiledRule.find
    monkeypatch.setattr(CompiledRule, "find", lambda *arguments: calls.append(1) or find(*arguments))
    parts = ["call ", "12.12.", "4111-", "0151/", "1234 5678 "]
    numbers = []
    for size in (1000, 8000):
        calls.clear()
        text = "".join(Random(1).choices(parts, k=size))  # noqa: S311 - no secret
        RuleDetector(RuleSet(rules), treatments).start().feed(text, final=True)
        numbers.append(len(calls))
    assert numbers[1] < 9 * numbers[0]


def test_a_value_beside_a_label_that_is_not_all_there_is_looked_for_again():
    first = a_rule(id="first", pattern=r"q-\d\dE", label="[FIRST]")
    tailed = a_rule(id="tailed", lead=r"\W", pattern="key_", tail=(Run(run="[a-z]"),))
    text = "q-18Ekey_abc def"
    made = RuleDetector(
        RuleSet([first, tailed]),
        {rule.id: Treatment(action=Action.FILTER, label=rule.label) for rule in (first, tailed)},
        allowed=frozenset({"something else"}),
    )
    whole = made.start().feed(text, final=True)
    assert [text[one.start : one.end] for one in whole.findings] == ["q-18E", "key_abc"]
    session = made.start()
    steps = [session.feed(char) for char in text] + [session.feed("", final=True)]
    assert [edit for step in steps for edit in step.edits] == list(whole.edits)
