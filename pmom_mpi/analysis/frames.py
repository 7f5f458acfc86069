"""Runs as frames of pandas and data sets of xarray."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from pmom_mpi.analysis.extra import library
from pmom_mpi.words.errors import UserError

if TYPE_CHECKING:
    import pandas
    import xarray

    from pmom_mpi.analysis.read import Run

MOST_BYTES = 2**32
"""Of a block; one of more is hardly what somebody wanted."""


def frame(run: Run) -> pandas.DataFrame:
    """A column a metric, a row an iteration."""
    values = {name: column for name, column in run.metrics.items() if name != "iteration"}
    index = library("pandas").Index(run.metrics["iteration"], name="iteration")
    made = library("pandas").DataFrame(values, index=index)
    made.attrs.update(name=run.name, status=run.status, units={name: run.described[name].unit for name in values})
    return made


def dataset(run: Run) -> xarray.Dataset:
    """Metrics along ``iteration``, nodes' and workers' values along ``node`` and ``worker`` besides."""
    found: dict[str, Any] = {
        name: ("iteration", values, _said(run, name)) for name, values in run.metrics.items() if name != "iteration"
    }
    axes = {"iteration": run.metrics["iteration"]}
    for name, values in run.node_metrics.items():
        found[f"node_{name}"] = (("iteration", "node"), values, _said(run, name))
        axes["node"] = np.arange(values.shape[1])
    for name, values in run.workers.items():
        found[f"worker_{name}"] = (("iteration", "worker"), values, {"units": "s", "long_name": f"seconds of {name}"})
        axes["worker"] = np.arange(1, values.shape[1] + 1)
    return library("xarray").Dataset(found, axes, _head(run))


def _said(run: Run, name: str) -> dict[str, str]:
    metric = run.described[name]
    return {"units": metric.unit, "long_name": metric.description}


def _head(run: Run) -> dict[str, Any]:
    text = yaml.safe_dump(run.config, sort_keys=False)
    return {"name": run.name, "status": run.status, "path": str(run.path), "config": text, **run.facts}


def frames(runs: Sequence[Run], keys: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """The frames of runs below each other, by what sets each apart, and iteration.

    Parameters
    ----------
    runs : sequence of Run
    keys : sequence of dict of str to object
        Of each run its place on every axis.
    """
    pandas, names = library("pandas"), list(keys[0]) if keys else []
    parts = [frame(run).reset_index() for run in runs]
    for part, key in zip(parts, keys, strict=True):
        for place, name in enumerate(names):
            part.insert(place, name, key[name])
    return pandas.concat(parts, ignore_index=True).set_index([*names, "iteration"])


def datasets(
    runs: Sequence[Run], keys: Sequence[Mapping[str, Any]], axes: Mapping[str, Sequence[Any]]
) -> xarray.Dataset:
    """The metrics of runs as one block: a dimension an axis, then iteration; NaN where there is no run, or no row.

    Raises
    ------
    UserError
        When the runs differ in so many keys that the block would be larger than `MOST_BYTES`.
    """
    xarray, names = library("xarray"), [name for name in runs[0].metrics if name != "iteration"]
    names = [name for name in names if all(name in run.metrics for run in runs)]
    length = max(run.iterations for run in runs)
    shape = (*(len(values) for values in axes.values()), length)
    if (size := 8 * math.prod(shape) * len(names)) > MOST_BYTES:
        raise UserError(
            f"to_xarray: {len(runs)} runs that differ in {len(axes)} keys make a block of {size / 1e9:.3g} GB, nearly "
            "all of it empty; choose fewer by select(), or use to_pandas()"
        )
    blocks = {name: np.full(shape, np.nan) for name in names}
    status = np.full(shape[:-1], "", object)
    for run, key in zip(runs, keys, strict=True):
        place = tuple(list(values).index(key[axis]) for axis, values in axes.items())
        status[place] = run.status
        for name in names:
            blocks[name][place][: run.iterations] = run.metrics[name]
    dims = (*axes, "iteration")
    found: dict[str, Any] = {name: (dims, block, _said(runs[0], name)) for name, block in blocks.items()}
    found["status"] = (tuple(axes), status)
    return xarray.Dataset(
        found, {**{name: list(values) for name, values in axes.items()}, "iteration": np.arange(length)}
    )
