"""What it took until a metric was first as good as wanted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pmom_mpi.words.errors import UserError
from pmom_mpi.words.report import Metric

if TYPE_CHECKING:
    from pmom_mpi.analysis.read import Run


class Reached(NamedTuple):
    """Amounts up to the moment; all NaN where it never came.

    Attributes
    ----------
    iterations, bits, uplink, downlink, seconds : float
        ``bits`` are uplink and downlink, which is counted once however many nodes receive it.
    """

    iterations: float
    bits: float
    uplink: float
    downlink: float
    seconds: float


def reached(run: Run, name: str, value: float) -> Reached:
    """See `Run.to_target`; a training value is about x^k, so what its row sends and spends comes after it."""
    metric = judged(run, name, "--target")
    values = run.metrics[name]
    there = np.flatnonzero(values >= value if metric.rises else values <= value)
    if not len(there):
        return Reached(*[math.nan] * 5)
    stop = int(there[0]) + (metric.role != "train")
    up, down, seconds = (float(run.metrics[key][:stop].sum()) for key in ("uplink_bits", "downlink_bits", "time_total"))
    return Reached(stop, up + down, up, down, seconds)


def judged(run: Run, name: str, where: str) -> Metric:
    """A metric that runs are to be judged by.

    Raises
    ------
    UserError
        When there is none of this name that can be better.
    """
    metric = run.described.get(name)
    if metric is None or metric.rises is None:
        names = ", ".join(key for key, found in run.described.items() if found.rises is not None and found.role)
        raise UserError(f"{where} {name}: no metric of {run.path} that can be better or worse; those are {names}")
    return metric
