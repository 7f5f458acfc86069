"""What a person sees of a run: a live bar on a terminal, plain lines elsewhere. Only rank 0 has one."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import IO

from rich.console import Console, ConsoleOptions
from rich.filesize import decimal
from rich.live import Live
from rich.text import Text

from pmom_mpi.cluster import terminal
from pmom_mpi.runtime.setting import Setting
from pmom_mpi.words.report import told

LINES = 10
"""How many plain lines a whole run prints, beside the first and the last."""

SECONDS_A_LINE = 5.0
"""No longer than this nothing is printed."""

WORTH_SAYING = 1.0
"""Seconds of warming up that are told."""

FAR = 10.0
"""A run that ends with so many times the loss it began with is not converging, though every number is finite."""

SHORT_BAR, LONG_BAR = 6, 20
"""Characters of the bar."""

FRAMES_A_SECOND = 4


class Narrator:
    """Tells a run as it goes; implements `pmom_mpi.runtime.experiment.Watcher`.

    Under a launcher standard error is a pipe, and `pmom launch` says whether a terminal shows what goes through it.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        width = terminal.width() if stream is None else 0
        shown = Console(file=stream or sys.stderr, width=width or None, force_terminal=True if width else None)
        self._console, self._wraps = shown, shown.is_terminal
        self._live: Live | None = None
        self._bits = 0.0
        self._began = 0.0
        self._done = 0
        self._facts: tuple[str, ...] = ()
        self._seen: tuple[str, ...] = ()
        self._first: int | None = None
        self._start = self._last = 0.0
        self._printed = time.perf_counter()
        self._over = threading.Event()

    def begin(self, setting: Setting, ranks: int) -> None:
        config = setting.config
        self._total = config.iterations
        self._loss = setting.schema.reported[0].name
        columns = setting.schema.columns() if setting.problem.chunks else setting.schema.trained
        self._told = next((column.name for column in told(columns)), "")
        self._began, self._bits, self._done, self._first = time.perf_counter(), 0.0, 0, None
        many = "1 worker" if ranks == 2 else f"{ranks - 1} workers"
        workers = "one process" if ranks == 1 else f"1 server + {many}"
        self._print(
            f"{config.name}: {config.nodes} nodes on {workers}, d = {setting.problem.layout.dimension:,}, "
            f"{config.iterations} iterations -> {config.output}"
        )
        for line in setting.warnings:
            self._print(line)
        if self._console.is_terminal:
            self._live = Live(self, console=self._console, refresh_per_second=FRAMES_A_SECOND)
            self._live.start()
        else:
            self._over.clear()
            threading.Thread(target=self._wait, daemon=True).start()

    def ready(self, seconds: float) -> None:
        if seconds > WORTH_SAYING:
            self._print(f"kernels compiled or loaded in {seconds:.1f} s")
        self._began = time.perf_counter()

    def row(self, row: dict[str, float]) -> None:
        if self._first is None:
            self._first = int(row["iteration"])
            self._start = row[self._loss]
        self._last = row[self._loss]
        self._done = int(row["iteration"]) + 1
        self._bits += row["uplink_bits"]
        if self._live is not None:
            self._facts = self._facts_of(row)
        elif self._is_due():
            left = (self._total - self._done) / self._rate()
            facts = "  ".join((*self._facts_of(row), f"{self._rate():.3g} it/s"))
            self._print(f"{self._done:>{len(str(self._total))}}/{self._total}  {facts}  ETA {left:.0f} s")

    def _is_due(self) -> bool:
        """Whether a plain line is printed: the first, the last, every tenth of the run, and after some seconds."""
        tenth = self._done in (1, self._total) or self._done % max(1, self._total // LINES) == 0
        return tenth or time.perf_counter() - self._printed > SECONDS_A_LINE

    def _print(self, line: str) -> None:
        self._printed = time.perf_counter()
        self._console.print(Text(line), soft_wrap=not self._wraps)

    def _wait(self) -> None:
        """Where iterations take long, say that one goes on."""
        while not self._over.wait(SECONDS_A_LINE):
            if time.perf_counter() - self._printed > SECONDS_A_LINE:
                self._print(f"{self._done}/{self._total}  {time.perf_counter() - self._began:.0f} s")

    def end(self, status: str) -> None:
        self._over.set()
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._print(f"{status} after {self._done} iterations in {time.perf_counter() - self._began:.1f} s")
        if status == "finished" and self._last > FAR * abs(self._start):
            self._print(
                f"note: {self._words} went from {self._start:.4g} to {self._last:.4g}: the method does not converge "
                "here; try a smaller step size, and see 'pmom validate' for what the bias promises"
            )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """The bar at this moment."""
        count = f"{self._done:>{len(str(self._total))}}/{self._total}"
        if self._done == (self._first or 0):  # the first iteration may take minutes
            facts: tuple[str, ...] = (count, f"{time.perf_counter() - self._began:.0f} s")
        else:
            left = timedelta(seconds=math.ceil((self._total - self._done) / self._rate()))
            facts = (count, *self._facts, f"{self._rate():.3g} it/s", f"ETA {left}")
        yield bar(self._done / self._total, facts, options.max_width, "#-" if options.ascii_only else "━━")

    def _facts_of(self, row: dict[str, float]) -> tuple[str, ...]:
        evaluated = row.get(self._told, math.nan)
        if math.isfinite(evaluated):
            self._seen = (f"{self._told.removeprefix('train_').replace('_', ' ')} {evaluated:.4g}",)
        elif self._live is None:  # a line says what is new, the bar what was seen last
            self._seen = ()
        return f"{self._words} {row[self._loss]:.5g}", *self._seen, f"sent {decimal(int(self._bits / 8))}"

    @property
    def _words(self) -> str:
        return self._loss.removeprefix("train_")

    def _rate(self) -> float:
        """Iterations of this leg a second."""
        return (self._done - (self._first or 0)) / max(time.perf_counter() - self._began, 1e-9)


def bar(part: float, facts: tuple[str, ...], width: int, strokes: str = "━━") -> Text:
    """How much is done, and facts beside it, in one line of at most ``width`` characters that cuts none of them.

    The first facts matter most, and the last one, the time that is needed, before them all but the first: where there
    is no room for all, those before the last go first. The first stays, whatever room there is.

    Examples
    --------
    >>> str(bar(0.5, ("20/40", "loss 0.123", "8 it/s", "ETA 0:00:05"), 40, "#-"))
    '####----  20/40  loss 0.123  ETA 0:00:05'
    >>> str(bar(0.5, ("20/40", "loss 0.123", "8 it/s", "ETA 0:00:05"), 12, "#-"))
    '##---  20/40'
    """
    kept = list(facts)
    while len(kept) > 1 and SHORT_BAR + len("".join(f"  {fact}" for fact in kept)) > width:
        del kept[-2 if len(kept) > 2 else -1]
    text = "".join(f"  {fact}" for fact in kept)
    long = max(0, min(LONG_BAR, width - len(text)))
    done = int(long * part)
    return Text.assemble((done * strokes[0], "green"), ((long - done) * strokes[1], "bright_black"), text)
