"""Groups of data sets that grow by a row an iteration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from pmom_mpi.words.report import Metric

ROWS_A_CHUNK = 1024
VALUES_A_CHUNK = 8192
"""Of two-dimensional data sets."""

BETTER = {True: "higher", False: "lower", None: ""}
"""`Metric.rises`, as the attribute ``better``."""


class DataSets:
    """The data sets of a group, which have the same number of rows.

    Parameters
    ----------
    group : h5py.Group
        What `make` has made, in an open file.
    """

    def __init__(self, group: h5py.Group) -> None:
        self._sets: dict[str, h5py.Dataset] = dict(group.items())
        self._kept: list[Mapping[str, Any]] = []

    @property
    def names(self) -> list[str]:
        """In the order of their making."""
        return list(self._sets)

    def keep(self, row: Mapping[str, Any]) -> None:
        """Remember a row: numbers, or arrays of as many numbers as the data sets are wide."""
        self._kept.append(row)

    def write(self, start: int, names: Sequence[str]) -> None:
        """Put the rows that are kept behind the first ``start`` rows; what a row lacks becomes NaN, or 0."""
        for name in names:
            dataset = self._sets[name]
            missing = np.full(dataset.shape[1:], np.nan if dataset.dtype.kind == "f" else 0)
            dataset.resize(start + len(self._kept), axis=0)
            if self._kept:
                dataset[start:] = [_wide(row.get(name, missing), missing) for row in self._kept]

    def forget(self) -> int:
        """Drop the rows that are kept, and return how many there were."""
        count, self._kept = len(self._kept), []
        return count

    def widen(self, width: int) -> None:
        """Let rows have at least so many numbers; shorter ones end with NaN."""
        for dataset in self._sets.values():
            if dataset.shape[1] < width:
                dataset.resize(width, axis=1)

    def truncate(self, rows: int) -> None:
        """Leave only the first ``rows``."""
        for dataset in self._sets.values():
            dataset.resize(rows, axis=0)

    def __iter__(self) -> Iterator[h5py.Dataset]:
        return iter(self._sets.values())

    def __len__(self) -> int:
        """How many rows every data set has."""
        return min((len(dataset) for dataset in self._sets.values()), default=0)


def _wide(values: Any, missing: np.ndarray) -> Any:
    """A row of a data set that is wider since another leg of the run had more workers."""
    if np.ndim(values) == 0 or len(values) == len(missing):
        return values
    return np.concatenate([values, missing[len(values) :]])


def make(file: h5py.File, group: str, metrics: Sequence[Metric], width: int = 0) -> None:
    """Empty data sets in a new group: of numbers, or of ``width`` numbers a row."""
    made = file.create_group(group, track_order=True)
    wide = (width,) if width else ()
    chunks = (max(1, VALUES_A_CHUNK // width), width) if width else (ROWS_A_CHUNK,)
    for metric in metrics:
        dataset = made.create_dataset(
            metric.name, (0, *wide), metric.dtype, maxshape=(None, *(None for _ in wide)), chunks=chunks,
            fillvalue=np.nan if metric.dtype.startswith("float") else None,
        )  # fmt: skip
        describe(dataset, metric)


def scale(file: h5py.File, nodes: int, workers: int) -> None:
    """Say along what the data sets lie: /metrics/iteration, and numbers of nodes and of workers' ranks in /axes.

    These are HDF5's dimension scales, by which h5netcdf, xarray, MATLAB and HDFView name the dimensions. The root has
    them once more, as links: netCDF looks for a group's dimensions in the group and above it only. It is done before
    the file is in SWMR mode, in which attributes must not be added.
    """
    iteration = file["metrics"]["iteration"]
    iteration.make_scale("iteration")
    file["iteration"] = iteration
    for dataset in (*file["metrics"].values(), *_of(file, "nodes"), *_of(file, "workers")):
        if dataset != iteration:
            dataset.dims[0].attach_scale(iteration)
    for group, name, first, width in (("nodes", "node", 0, nodes), ("workers", "worker", 1, workers)):
        if group in file:
            numbers = file.create_dataset(f"axes/{name}", data=np.arange(first, first + width), maxshape=(None,))
            numbers.attrs.update(unit="1", description={"node": "i", "worker": "rank of the worker"}[name])
            numbers.make_scale(name)
            file[name] = numbers
            for dataset in file[group].values():
                dataset.dims[1].attach_scale(numbers)


def widen(file: h5py.File, workers: int) -> None:
    """Let the rows of /workers have at least so many numbers."""
    if "workers" in file:
        DataSets(file["workers"]).widen(workers)
    if "axes/worker" in file and len(file["axes/worker"]) < workers:  # files of before dimension scales have none
        file["axes/worker"].resize(workers, axis=0)
        file["axes/worker"][:] = np.arange(1, workers + 1)


def _of(file: h5py.File, group: str) -> list[h5py.Dataset]:
    return list(file[group].values()) if group in file else []


def describe(dataset: h5py.Dataset, metric: Metric) -> None:
    """Write what a metric is beside its values."""
    dataset.attrs.update(unit=metric.unit, description=metric.description, role=metric.role)
    dataset.attrs.update(better=BETTER[metric.rises], headline=np.uint8(metric.headline))


def described(dataset: h5py.Dataset) -> Metric:
    """What `describe` has written."""
    attributes = dataset.attrs
    rises = {text: rises for rises, text in BETTER.items()}[str(attributes["better"])]
    return Metric(
        dataset.name.rpartition("/")[2], str(attributes["description"]), str(attributes["unit"]), rises,
        str(dataset.dtype), bool(attributes["headline"]), str(attributes["role"]),  # type: ignore[arg-type]
    )  # fmt: skip
