"""Data sets, how they are divided among nodes, and in which order nodes use them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from pmom_mpi.data.dataset import DataSet, Split
from pmom_mpi.data.description import describe
from pmom_mpi.data.library import (
    get_dataset,
    import_dataset,
    is_named,
    list_datasets,
    open_named,
)
from pmom_mpi.data.partition import heterogeneity
from pmom_mpi.data.reading import NO_TEST, make, natural_scales, read
from pmom_mpi.data.sampling import Batch
from pmom_mpi.data.spec import DataSpec
from pmom_mpi.words.errors import UserError, blame

__all__ = [
    "Batch", "DataSet", "DataSpec", "Split", "describe", "divide", "get_dataset", "heterogeneity", "import_dataset",
    "list_datasets", "open_dataset",
]  # fmt: skip


def open_dataset(spec: DataSpec) -> DataSet:
    """The data set that a config names; raises `UserError` when it is not to be had.

    A name goes before a path: a folder ``digits`` of the working directory is ``./digits``.
    """
    # os.path, unlike pathlib, only says no to names that no file can have.
    path = os.path.expanduser(spec.name)
    if is_named(spec.name) or not os.path.exists(path):
        if spec.test not in (None, NO_TEST):
            raise UserError(f"data.test: {spec.name} has its own test set; a test file goes with a path in data.name")
        data = open_named(spec.name, spec.channels)
        data = replace(data, test=None) if spec.test == NO_TEST else data
    else:
        arrays = read(Path(path), {}, spec.test and os.path.expanduser(spec.test))
        with blame(path):
            data = make(Path(path).stem, arrays, natural_scales(arrays), spec.channels)
    if spec.limit is not None:
        data = replace(data, train=data.train.head(spec.limit))
    return data


def divide(spec: DataSpec, targets: np.ndarray, seed: int) -> list[np.ndarray]:
    """The rows of every node's shard, int64, ascending; raises `UserError` with more nodes than samples."""
    division = spec.division
    if spec.nodes > len(targets):
        raise UserError(
            f"data.nodes: {spec.nodes} nodes are more than the {len(targets)} training samples of {spec.name}"
        )
    return division.split(targets, spec.nodes, seed)
