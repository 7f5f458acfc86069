"""Tables as plain data: whoever shows them (a terminal, a web page) renders them in its own way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of texts under heads.

    Attributes
    ----------
    title : str
    columns : tuple of str
        Heads; empty where the rows are pairs of a name and what it is.
    rows : tuple of tuple of str
    texts : int
        How many columns, from the left, hold texts; the others hold numbers and belong to the right.

    Examples
    --------
    >>> print(Table("results", ("metric", "last"), (("loss", "0.5"),)).markdown())
    | metric | last |
    |---|---|
    | loss | 0.5 |
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1

    def markdown(self) -> str:
        """The table as Markdown, without its title."""
        width = len(self.columns) or len(self.rows[0])
        lines = [self.columns or ("",) * width, *self.rows]
        head, *rest = ("| " + " | ".join(line) + " |" for line in lines)
        return "\n".join([head, "|" + "---|" * width, *rest])
