"""Where the time of an iteration goes, as bars of one scale: the server's, and below it its workers'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pmom_mpi.analysis.curves import Curve
from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.summary import SERVER_STATIONS
from pmom_mpi.words.report import STATIONS

MOST_GROUPS = 16
"""Settings of a campaign whose time is shown."""

MOST_WORKERS = 12
"""More of them are told by the least busy, the median and the busiest."""


@dataclass(frozen=True)
class Part:
    """Seconds of an iteration in a station; ``width`` is its share of the scale, in per cent."""

    station: str
    seconds: float
    width: float

    @property
    def words(self) -> str:
        return f"{self.station}: {1e3 * self.seconds:.3g} ms"


@dataclass(frozen=True)
class Bar:
    """A rank's iteration."""

    label: str
    parts: tuple[Part, ...]

    @property
    def total(self) -> str:
        return f"{1e3 * sum(part.seconds for part in self.parts):.3g} ms"


def bars(run: Run) -> list[Bar]:
    """The server's mean iteration and those of its workers; what is left of a worker's iteration is waiting.

    The first iteration is left out where there are others: it also loads what is used for the first time.
    """
    rows = slice(1, None) if run.iterations > 1 else slice(None)
    whole = float(run.metrics["time_total"][rows].mean())
    server = {name: float(run.metrics[f"time_{name}"][rows].mean()) for name in SERVER_STATIONS}
    scale = max(whole, sum(server.values()))
    made = [_bar("server", server | {"other": scale - sum(server.values())}, scale)]
    for name, seconds in _workers(run, rows).items():
        made.append(_bar(name, seconds | {"waiting": scale - sum(seconds.values())}, scale))
    return made


def _workers(run: Run, rows: slice) -> dict[str, dict[str, float]]:
    """By name seconds by station: of every worker, of three of many, or of the slowest where no more is recorded."""
    if not run.workers:
        slowest = {name: float(run.metrics[f"time_{name}"][rows].mean()) for name in STATIONS}
        return {"worker" if int(run.facts.get("ranks", 1)) < 3 else "slowest worker": slowest}
    each = {name: np.nanmean(run.workers[name][rows], axis=0) for name in STATIONS if name in run.workers}
    order = np.argsort(sum(each.values()))
    if len(order) <= MOST_WORKERS:
        chosen = {f"rank {worker + 1}": worker for worker in range(len(order))}
    else:
        named = ("least busy", order[0]), ("median", order[len(order) // 2]), ("busiest", order[-1])
        chosen = {f"{words}, rank {worker + 1}": int(worker) for words, worker in named}
    return {words: {name: float(seconds[worker]) for name, seconds in each.items()} for words, worker in chosen.items()}


def _bar(label: str, seconds: dict[str, float], scale: float) -> Bar:
    parts = [(name, value) for name, value in seconds.items() if value > 0]
    total = max(scale, sum(value for _, value in parts)) or 1.0
    return Bar(label, tuple(Part(name, value, 100 * value / total) for name, value in parts))


def stations_of(found: Sequence[Bar]) -> list[str]:
    """The stations that occur, for the key, in the order of their work."""
    order = [*SERVER_STATIONS, "other", *STATIONS, "waiting"]
    seen = {part.station for bar in found for part in bar.parts}
    return [name for name in order if name in seen]


def of_groups(found: Sequence[Curve]) -> list[Bar]:
    """Of the first few groups the server and the slowest worker of their first run, each on a scale of its own."""
    made = []
    for curve in found[:MOST_GROUPS]:
        server, *others = bars(curve.drawn[0])
        slowest = max(others, key=lambda bar: sum(part.seconds for part in bar.parts if part.station != "waiting"))
        made += [replace(server, label=f"{curve.label}: server"), replace(slowest, label=slowest.label)]
    return made
