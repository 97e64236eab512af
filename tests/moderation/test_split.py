from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from guard_integrations.core.moderation.split import group, scrub, size, split

LIMIT = 1024
TEXTS = st.lists(
    st.sampled_from(["word ", "Done. ", "\n", "x" * 700, "é" * 90, "末。", "🙂", '"Really?" ', "a"]), max_size=400
).map("".join)


@given(TEXTS)
def test_pieces_cover_the_text_and_fit(text):
    spans = split(text, LIMIT)
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    for start, end in spans:
        assert size(text[start:end]) <= LIMIT
    for (start, end), (after, later) in pairwise(spans):
        assert start < after <= end < later


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_whole_sentences_stay_whole(lengths):
    sentences = [f"{'a' * length}. " for length in lengths]
    text = "".join(sentences)
    pieces = [text[start:end] for start, end in split(text, LIMIT)]
    assert "".join(pieces) == text
    assert all(piece.endswith(". ") for piece in pieces)


def test_what_a_cut_goes_through_is_read_whole_once():
    text = "".join(chr(97 + i % 26) for i in range(5_000))
    pieces = [text[start:end] for start, end in split(text, LIMIT)]
    for at in range(len(text) - 100):
        assert any(text[at : at + 100] in piece for piece in pieces)


@given(st.lists(st.integers(0, 2_000), max_size=100))
def test_groups_keep_order_and_bounds(sizes):
    groups = group(sizes, limit=LIMIT, most=8)
    assert [index for run in groups for index in run] == list(range(len(sizes)))
    for run in groups:
        assert 1 <= len(run) <= 8
        assert len(run) == 1 or sum(sizes[index] for index in run) <= LIMIT


@given(st.text(alphabet=st.characters(categories=None), max_size=50))
def test_what_cannot_be_sent_is_replaced_one_for_one(text):
    sent = scrub(text)
    sent.encode()
    assert len(sent) == len(text)
