"""What a run file says in numbers: results, bytes, and where the time went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pmom_mpi.analysis.payoff import payoff
from pmom_mpi.analysis.read import Run
from pmom_mpi.words.report import STATIONS, WORKER_TIMES

SERVER_STATIONS = ("broadcast", "wait", "decode", "momentum", "record")
"""The server's time line; what is left of an iteration is ``other``."""
RESULTS = ("train", "test", "statistic", "step")
"""Roles of what a run's results are."""


def summary(run: Run) -> dict[str, Any]:
    """Everything that ``pmom show`` tells, as plain numbers and texts that JSON can hold (None for NaN)."""
    found: dict[str, Any] = {
        "path": str(run.path),
        "name": run.name,
        "status": run.status,
        "iterations": run.iterations,
        "planned": run.planned,
        "message": run.attributes.get("message"),
        "created": run.attributes.get("created"),
        "ended": run.attributes.get("ended"),
        "config": run.config,
        "facts": dict(run.facts),
        "provenance": dict(run.provenance),
        "results": results(run),
        "bytes": traffic(run),
        "seconds": {"total": float(run.metrics["time_total"].sum()), "server": server(run), "workers": workers(run)},
        "events": [asdict(event) for event in run.events],
    }
    if run.iterations:
        exchange = payoff(run)
        found["payoff"] = {
            **asdict(exchange),
            "computing": exchange.computing,
            "gain": exchange.gain,
            "break_even": exchange.break_even,
        }
    return _plain(found)


def results(run: Run) -> dict[str, dict[str, Any]]:
    """First, last and best value of every metric that was measured, with unit and direction."""
    found = {}
    for name, metric in run.described.items():
        values = run.metrics[name][np.isfinite(run.metrics[name])]
        if metric.role in RESULTS and len(values):
            best = None if metric.rises is None else float(values.max() if metric.rises else values.min())
            found[name] = {
                "first": float(values[0]),
                "last": float(values[-1]),
                "best": best,
                "unit": metric.unit,
                "better": {True: "higher", False: "lower", None: ""}[metric.rises],
            }
    return found


def traffic(run: Run) -> dict[str, float]:
    """Bytes of the whole run: up, down (the broadcast counted once, and a copy a node), both, and telemetry."""
    up, down, told = (float(run.metrics[f"{name}_bits"].sum()) / 8 for name in ("uplink", "downlink", "overhead"))
    copies = down * run.nodes
    return {
        "up": up,
        "down_once": down,
        "down_copies": copies,
        "both_once": up + down,
        "both_copies": up + copies,
        "telemetry": told,
    }


def server(run: Run) -> dict[str, dict[str, float | None]]:
    """Median and total seconds of the server's stations, and their shares of the run, which add up to 1."""
    found = {name: run.metrics[f"time_{name}"] for name in SERVER_STATIONS}
    spent = {name: float(values.sum()) for name, values in found.items()}
    whole = max(float(run.metrics["time_total"].sum()), sum(spent.values()))  # the last row may not be complete
    medians: dict[str, float | None] = {name: _median(values) for name, values in found.items()}
    spent["other"], medians["other"] = whole - sum(spent.values()), None
    return {
        name: {"median": medians[name], "total": seconds, "share": seconds / whole if whole else 0.0}
        for name, seconds in spent.items()
    }


def workers(run: Run) -> dict[str, dict[str, float]]:
    """Seconds of the workers' stations: of all workers where the file has them, else of the slowest.

    Of each worker the median over the iterations: ``min``, ``mean``, ``max`` over workers, and the rank that was
    ``slowest``; without values of every worker ``median`` and ``total`` of the slowest one's seconds.
    """
    if run.workers and run.iterations:
        found = {}
        for station in (name for name in WORKER_TIMES if name in run.workers):
            each = np.nanmedian(run.workers[station], axis=0)
            found[station] = {
                "min": float(each.min()), "mean": float(each.mean()), "max": float(each.max()),
                "slowest": int(each.argmax()) + 1,
            }  # fmt: skip
        return found
    return {
        name: {"median": _median(run.metrics[f"time_{name}"]), "total": float(run.metrics[f"time_{name}"].sum())}
        for name in STATIONS
    }


def percent(shares: Sequence[float]) -> list[str]:
    """Shares in per cent with a digit behind the point, rounded such that they add up as the shares do.

    Examples
    --------
    >>> percent([1 / 3, 1 / 3, 1 / 3])
    ['33.4 %', '33.3 %', '33.3 %']
    """
    exact = [1000 * share for share in shares]
    floors = [math.floor(value) for value in exact]
    left = round(sum(exact)) - sum(floors)
    for place in sorted(range(len(exact)), key=lambda place: floors[place] - exact[place])[:left]:
        floors[place] += 1
    return [f"{value / 10:.1f} %" for value in floors]


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else math.nan


def _plain(value: Any) -> Any:
    """What JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
