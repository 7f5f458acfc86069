"""How far the runs of a folder are, from their files."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pmom_mpi.analysis import read
from pmom_mpi.analysis.columns import reading
from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.tables import Table
from pmom_mpi.campaign.identity import complete
from pmom_mpi.record import choices
from pmom_mpi.record.address import Address
from pmom_mpi.record.reading import opened
from pmom_mpi.words.errors import UserError

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # a PyYAML without libyaml
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

RATED = 20
"""Iterations that a rate is the mean of."""
NAMED = re.compile(r"-[0-9a-f]{8}$")
"""How the names of a sweep's runs end."""
FAILED = ".failed"
"""Ending of the file beside a run's that says why it failed, where there is no run file to say it."""


OVER = ("finished", "diverged")
ENDED = (*OVER, "interrupted", "failed")
"""What a run file says of a run that has ended by itself."""


@dataclass(frozen=True)
class State:
    """How far a run is.

    Attributes
    ----------
    path : Path
        Its run file, whether it exists or not.
    state : str
        waiting (planned, not begun), queued, running, interrupted, killed, finished, diverged, failed, unreadable; of a
        job instead of a run: queued, job failed.
    iteration, planned : int
        Iterations done, and all.
    rate, left : float
        Iterations a second, and seconds to go; NaN where not known.
    message : str
        Why it failed, or what else is to be said.
    complete : bool
        Whether nothing is left to do for it (`pmom_mpi.campaign.identity.complete`).
    """

    path: Path
    state: str
    iteration: int = 0
    planned: int = 0
    rate: float = math.nan
    left: float = math.nan
    message: str = ""
    complete: bool = False


@dataclass(frozen=True)
class _Ended:
    """What is told of a run that has ended, from the attributes of its file alone: there may be hundreds."""

    path: Path
    status: str
    config: dict[str, Any]
    iterations: int
    attributes: Mapping[str, Any]

    @property
    def planned(self) -> int:
        return int(float(self.config.get("iterations", 0)))

    @classmethod
    def read(cls, path: Path) -> _Ended | None:
        """None of what has not ended, or is not understood in this short way."""
        try:
            with reading(path), opened(path) as file:
                found = dict(file.attrs)
                if found["format_version"] != read.FORMAT_VERSION or found["status"] not in ENDED:
                    return None
                config = yaml.load(found["config"], Loader=Loader)
                return cls(path, str(found["status"]), config, int(found["iterations"]), found)
        except UserError:
            return None


def of_file(path: Path) -> State:
    """The state of the run of a file, which need not exist."""
    if not Address.parse(path).file.exists():
        failed = path.with_suffix(FAILED)
        return State(path, "failed", message=failed.read_text().strip()) if failed.exists() else State(path, "waiting")
    try:
        return of_run(_Ended.read(path) or read.load(path))
    except UserError as error:
        return State(path, "unreadable", message=str(error).removeprefix(f"{path}: "))


def of_run(run: Run | _Ended) -> State:
    """The state of a run that has a file."""
    failed = run.path.with_suffix(FAILED)
    if failed.exists() and run.status not in ("running", "finished", "diverged"):
        return State(run.path, "failed", run.iterations, run.planned, message=failed.read_text().strip())
    state = "killed" if run.status.startswith("killed") else run.status
    if state != "running" or isinstance(run, _Ended):
        said = str(run.attributes.get("message", ""))
        return State(run.path, state, run.iterations, run.planned, message=said, complete=complete(run))
    spent = float(np.mean(run.metrics["time_total"][-RATED:])) if run.iterations else 0.0
    rate = 1 / spent if spent > 0 else math.nan
    return State(run.path, state, run.iterations, run.planned, rate, (run.planned - run.iterations) / rate)


class Folder:
    """The runs below a folder, or in a packed file; files of runs that have ended are read once."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._known: dict[Path, tuple[int, State]] = {}

    def states(self) -> list[State]:
        """Of every run, those that are planned by a sweep included; raises `UserError` when there is no such folder."""
        if self.folder.is_file():
            return [of_file(path) for path in read.run_files([self.folder])]
        if not self.folder.is_dir():
            raise UserError(f"{self.folder}: no such folder")
        planned = (path.with_suffix(".h5") for path in self.folder.rglob("*.yaml") if NAMED.search(path.stem))
        return [self._state(path) for path in choices.in_order(list({*_run_files(self.folder), *planned}))]

    def _state(self, path: Path) -> State:
        changed = path.stat().st_mtime_ns if path.exists() else 0
        if path in self._known and self._known[path][0] == changed:
            return self._known[path][1]
        state = of_file(path)
        if state.state in OVER:
            self._known[path] = changed, state
        return state


def _run_files(folder: Path) -> list[Path]:
    return read.run_files([folder]) if any(folder.rglob("*.h5")) else []


def table(states: Sequence[State], folder: Path) -> Table:
    """A row a run."""
    rows = tuple(
        (
            _below(state.path, folder),
            state.state,
            f"{state.iteration}/{state.planned}" if state.planned else "",
            "" if math.isnan(state.rate) else f"{state.rate:.3g}",
            duration(state.left),
            state.message,
        )
        for state in states
    )
    return Table("", ("run", "state", "iteration", "it/s", "ETA", "message"), rows, texts=2)


def counted(states: Iterable[State]) -> str:
    """``2 running, 5 finished``."""
    return ", ".join(f"{count} {state}" for state, count in Counter(state.state for state in states).items())


def duration(seconds: float) -> str:
    """In two units at most; empty for NaN.

    Examples
    --------
    >>> duration(7), duration(754), duration(8000), duration(200000)
    ('7 s', '12 min 34 s', '2 h 13 min', '2 d 7 h')
    """
    if math.isnan(seconds):
        return ""
    whole = round(seconds)
    for large, size, small, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {large} {whole % size // part} {small}"
    return f"{whole} s"


def _below(path: Path, folder: Path) -> str:
    if Address.parse(path).file == folder:
        return Address.parse(path).name or folder.stem
    return str(path.relative_to(folder)).removesuffix(".h5") if path.is_relative_to(folder) else str(path)
