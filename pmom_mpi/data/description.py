"""A data set in a few lines: what `pmom validate` says of it."""

from __future__ import annotations

import numpy as np

from pmom_mpi.data.dataset import DataSet, Scale, Split
from pmom_mpi.data.sparse import SparseSplit

SHOWN = 10
"""Up to so many classes are counted one by one."""


def describe(dataset: DataSet) -> list[str]:
    """Samples, features, classes with counts, the test set or that there is none, the scale; a line each.

    Examples
    --------
    >>> from pmom_mpi.data import DataSpec, open_dataset
    >>> print(describe(open_dataset(DataSpec("digits", 10)))[0])
    data: digits: 1,500 training samples of 64 features (8, 8)
    """
    train, test = dataset.train, dataset.test
    shape = f" {train.sample_shape}" if len(train.sample_shape) > 1 else ""
    turned = ", channels turned to the front" if dataset.channels == "last" else ""
    sparse = f" ({len(train.values):,} entries)" if isinstance(train, SparseSplit) else ""
    lines = [
        f"data: {dataset.name}: {len(train):,} training samples of {train.features:,} features{shape}{turned}{sparse}",
        f"data: training targets: {_targets(dataset, train)}",
    ]
    if test is None:
        lines.append("data: no test set, so no test metrics")
    else:
        lines.append(f"data: {len(test):,} test samples, targets: {_targets(dataset, test)}")
    return [*lines, f"data: scale: {_scales(train, test)}"]


def _targets(dataset: DataSet, split: Split | SparseSplit) -> str:
    if dataset.labels is None:
        values = split.targets
        return f"real, {values.min():g} to {values.max():g}, mean {values.mean():g}"
    counts = np.bincount(split.targets, minlength=len(dataset.labels))
    present = np.flatnonzero(counts)
    if len(present) <= SHOWN:
        each = ", ".join(f"{dataset.labels[place]}: {counts[place]}" for place in present)
        return f"{len(present)} classes ({each})" if len(present) > 1 else f"1 class ({each})"
    first, last = dataset.labels[present[0]], dataset.labels[present[-1]]
    least, most = counts[present].min(), counts[present].max()
    return f"{len(present)} classes, {first} to {last}, of {least} to {most} samples each"


def _scales(train: Split | SparseSplit, test: Split | SparseSplit | None) -> str:
    scales = {split.scale if isinstance(split, Split) else Scale() for split in (train, test) if split is not None}
    if len(scales) == 1:
        return str(scales.pop())
    return ", ".join(
        f"{name} {split.scale}" for name, split in (("training", train), ("test", test)) if isinstance(split, Split)
    )
