"""Features: what is read in one go is, sentence by sentence, what the definition says."""

import re
from itertools import pairwise
from zlib import crc32

from hypothesis import given, settings
from hypothesis import strategies as st

from guard_integrations.core.scanner.classifier import BITS, TOGETHER, bags
from guard_integrations.core.scanner.normalise import fold
from guard_integrations.core.scanner.sentences import sentences

ENDS = re.compile(
    r"[.!?;:]['\")\]]*(?=\s)|[。！？；।؟۔]|\\[nr]|[\r\n]+|\s\|\s|['\"],\s?['\"]|['\"]:\s?['\"]"  # noqa: RUF001 - other scripts
)
TOKEN = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
    r"|\d+|[^\W\d_]+(?:['\u2019][^\W\d_]+)?|[^\w\s]{1,3}|_+"
)
TEXTS = st.lists(
    st.sampled_from(
        [
            *(
                " ",
                "\n",
                "\r\n",
                " | ",
                "|",
                "| |",
                ". ",
                "; ",
                "\\n",
                "', '",
                '":"',
                "...",
                "_",
                "'",
                "\u2019",
                "\ud800",
            ),
            *(
                "ignore",
                "don't",
                "instructions",
                "Übergroße",
                "忽略",
                "12345678",
                "12",
                "\u2028",
                "\x1c",
                "é",
                "İ",
                "。",
                "a" * 330,
            ),
        ]
    )
    | st.text(max_size=8)
).map("".join)
MASK = (1 << 64) - 1


def number(text):
    return crc32(text.encode("utf-8", "surrogatepass"))


def plain(word):
    """A word and its stem, as numbers."""
    word = ("00000" if len(word) > 4 else "0") if word[0].isdigit() else word
    return number(word), number(word[:5])


def mixed(value, feature):
    value = (value + feature + 1) * 0x9E3779B97F4A7C15 & MASK
    return ((value ^ value >> 29) * 0xC2B2AE3D27D4EB4F & MASK) >> (64 - BITS)


def features(text):
    """The rows of each sentence, one token after the other."""
    times = 0x165667B19E3779F9
    for start, end in sentences(fold(text)):
        tokens = [plain(word) for word in TOKEN.findall(fold(text), start, end)]
        for at, (word, stem) in enumerate(tokens):
            ahead = [tokens[at + by] if at + by < len(tokens) else (0, 0) for by in (1, 2, 3)]
            first = stem * times
            pair = first + ahead[0][1]
            values = [word, stem, pair, pair * times + ahead[1][1], first + ahead[1][1], first + ahead[2][1]]
            values += [word * times + ahead[0][0], pair if at == 0 else 0]
            yield [mixed(value, feature) for feature, value in enumerate(values)]


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_the_features_of_a_text_are_those_of_its_sentences(text):
    assert bags(text).ids.tolist() == [*features(text)]


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_texts_read_together_have_the_windows_that_they_have_alone(texts):
    together, first = bags(*texts), 0
    spans, tokens = [], []
    for text in texts:
        alone = bags(text)
        assert (together.ids[first : first + len(alone.ids)] == alone.ids).all()
        spans += alone.spans
        tokens += [(start + first, stop + first) for start, stop in alone.tokens]
        first += len(alone.ids)
    assert (together.spans, together.tokens) == (spans, tokens)
    assert all(start < stop for start, stop in tokens)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_sentences_end_where_one_pattern_says_that_they_end(text):
    ends = {match.end() for match in ENDS.finditer(text)} | {len(text)}
    cuts = [end for _, end in sentences(text, shortest=1)]
    assert ends - {0} <= set(cuts)
    long = [pair for pair in pairwise([0, *sorted(ends - {0})]) if pair[1] - pair[0] > 160]
    assert all(cut in ends or any(start < cut < end for start, end in long) for cut in cuts)


def test_windows_are_of_four_sentences():
    text = " ".join(f"This is the sentence number {number} of them." for number in range(9))
    read = bags(text)
    assert [stop - start for start, stop in read.tokens[9:]] == [9 * TOGETHER, 9 * TOGETHER, 9 * TOGETHER, 9 * 3]
