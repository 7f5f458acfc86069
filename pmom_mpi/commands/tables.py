"""Tables of `pmom_mpi.analysis.tables` on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from pmom_mpi.analysis.tables import Table


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
        made.add_row(*row)
    return made


def on_terminal(parts: Iterable[Table | str]) -> RenderableType:
    """Tables and sentences below each other."""
    shown: list[RenderableType] = []
    for part in parts:
        if isinstance(part, str):
            shown.append(part)
        else:
            shown += [Text(part.title, "italic")] if part.title else []  # in a line of its own: rich would fold it
            shown.append(rich_table(replace(part, title="")))
    return Group(*shown)
