"""What a scene found: numbers with the way to write them."""

from dataclasses import dataclass

Cell = float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A heading, and the format of the numbers below it."""

    name: str
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One comparison.

    Args:
        title: what is compared.
        note: on what, and how to read it; Markdown.
        columns: the first holds names.
        rows: a cell for each column; text stands as it is.
    """

    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def markdown(self) -> str:
        """The table with its title and note."""
        head = " | ".join(column.name for column in self.columns)
        rule = "|".join(["---", *["--:"] * (len(self.columns) - 1)])
        lines = [f"| {' | '.join(self._written(row))} |" for row in self.rows]
        return "\n".join([f"## {self.title}", "", self.note, "", f"| {head} |", f"|{rule}|", *lines, ""])

    def column(self, name: str) -> dict[str, float]:
        """The numbers below a heading, by the names of their rows."""
        at = [column.name for column in self.columns].index(name)
        return {str(row[0]): cell for row in self.rows if not isinstance(cell := row[at], str)}

    def _written(self, row: tuple[Cell, ...]) -> list[str]:
        return [
            cell if isinstance(cell, str) else format(cell, column.format)
            for cell, column in zip(row, self.columns, strict=True)
        ]
