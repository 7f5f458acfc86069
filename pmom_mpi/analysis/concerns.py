"""What a run file says that somebody should know before believing or repeating the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pmom_mpi.analysis.payoff import payoff, sentence, wasteful
from pmom_mpi.analysis.read import Run
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.report import STATIONS

STRAGGLER = 1.5
"""A worker that is busy so many times as long as the median worker holds all others up."""

BUSY = tuple(name for name in STATIONS if name != "send")
"""What a worker does by itself: sending goes on until the server takes it, and waiting is no work."""

FAR = 10.0
"""A loss that ends at so many times what it began with does not converge, though every number is finite."""

Weight = Literal["bad", "doubtful"]


@dataclass(frozen=True)
class Concern:
    """One thing to know.

    Attributes
    ----------
    kind : str
        In a few words, the same for every run: ``"diverged"``.
    what : str
        A sentence with this run's numbers.
    weight : {"bad", "doubtful"}
        Whether results are spoilt, or only costs or promises.
    """

    kind: str
    what: str
    weight: Weight = "doubtful"


def concerns(run: Run) -> list[Concern]:
    """All of a run, the bad ones first.

    Examples
    --------
    >>> concerns(load("results/quickstart-0.h5"))  # doctest: +SKIP
    []
    """
    if not run.iterations:
        return [Concern("empty", "no iteration is recorded yet")]
    found = [*_ending(run), *_growing(run), *_assumptions(run), *_stragglers(run), *_crowded(run), *_paying(run)]
    return sorted(found, key=lambda concern: concern.weight != "bad")


def _ending(run: Run) -> Iterator[Concern]:
    message = str(run.attributes.get("message", "")) or f"after {run.iterations} of {run.planned} iterations"
    if run.status == "diverged":
        yield Concern("diverged", message, "bad")
    elif run.status.startswith("killed"):
        yield Concern("killed", run.status, "bad")
    elif run.status in ("failed", "interrupted"):
        yield Concern(run.status, message, "bad")


def _growing(run: Run) -> Iterator[Concern]:
    loss = run.metrics[run.told[0].name] if run.told else np.empty(0)
    loss = loss[np.isfinite(loss)]
    if run.status == "finished" and len(loss) and loss[-1] > FAR * abs(loss[0]):
        yield Concern("loss grows", f"{run.told[0].name} went from {loss[0]:.4g} to {loss[-1]:.4g}", "bad")


def _assumptions(run: Run) -> Iterator[Concern]:
    if "diag_gradient" not in run.metrics:
        return
    from pmom_mpi.analysis.bounds import diagnosed  # draws as well, and drawing takes a second to import
    from pmom_mpi.theory.live import examine

    try:
        verdicts = examine(diagnosed(run)).verdicts
    except UserError:  # of a config whose classes are not here, or before the first diagnosis
        return
    for verdict in verdicts:
        if verdict.state == "violated":
            yield Concern("assumption violated", f"{verdict.name}: {verdict.why}")


def _stragglers(run: Run) -> Iterator[Concern]:
    slow = straggler(run)
    if slow is not None:
        rank, times = slow
        yield Concern("straggler", f"rank {rank} is busy {times:.2g} times as long as the median worker")
    lagging = [event for event in run.events if "not answered" in event.what]
    if lagging:
        yield Concern("lagging iterations", f"{len(lagging)} iterations took far longer than usual: {lagging[-1].what}")


def straggler(run: Run, rows: int = 0) -> tuple[int, float] | None:
    """The rank of the worker that is busy longest, and how many times as long as the median; None where all keep up.

    Parameters
    ----------
    run : Run
    rows : int
        Only the last so many iterations; 0: all.
    """
    busy = [run.workers[name][-rows:] for name in BUSY if name in run.workers]
    if not busy or not len(busy[0]) or busy[0].shape[1] < 2:
        return None
    each = np.nanmedian(np.sum(busy, axis=0), axis=0)
    usual = float(np.nanmedian(each))
    slowest = int(np.nanargmax(each))
    return (slowest + 1, float(each[slowest]) / usual) if usual > 0 and each[slowest] > STRAGGLER * usual else None


def _crowded(run: Run) -> Iterator[Concern]:
    beside = str(run.provenance.get("runs_at_once", "1"))
    if beside not in ("", "1"):
        yield Concern("shared machine", f"{beside} runs shared the machine: its seconds are longer than alone")
    hosts = str(run.provenance.get("hosts", "")).split(", ")
    cores, workers = int(run.facts.get("cores", 0)), hosts[1:].count(hosts[0])
    if cores and workers > cores:
        yield Concern("oversubscribed", f"{workers} workers share the {cores} cores of {hosts[0]}")


def _paying(run: Run) -> Iterator[Concern]:
    if not {"dense_bytes", "dense_seconds", "link_bytes_per_second"} <= run.facts.keys():
        return
    found = payoff(run)
    if wasteful(found):
        yield Concern("compression does not pay", "; ".join(sentence(found).splitlines()))
