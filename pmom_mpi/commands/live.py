"""What a person sees of a sweep as it goes: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from pmom_mpi.campaign import states
from pmom_mpi.campaign.pool import Pool
from pmom_mpi.campaign.states import State
from pmom_mpi.campaign.sweep_file import Planned
from pmom_mpi.commands.tables import Fitted, rich_table

SHOW_SECONDS = 1.0


class Lines:
    """A line for every run that begins or ends."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def look(self, pool: Pool) -> None:
        pass

    def begun(self, run: Planned) -> None:
        self._console.print(f"begun  {run.stem}")

    def ended(self, run: Planned, outcome: str) -> None:
        self._console.print(f"ended  {run.stem}: {outcome}")


class LiveTable:
    """A table of the runs that are running, and how many are done, failed and to come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._shown = 0.0

    def __enter__(self) -> LiveTable:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def look(self, pool: Pool) -> None:
        if time.monotonic() - self._shown >= SHOW_SECONDS:
            self._shown = time.monotonic()
            self._live.update(picture(pool), refresh=True)

    def begun(self, run: Planned) -> None:
        pass

    def ended(self, run: Planned, outcome: str) -> None:
        if outcome.startswith("failed"):
            self._console.print(Text(f"{run.stem}: {outcome}"))


def picture(pool: Pool) -> RenderableType:
    """A sweep at this moment."""
    running: list[State] = [states.of_file(pool.sweep.file(run)) for run in pool.running]
    return Group(headline(pool), Fitted(rich_table(states.table(running, Path(pool.sweep.folder)))))


def headline(pool: Pool) -> str:
    """``12 of 48 done (4 before), 1 failed, 2 running, ETA 12 min``."""
    ended = len(pool.done) - len(pool.skipped)
    spent = time.monotonic() - pool.began
    before = f" ({len(pool.skipped)} before)" if pool.skipped else ""
    said = [f"{len(pool.done)} of {len(pool.sweep.runs)} done{before}"]
    said += [f"{len(pool.failed)} failed"] if pool.failed else []
    said += [f"{len(pool.running)} running"] if pool.running else []
    said += [f"{len(pool.elsewhere)} run by others"] if pool.elsewhere else []
    if ended and (pool.waiting or pool.running):
        left = (pool.waiting + len(pool.running) / 2) * spent / ended
        said.append(f"ETA {states.duration(left)}")
    return f"{pool.sweep.name}: " + ", ".join(said)
