"""Data sets, how they are divided among nodes, and in which order nodes use them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pmom_mpi.data.dataset import DataSet, Split
from pmom_mpi.data.files import read_arrays
from pmom_mpi.data.library import get_dataset, import_dataset, make, natural_scale, open_named, read_idx_folder
from pmom_mpi.data.partition import heterogeneity
from pmom_mpi.data.spec import DataSpec
from pmom_mpi.errors import UserError

__all__ = ["DataSet", "DataSpec", "Split", "get_dataset", "heterogeneity", "import_dataset", "open_dataset", "partition"]


def open_dataset(spec: DataSpec) -> DataSet:
    """The data set that a config names; raises `UserError` when it is not to be had."""
    path = Path(spec.name).expanduser()
    if path.is_dir():
        arrays = read_idx_folder(path, {})
        data = make(path.name, arrays, natural_scale(arrays["train_inputs"]))
    elif path.is_file():
        arrays = read_arrays(path)
        data = make(path.stem, arrays, natural_scale(arrays["train_inputs"]))
    else:
        data = open_named(spec.name)
    if spec.limit is not None:
        train = replace(data.train, inputs=data.train.inputs[: spec.limit], targets=data.train.targets[: spec.limit])
        data = replace(data, train=train)
    return data


def partition(spec: DataSpec, targets: np.ndarray, seed: int) -> list[np.ndarray]:
    """The rows of every node's shard, int64, ascending; raises `UserError` with more nodes than samples."""
    division = spec.division
    if spec.nodes > len(targets):
        raise UserError(f"data.nodes: {spec.nodes} nodes are more than the {len(targets)} training samples of {spec.name}")
    return division.split(targets, spec.nodes, seed)
