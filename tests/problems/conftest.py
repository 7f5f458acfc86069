"""Small data sets in memory, and the context in which a problem sees them."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from pmom_mpi.data import DataSet
from pmom_mpi.problems.base import Context


@dataclass
class ArraySplit:
    """Samples in arrays; remembers which rows were asked for."""

    inputs: np.ndarray
    targets: np.ndarray
    loaded: list[np.ndarray] = field(default_factory=list)

    @property
    def features(self):
        return self.inputs.shape[1]

    @property
    def sample_shape(self):
        return self.inputs.shape[1:]

    def __len__(self):
        return len(self.targets)

    def load(self, rows, dtype):
        self.loaded.append(rows)
        return self.inputs[rows].astype(dtype), self.targets[rows]


@dataclass
class Sampling:
    """The whole shard, or ``size`` rows drawn without replacement."""

    size: int | str

    def smallest(self, count):
        return count if self.size == "full" else self.size

    def rows(self, count, seed, node, iteration):
        if self.size == "full":
            return slice(0, count)
        return np.random.default_rng([seed, node, iteration]).permutation(count)[: self.size]


@pytest.fixture
def make_data():
    """A function that makes a data set of normal inputs and random labels."""

    def make(samples=24, features=7, classes=4, tests=0, seed=0):
        rng = np.random.default_rng(seed)

        def split(count):
            return ArraySplit(rng.standard_normal((count, features)), rng.integers(classes, size=count))

        train, test = split(samples), split(tests) if tests else None
        if test is not None:  # no label that training has not
            test.targets[~np.isin(test.targets, train.targets)] = train.targets[0]
        return DataSet("made", train, test, np.arange(classes))

    return make


@pytest.fixture
def make_context():
    """A function that makes the context of a rank: contiguous shards, all nodes hosted unless told otherwise."""

    def make(data, nodes=1, hosted=None, dtype=np.float64, batch="full", seed=0, clip_samples=None):
        shards = np.array_split(np.arange(len(data.train)), nodes) if data is not None else ()
        hosted = range(nodes) if hosted is None else hosted
        return Context(nodes, hosted, seed, np.dtype(dtype), data, shards, Sampling(batch), clip_samples)

    return make
