"""What a person sees of a run: a live bar on a terminal, plain lines elsewhere. Only rank 0 has one."""

from __future__ import annotations

import math
import sys
import threading
import time
from typing import IO

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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


class Narrator:
    """Tells a run as it goes; implements `pmom_mpi.runtime.experiment.Watcher`."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._bits = 0.0
        self._began = 0.0
        self._done = 0
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
        workers = "one process" if ranks == 1 else f"1 server + {ranks - 1} workers"
        self._console.print(
            f"{config.name}: {config.nodes} nodes on {workers}, d = {setting.problem.layout.dimension:,}, "
            f"{config.iterations} iterations -> {config.output}"
        )
        for line in setting.warnings:
            self._console.print(line)
        if self._console.is_terminal:
            self._progress = Progress(
                BarColumn(bar_width=12), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"), TextColumn("ETA"),
                TimeRemainingColumn(), console=self._console,
            )  # fmt: skip
            self._task = self._progress.add_task("", total=config.iterations, facts="")
            self._progress.start()
        else:
            self._over.clear()
            threading.Thread(target=self._wait, daemon=True).start()

    def ready(self, seconds: float) -> None:
        if seconds > WORTH_SAYING:
            self._console.print(f"kernels compiled or loaded in {seconds:.1f} s")
        self._began = time.perf_counter()

    def row(self, row: dict[str, float]) -> None:
        if self._first is None:
            self._first = int(row["iteration"])
            self._start = row[self._loss]
        self._last = row[self._loss]
        self._done = int(row["iteration"]) + 1
        self._bits += row["uplink_bits"]
        if self._progress is not None:
            self._progress.update(self._task, completed=self._done, facts=self._facts(row))
        elif self._is_due():
            left = (self._total - self._done) / self._rate()
            self._print(f"{self._done:>{len(str(self._total))}}/{self._total}  {self._facts(row)}  ETA {left:.0f} s")

    def _is_due(self) -> bool:
        """Whether a plain line is printed: the first, the last, every tenth of the run, and after some seconds."""
        tenth = self._done in (1, self._total) or self._done % max(1, self._total // LINES) == 0
        return tenth or time.perf_counter() - self._printed > SECONDS_A_LINE

    def _print(self, line: str) -> None:
        self._printed = time.perf_counter()
        self._console.print(line)

    def _wait(self) -> None:
        """Where iterations take long, say that one goes on."""
        while not self._over.wait(SECONDS_A_LINE):
            if time.perf_counter() - self._printed > SECONDS_A_LINE:
                self._print(f"{self._done}/{self._total}  {time.perf_counter() - self._began:.0f} s")

    def end(self, status: str) -> None:
        self._over.set()
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        self._console.print(f"{status} after {self._done} iterations in {time.perf_counter() - self._began:.1f} s")
        if status == "finished" and self._last > FAR * abs(self._start):
            self._console.print(
                f"note: {self._words} went from {self._start:.4g} to {self._last:.4g}: the method does not converge "
                "here; try a smaller step size, and see 'pmom validate' for what the bias promises"
            )

    def _facts(self, row: dict[str, float]) -> str:
        named = [f"{self._words} {row[self._loss]:.5g}"]
        if math.isfinite(row.get(self._told, math.nan)):
            named.append(f"{self._told.removeprefix('train_').replace('_', ' ')} {row[self._told]:.4g}")
        return "  ".join([*named, f"sent {decimal(int(self._bits / 8))}", f"{self._rate():.3g} it/s"])

    @property
    def _words(self) -> str:
        return self._loss.removeprefix("train_")

    def _rate(self) -> float:
        """Iterations of this leg a second."""
        return (self._done - (self._first or 0)) / max(time.perf_counter() - self._began, 1e-9)
