"""Tables of `pmom_mpi.analysis.tables` on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

from pmom_mpi.analysis.tables import Table

READABLE = 14
"""Texts are folded to no less than this many characters."""
HALF = 28
"""A single column of texts beside numbers may be so wide that they stand in no more than two lines."""
LONG = 30
"""Words that are longer, such as paths, may be broken."""
WIDE = 20
"""A column on the right with wider cells holds sentences, not numbers, and may be folded."""
_ENDLESS = 10_000


def rich_table(table: Table) -> RichTable:
    """As a rich table: with heads, or, where it has none, as pairs of a name and what it is."""
    if table.columns:
        made = RichTable(title=table.title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for place, head in enumerate(table.columns):
            made.add_column(head, justify="left" if place < table.texts else "right", overflow="fold")
    else:
        made = RichTable(title=table.title or None, title_justify="left", show_header=False, box=None, padding=(0, 2))
        made.add_column(style="bold", no_wrap=True)
        made.add_column(overflow="fold")
    for row in table.rows:
        made.add_row(*map(Text, row))
    return made


def on_terminal(parts: Iterable[Table | str]) -> RenderableType:
    """Tables and sentences below each other."""
    shown: list[RenderableType] = []
    for part in parts:
        if isinstance(part, str):
            shown.append(Text(part))
        else:
            shown += [Text(part.title, "italic")] if part.title else []  # in a line of its own: rich would fold it
            shown.append(Fitted(rich_table(replace(part, title=""))))
    return Group(*shown)


def fitted(shown: RenderableType) -> RenderableType:
    """The same with every table `Fitted`."""
    if isinstance(shown, RichTable):
        return Fitted(shown)
    return Group(*map(fitted, shown.renderables)) if isinstance(shown, Group) else shown


@dataclass(frozen=True)
class Fitted:
    """A table that cuts no number and no name: numbers that do not fit go below the others, beside the first column.

    Columns on the right are numbers and stay in one line; texts, on the left, are folded where there is no room.
    """

    table: RichTable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        spans = [_Span.of(console, column) for column in self.table.columns]
        texts = [place for place, span in enumerate(spans) if not span.is_number]
        left = [place for place, span in enumerate(spans) if span.is_number]
        if len(texts) == 1 and left:
            spans[texts[0]] = spans[texts[0]].in_two_lines()
        title: object = self.table.title
        while texts or left:
            many = len(left)
            while many > 1 and self._room(console, options, spans, texts + left[:many]) < 0:
                many -= 1
            chosen = sorted(texts + left[:many])
            widths = {place: spans[place].least for place in chosen}
            _spread(widths, spans, self._room(console, options, spans, chosen))
            yield self._part(widths, title)
            left, title = left[many:], None
            texts = texts[:1] if left else []

    def _room(self, console: Console, options: ConsoleOptions, spans: Sequence[_Span], chosen: list[int]) -> int:
        """How many characters are left where these columns have the least that they need."""
        part = self._part({place: spans[place].least for place in sorted(chosen)}, None)
        return options.max_width - Measurement.get(console, console.options.update(width=_ENDLESS), part).maximum

    def _part(self, widths: Mapping[int, int], title: object) -> RichTable:
        """These columns, so wide."""
        table = self.table
        part = RichTable(
            title=None if title is None else Text(str(title), "italic"), title_justify="left", box=table.box,
            pad_edge=table.pad_edge, padding=table.padding, show_header=table.show_header, show_lines=table.show_lines,
        )  # fmt: skip
        for place, width in widths.items():
            column = table.columns[place]
            part.add_column(
                column.header, justify=column.justify, width=width, overflow="fold", style=column.style
            )  # fmt: skip
        cells = [list(table.columns[place].cells) for place in widths]
        for row, *values in zip(table.rows, *cells, strict=True):
            part.add_row(*values, style=row.style)
        return part


@dataclass(frozen=True)
class _Span:
    """How wide a column is at least and at most."""

    least: int
    most: int
    is_number: bool

    @classmethod
    def of(cls, console: Console, column: Column) -> _Span:
        endless = console.options.update(width=_ENDLESS)
        head = Measurement.get(console, endless, column.header)
        found = [head, *(Measurement.get(console, endless, cell) for cell in column.cells)]
        word, most = max(size.minimum for size in found), max(size.maximum for size in found)
        cells = max((size.maximum for size in found[1:]), default=0)
        if column.justify == "right" and cells <= WIDE:
            return cls(max(cells, head.minimum), most, True)
        return cls(most if column.no_wrap else max(min(most, READABLE), min(word, LONG)), most, False)

    def in_two_lines(self) -> _Span:
        """The same, but wide enough for its texts to be in two lines, as far as they are not very long."""
        return replace(self, least=min(self.most, max(self.least, min(HALF, -(-self.most // 2)))))


def _spread(widths: dict[int, int], spans: Sequence[_Span], room: int) -> None:
    """Give columns what they can use of the room, the narrowest first."""
    while room > 0 and (wanting := [place for place in widths if widths[place] < spans[place].most]):
        widths[min(wanting, key=widths.__getitem__)] += 1
        room -= 1
