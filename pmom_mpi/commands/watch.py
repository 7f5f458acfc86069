"""``pmom watch``."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pmom_mpi.analysis.read import Run

SECONDS = 0.5
"""Between two looks."""


@click.command()
@click.argument("place", metavar="RUN.h5|DIR", type=click.Path())
def watch(place: str) -> None:
    """Watch a run while it goes on: curves, rate, time to go, bits, stations, stragglers, events.

    Of a folder the run that was written last. It waits for a file that is not there yet, and ends with the run, or by q
    or Ctrl-C. It only reads: the run does not notice.

    \b
    pmom watch results/quickstart-0.h5
    pmom watch results/tune
    """
    from rich.console import Console
    from rich.live import Live

    from pmom_mpi.commands.screen import screen, waiting

    console, run = Console(), None
    live = Live(console=console, auto_refresh=False, screen=console.is_terminal)
    with contextlib.suppress(KeyboardInterrupt), _keys() as pressed, live:
        while True:
            run = _look(Path(place))
            live.update(screen(run, console.width, console.height) if run else waiting(place), refresh=True)
            if (run and run.status not in ("running", "running or killed")) or pressed():
                break
    if run is not None:
        console.print(screen(run, console.width, console.height))


def _look(place: Path) -> Run | None:
    """The run of a file, or the one that was written last below a folder; None where there is none yet."""
    from pmom_mpi.analysis import read

    if place.is_dir():
        if not any(place.rglob("*.h5")):
            return None
        place = max(read.run_files([place]), key=lambda path: path.stat().st_mtime)
    return read.load(place) if place.exists() else None


@contextlib.contextmanager
def _keys() -> Iterator[_Pressed]:
    """A terminal that hands on every key at once and shows none; as it was afterwards."""
    import termios
    import tty

    if not sys.stdin.isatty():
        yield _Pressed(None)
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield _Pressed(sys.stdin.fileno())
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


class _Pressed:
    """Called between two looks: waits for the next one, or for q, and says whether that was pressed."""

    def __init__(self, terminal: int | None) -> None:
        self._terminal = terminal

    def __call__(self) -> bool:
        if self._terminal is None:
            time.sleep(SECONDS)
            return False
        ready, _, _ = select.select([self._terminal], [], [], SECONDS)
        return bool(ready) and os.read(self._terminal, 64) in (b"q", b"Q", b"")
