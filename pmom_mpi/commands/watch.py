"""``pmom watch``."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from pmom_mpi.analysis.read import Run

SECONDS = 0.5
"""Between two looks."""
TOLD_SECONDS = 5.0
"""Between two lines where nothing can be drawn over."""
RECENT = 8
"""How many of a folder's files, those written last, may be of runs that go on."""


@click.command()
@click.argument("place", metavar="RUN.h5|DIR", type=click.Path())
def watch(place: str) -> None:
    """Watch a run while it goes on: curves, rate, time to go, bits, stations, stragglers, events.

    Of a folder the run that goes on and was written last. It waits for a file that is not there yet, and ends when the
    run does (of a folder: when none goes on), or by q or Ctrl-C. It only reads: the run does not notice.

    \b
    pmom watch results/quickstart-0.h5
    pmom watch results/tune
    """
    from rich.console import Console

    from pmom_mpi.commands.screen import screen

    console, run = Console(), None
    see = _drawn if console.is_terminal and not console.is_dumb_terminal else _written
    with contextlib.suppress(KeyboardInterrupt), _ended_cleanly(), _keys() as pressed, see(console, place) as show:
        while True:
            run = _look(Path(place))
            show(run)
            if (run and not _goes_on(run)) or pressed():
                break
    if run is not None:
        console.print(screen(run, console.width, console.height, console.options.ascii_only))


@contextlib.contextmanager
def _drawn(console: Console, place: str) -> Iterator[Callable[[Run | None], None]]:
    """A screen that is drawn over and over, and goes away at the end."""
    from rich.live import Live

    from pmom_mpi.commands.screen import screen, waiting

    plain = console.options.ascii_only
    with Live(console=console, auto_refresh=False, screen=True) as live:
        yield lambda run: live.update(
            screen(run, console.width, console.height, plain) if run else waiting(place), refresh=True
        )


@contextlib.contextmanager
def _written(console: Console, place: str) -> Iterator[Callable[[Run | None], None]]:
    """A line every few seconds, where nothing can be drawn over: ``TERM=dumb``, a pipe, a file."""
    from pmom_mpi.commands.screen import told, waiting

    due, last = 0.0, ""

    def show(run: Run | None) -> None:
        nonlocal due, last
        if time.monotonic() < due:
            return
        due = time.monotonic() + TOLD_SECONDS
        if run is None and not last:
            console.print(waiting(place))
        line = told(run) if run else "waiting"
        if run and line != last:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            console.file.flush()
        last = line

    yield show


def _goes_on(run: Run) -> bool:
    return run.status in ("running", "running or killed")


def _look(place: Path) -> Run | None:
    """The run of a file, or below a folder the one that goes on and was written last; None where there is none yet."""
    from pmom_mpi.analysis import read
    from pmom_mpi.record.address import Address

    if not place.is_dir():
        return read.load(place) if Address.parse(place).file.exists() else None
    if not any(place.rglob("*.h5")):
        return None
    written = sorted(read.run_files([place]), key=lambda path: Address.parse(path).file.stat().st_mtime, reverse=True)
    recent = map(read.load, written[:RECENT])
    return next(filter(_goes_on, recent), None) or read.load(written[0])


@contextlib.contextmanager
def _ended_cleanly() -> Iterator[None]:
    """SIGTERM leaves as an exception does, so that the terminal is put right."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
        mode = termios.tcgetattr(sys.stdin)
        mode[6][termios.VSUSP] = b"\0"  # Ctrl-Z would leave the shell with our screen and without a cursor
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, mode)
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
