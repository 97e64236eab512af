"""The local injection model: a linear one over hashed words, scored sentence by sentence.

Each sentence, and each window of four, is a bag of words, five-letter stems, and pairs and triples of stems, hashed
into `BUCKETS`. Two heads share the features: one for the user's turn, one for documents and tools' results, where an
order to the assistant is suspicious even when it is polite. `training/train.py` makes the weights; `docs/model-card.md`
says from what, and how good they are.

NumPy is loaded with the first classifier, not with this module.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from zlib import crc32

from guard_integrations.core.findings import Stage
from guard_integrations.core.scanner.normalise import fold
from guard_integrations.core.scanner.sentences import sentences

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["BUCKETS", "HEADS", "PER_TOKEN", "Bags", "Classifier", "Window", "bags"]

BITS: Final = 18
BUCKETS: Final = 1 << BITS
PER_TOKEN: Final = 8
"""Features that begin at each word."""
SMOOTH: Final = 8
"""Added to the number of features of a window, so that a short one does not weigh too much."""
HEADS: Final = ("input", "document")
TOGETHER: Final = 4
"""Sentences in a window; every second sentence begins one."""
_STEM: Final = 5
_TOKEN: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"  # unspaced scripts
    r"|\d+|[^\W\d_]+(?:['\u2019][^\W\d_]+)?|[^\w\s]{1,3}|_+|\n"
)
_ASCII_TOKEN: Final = re.compile(r"[a-z]++(?:'[a-z]++)?+|\d++|[^\w\s]{1,3}+|_++|\n")
"""The same in a folded text of ASCII alone, at a third of the price."""
_BREAK: Final = (1 << 64) - 1
"""Stands among the words for the end of a sentence."""
_LOWER: Final = (1 << 32) - 1
_LONG_NUMBER: Final = 5
_MOST_WORDS: Final = 50_000
_LONGEST_KEPT: Final = 7
_LONGEST_SIGNS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of a text and how much it looks like an injection.

    Args:
        start: its first character.
        end: one past its last.
        score: 0 to 1; from 0.5 on it is taken for one.
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bags:
    """The features of a text.

    Args:
        spans: of the windows: (start, end) in characters.
        tokens: of the windows: (first, last + 1), rows of `ids`.
        ids: bucket of each feature; one row of `PER_TOKEN` for each token.
        stops: one past the last window of each text.
    """

    spans: list[tuple[int, int]]
    tokens: list[tuple[int, int]]
    ids: "npt.NDArray[np.int64]"
    stops: list[int]


def bags(*texts: str) -> Bags:
    """Reads texts as bags of features, one for each sentence and one for each window of sentences of one text."""
    import numpy as np  # noqa: PLC0415 - a hundred milliseconds that only this needs

    words: list[int] = []
    spans: list[tuple[int, int]] = []
    owned = [0]
    for text in texts:
        folded = fold(text)
        own = sentences(folded)
        # Line breaks part the sentences from now on, and nothing else: a text is read in one go.
        spaced = folded.replace("\n", " ")
        lines = "\n".join([spaced[start:end] for start, end in own])
        words += map(_CODES.__getitem__, (_ASCII_TOKEN if folded.isascii() else _TOKEN).findall(lines))
        words.append(_BREAK)
        spans += own or [(0, 0)]
        owned.append(len(spans))
    codes = np.array(words, dtype=np.uint64)
    ends = np.flatnonzero(codes == _BREAK)
    codes = codes[codes != _BREAK]
    ends -= np.arange(len(ends))
    edges = [0, *ends.tolist()]
    counted = [*zip(spans, pairwise(edges), strict=True)]
    windows: list[tuple[tuple[int, int], tuple[int, int]]] = []
    stops: list[int] = []
    for first, stop in pairwise(owned):
        single = [one for one in counted[first:stop] if one[1][0] < one[1][1]]
        windows += single
        several = [single[at : at + TOGETHER] for at in range(0, len(single) - 1, 2)]
        windows += [((group[0][0][0], group[-1][0][1]), (group[0][1][0], group[-1][1][1])) for group in several]
        stops.append(len(windows))
    return Bags(
        spans=[span for span, _ in windows],
        tokens=[tokens for _, tokens in windows],
        ids=_hashed(
            codes >> np.uint64(32),
            codes & np.uint64(_LOWER),
            np.repeat(np.arange(len(ends)), np.diff(edges)),
        ),
        stops=stops,
    )


class _Codes(dict[str, int]):
    """A word's hash and its stem's, in the upper and the lower half of a number; kept for words that come again."""

    def __missing__(self, word: str) -> int:
        if word[0].isdigit():
            return _LONG if len(word) >= _LONG_NUMBER else _SHORT
        stem = self[word[:_STEM]] & _LOWER if len(word) > _STEM else _hash(word)
        codes = min(_hash(word) << 32 | stem, _BREAK - 1)
        # Short words are most of a text; longer ones, which could be secrets, are not kept.
        if len(self) < _MOST_WORDS and len(word) <= (_LONGEST_KEPT if word.isalpha() else _LONGEST_SIGNS):
            self[word] = codes
        return codes


def _hash(word: str) -> int:
    return crc32(word.encode("utf-8", "surrogatepass"))


_CODES: Final = _Codes({"\n": _BREAK})
_LONG, _SHORT = (_hash(number) << 32 | _hash(number[:_STEM]) for number in ("00000", "0"))


def _hashed(
    words: "npt.NDArray[np.uint64]", stems: "npt.NDArray[np.uint64]", within: "npt.NDArray[np.int64]"
) -> "npt.NDArray[np.int64]":
    """Buckets of the features of each token; none reaches beyond the sentence, whose number is in `within`."""
    import numpy as np  # noqa: PLC0415 - as above

    count = len(words)
    ids = np.zeros((PER_TOKEN, count), dtype=np.uint64)
    ahead = np.zeros((4, count), dtype=np.uint64)
    for distance, of in ((1, stems), (2, stems), (3, stems), (1, words)):
        row = ahead[distance - 1 if of is stems else 3]
        rest = max(count - distance, 0)
        row[:rest] = np.where(within[distance:] == within[:rest], of[distance:], 0)
    times = np.uint64(0x165667B19E3779F9)
    first = stems * times
    ids[0] = words
    ids[1] = stems
    ids[2] = first + ahead[0]
    ids[3] = (first + ahead[0]) * times + ahead[1]
    ids[4] = first + ahead[1]
    ids[5] = first + ahead[2]
    ids[6] = words * times + ahead[3]
    ids[7, :1] = ids[2, :1]
    ids[7, 1:] = np.where(within[1:] != within[:-1], ids[2, 1:], 0)
    ids += np.arange(1, PER_TOKEN + 1, dtype=np.uint64)[:, None]
    ids *= np.uint64(0x9E3779B97F4A7C15)
    ids ^= ids >> np.uint64(29)
    ids *= np.uint64(0xC2B2AE3D27D4EB4F)
    ids >>= np.uint64(64 - BITS)
    return ids.T.astype(np.int64)


class Classifier:
    """Scores the sentences of a text. Immutable, and safe to share between threads.

    Args:
        weights: for each bucket the weight of each head, in steps of `scale`; shape (`BUCKETS`, 2).
        scale: what one step is worth, for each head.
        bias: added to the sum, for each head.
        threshold: the sum from which on a window is taken for an injection, for each head.
        slope: how fast the score rises around it, for each head.
    """

    def __init__(
        self,
        *,
        weights: "npt.NDArray[np.int16]",
        scale: "npt.NDArray[np.float64]",
        bias: "npt.NDArray[np.float64]",
        threshold: "npt.NDArray[np.float64]",
        slope: "npt.NDArray[np.float64]",
    ) -> None:
        self._weights = weights
        self._scale = scale
        self._bias = bias
        self._threshold = threshold
        self._slope = slope

    @staticmethod
    @cache
    def load() -> "Classifier":
        """The model that comes with the package."""
        import numpy as np  # noqa: PLC0415 - as above

        weights = files("guard_integrations.core.scanner").joinpath("weights", "injection.npz")
        with as_file(weights) as path, np.load(path, allow_pickle=False) as stored:
            return Classifier(
                weights=stored["weights"],
                scale=stored["scale"],
                bias=stored["bias"],
                threshold=stored["threshold"],
                slope=stored["slope"],
            )

    def windows(self, text: str, stage: Stage, least: float = 0.5, *, or_highest: bool = False) -> list[Window]:
        """The windows of a text whose score is at least `least`, single sentences first.

        Args:
            text: any text.
            stage: "input" for a user's turn; every other stage is read as a document.
            least: 0 to 1.
            or_highest: where none has that score, the first of those with the highest.
        """
        read = bags(text)
        if not read.tokens:
            return []
        scores = self._scores(read, stage)
        chosen = (scores >= least).nonzero()[0].tolist()
        if not chosen and or_highest:
            chosen = [int(scores.argmax())]
        return [Window(start=read.spans[at][0], end=read.spans[at][1], score=float(scores[at])) for at in chosen]

    def highest(self, texts: Sequence[str], stage: Stage) -> list[float]:
        """The highest score of a window in each of these texts, all read in one go; for the rest see `windows`."""
        read = bags(*texts)
        if not read.tokens:
            return [0.0] * len(texts)
        scores = self._scores(read, stage).tolist()
        return [max(scores[first:stop], default=0.0) for first, stop in pairwise([0, *read.stops])]

    def _scores(self, read: Bags, stage: Stage) -> "npt.NDArray[np.float64]":
        import numpy as np  # noqa: PLC0415 - as above

        head = 0 if stage == "input" else 1
        steps = self._weights[:, head][read.ids].sum(axis=1, dtype=np.int64)
        sums = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(steps)])
        edges = np.array(read.tokens)
        sizes = (edges[:, 1] - edges[:, 0]) * PER_TOKEN + SMOOTH
        raw = (sums[edges[:, 1]] - sums[edges[:, 0]]) * self._scale[head] / np.sqrt(sizes) + self._bias[head]
        scores: npt.NDArray[np.float64] = 1 / (
            1 + np.exp(-np.clip((raw - self._threshold[head]) * self._slope[head], -30, 30))
        )
        return scores
