import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard_integrations.core.moderation.decision import ModerationResult
from guard_integrations.core.moderation.windows import OVERLAP, Hold, Window, gate_for
from guard_integrations.errors import GuardBlocked

SAFE = ModerationResult(safe=True)
UNSAFE = ModerationResult(safe=False)
HARM = "¡"

CHUNKS = st.lists(
    st.sampled_from(["", " ", "word ", "A sentence. ", "x" * 50, "y" * 300, "\n", f"{HARM} "]), max_size=60
)


@given(CHUNKS, st.sampled_from(["window", "buffer"]), st.integers(2, 120), st.randoms(use_true_random=False))
def test_whatever_the_chunks_and_the_order_of_verdicts_nothing_leaves_before_its_own(chunks, mode, size, random):
    gate = gate_for(mode, str, size=size)
    judged, out = [], []
    passed = 0
    blocked = False

    def some_verdicts(most):
        nonlocal blocked, passed
        for _ in range(random.randint(0, most)):
            if not judged or blocked:
                return
            window = judged.pop(random.randrange(len(judged)))
            if HARM in window.text:
                blocked = True
                with pytest.raises(GuardBlocked):
                    gate.verdict(window, UNSAFE)
            else:
                gate.verdict(window, SAFE)
            out.extend(gate.ready())

    for chunk in chunks:
        window = gate.feed(chunk)
        if window is not None and window.text is not None:
            judged.append(window)
        out.extend(gate.ready())
        some_verdicts(2)
    last = gate.finish()
    if last is not None and last.text is not None:
        judged.append(last)
    out.extend(gate.ready())
    while judged and not blocked:
        some_verdicts(3)
    harmful = any(HARM in chunk for chunk in chunks)
    assert blocked is harmful
    assert out == chunks[: len(out)]
    assert HARM not in "".join(out)
    if not harmful:
        assert out == chunks


@given(CHUNKS, st.integers(2, 120))
def test_every_character_is_judged_and_a_border_is_judged_from_both_sides(chunks, size):
    gate = gate_for("window", str, size=size)
    windows = [window for window in (*map(gate.feed, chunks), gate.finish()) if window]
    text = ""
    for number, window in enumerate(windows):
        own = "".join(window.items)
        assert window.text == (text[-OVERLAP:] + own if own.strip() else None)
        # The piece that completed it is whole, so a window may pass its size by less than that piece.
        assert len(own) - len(window.items[-1]) < max(1, size // (4, 2, 1)[min(number, 2)])
        text += own
    assert text == "".join(chunks)


@given(CHUNKS)
def test_after_lets_everything_out_and_judges_all_of_it(chunks):
    gate = gate_for("after", str)
    out = []
    for chunk in chunks:
        assert gate.feed(chunk) is None
        out += gate.ready()
    assert out == chunks
    window = gate.finish()
    assert (window.text if window else "").strip() == "".join(chunks).strip()
    if window:
        with pytest.raises(GuardBlocked):
            gate.verdict(window, UNSAFE)


@given(st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_what_is_held_leaves_with_the_verdict_and_not_before(before, after):
    gate = Hold()
    for item in before:
        gate.feed(item)
        assert gate.ready() == []
    window = Window(items=[], text=None)
    with pytest.raises(GuardBlocked):
        gate.verdict(window, UNSAFE)
    assert gate.ready() == []
    gate.verdict(window, SAFE)
    assert gate.ready() == before
    for item in after:
        gate.feed(item)
        assert gate.ready() == [item]
