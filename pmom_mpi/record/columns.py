"""What statistics of the bias are, until its stages declare them."""

from __future__ import annotations

from pmom_mpi.words.report import Metric

STATISTICS = (
    Metric("clip_active", "fraction of nodes whose clip changed the gradient"),
    Metric("clip_threshold", "norm above which gradients were clipped"),
    Metric("kept", "number of coordinates that were sent", "coordinates"),
)


def statistic(name: str) -> Metric:
    """What a statistic of the bias is; a second one of a pipeline is numbered.

    Examples
    --------
    >>> statistic("clip_active_2").name, statistic("clip_active_2").unit
    ('clip_active_2', '1')
    """
    base = name.rstrip("0123456789").rstrip("_")
    known = {metric.name: metric for metric in STATISTICS}.get(base, Metric(base, "statistic of the bias pipeline"))
    return known.named(name, known.description)
