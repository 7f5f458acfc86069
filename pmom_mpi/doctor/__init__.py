"""``pmom doctor``: what a run would meet on this machine, found out by trying; a finding and a remedy a row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pmom_mpi.doctor import batch, files, jobs, machine
from pmom_mpi.doctor.row import BAD, GOOD, NOTE, Row

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Row", "checkup", "render"]

STYLES = {GOOD: "green", NOTE: "yellow", BAD: "bold red"}


def checkup(folder: str | Path) -> list[Row]:
    """Try everything that a run needs; about ten seconds, and every child process is limited in time.

    Parameters
    ----------
    folder : path
        Where run files would go.
    """
    return [*jobs.check(), *batch.check(), *machine.check(), *files.check(Path(folder))]


def render(rows: list[Row]) -> Table:
    """What `pmom doctor` prints."""
    from rich.table import Table
    from rich.text import Text

    table = Table("what", "state", "finding", "remedy", show_lines=True)
    for row in rows:
        table.add_row(row.what, Text(row.state, STYLES[row.state]), Text(row.finding), Text(row.remedy))
    return table
