"""Drives detectors over texts that arrive in pieces."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from hypothesis import strategies as st

from guard_integrations.core.findings import Finding
from guard_integrations.core.sanitizer.stream import OutputStream
from guard_integrations.core.scanner.detector import Detector


def whole(detector: Detector, text: str) -> tuple[str, tuple[Finding, ...]]:
    stream = OutputStream(((detector,),))
    return stream.feed_last(text), stream.findings


def pieces(detector: Detector, chunks: Iterable[str]) -> tuple[list[str], tuple[Finding, ...]]:
    """What comes out after each chunk, and at the end."""
    stream = OutputStream(((detector,),))
    shown = [stream.feed(chunk) for chunk in chunks]
    return [*shown, stream.finish()], stream.findings


def cut(text: str, places: Sequence[int]) -> list[str]:
    """A text in chunks; a place beyond the end cuts at the end."""
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in pairwise(edges)]


places = st.lists(st.integers(min_value=0, max_value=10_000), max_size=40)
