"""Plain paragraphs of a long Markdown text, which are passed over together."""

from hypothesis import given
from hypothesis import strategies as st

from guard_integrations.core.scanner.markup.markdown import Markdown
from guard_integrations.core.scanner.markup.urls import UrlPolicy

_PARTS = st.one_of(
    st.sampled_from([
        "\n", "\n\n", "\n \n", "  ", "    ", "- ", "1. ", "12345) ", "> ", "```", "~~~\n", "\r", "\r\n", "\f", "|", "`",
        "![x](http://evil.test/a)", "[a](https://evil.test/x?q=1)", "<img src=x>", "](", "]:", "!", "\\", "h", "W",
    ]),
    st.integers(1, 12).map("Plain words stand in a row here. ".__mul__),
)  # fmt: skip


@given(st.lists(_PARTS, min_size=8, max_size=60).map("".join))
def test_paragraphs_passed_over_together_are_what_they_are_line_by_line(text: str) -> None:
    def read(pieces: list[str]) -> tuple[list[tuple[int, int, str]], list[tuple[str, int, int]]]:
        reader = Markdown(UrlPolicy())
        for piece in pieces:
            reader.feed(piece, final=False)
        reader.feed("", final=True)
        return reader.edits, reader.findings

    # Of a line that comes by itself, nothing follows that could be passed over.
    assert read([text]) == read(text.splitlines(keepends=True))
