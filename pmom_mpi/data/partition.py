"""How a training set is divided among the nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
from pydantic import Field

from pmom_mpi.words.errors import UserError
from pmom_mpi.words.streams import Stream, generator

Rows = list[np.ndarray]


class Partition(Protocol):
    """Gives every node its rows: none twice, at least one each."""

    def split(self, targets: np.ndarray, nodes: int, seed: int) -> Rows:
        """One int64 array of rows a node."""


@dataclass(frozen=True)
class Contiguous:
    """Blocks in file order, as in the published runs; their sizes differ by one at most."""

    def split(self, targets: np.ndarray, nodes: int, seed: int) -> Rows:
        return np.array_split(np.arange(len(targets)), nodes)


@dataclass(frozen=True)
class Iid:
    """Blocks of a random permutation: every node sees the same distribution."""

    def split(self, targets: np.ndarray, nodes: int, seed: int) -> Rows:
        rows = generator(seed, Stream.PARTITION).permutation(len(targets))
        return [np.sort(part) for part in np.array_split(rows, nodes)]


@dataclass(frozen=True)
class Label:
    """Every node holds (about) ``classes`` labels: blocks of the samples sorted by label, ``classes`` blocks a node.

    McMahan et al. (2017), section 3. The blocks are dealt at random; a block may hold two neighbouring labels.

    Parameters
    ----------
    classes : int
        Labels a node.
    """

    classes: Annotated[int, Field(ge=1)] = 2

    def split(self, targets: np.ndarray, nodes: int, seed: int) -> Rows:
        _check_labels(targets, "label")
        if nodes * self.classes > len(targets):
            raise UserError(
                f"data.partition.classes: {nodes} nodes of {self.classes} classes need {nodes * self.classes} samples, "
                f"there are {len(targets)}"
            )
        blocks = np.array_split(np.argsort(targets, kind="stable"), nodes * self.classes)
        dealt = generator(seed, Stream.PARTITION).permutation(len(blocks)).reshape(nodes, self.classes)
        return [np.sort(np.concatenate([blocks[b] for b in chosen])) for chosen in dealt]


@dataclass(frozen=True)
class Dirichlet:
    """Proportions drawn from a Dirichlet distribution: the smaller a, the less alike nodes are.

    Parameters
    ----------
    a : float
        The distribution's parameter: 0.1 is very unlike, 100 nearly alike.
    over : {"nodes", "labels"}
        ``nodes``: each label's samples are divided among the nodes in proportions of Dirichlet(a, ..., a), so that
        sizes differ; a node that gets nothing takes one sample of the node that has most. Yurochkin et al. 2019,
        "Bayesian nonparametric federated learning of neural networks".
        ``labels``: all nodes have as many samples, and each draws its mix of labels from Dirichlet(a p), p the
        frequencies of all (of ten equally frequent labels each has the parameter a / 10); where a label has run out,
        the node's other labels take its place. Hsu, Qi, Brown 2019, "Measuring the effects of non-identical data
        distribution for federated visual classification".
    """

    a: Annotated[float, Field(gt=0)] = 0.5
    over: Literal["nodes", "labels"] = "nodes"

    def split(self, targets: np.ndarray, nodes: int, seed: int) -> Rows:
        _check_labels(targets, "dirichlet")
        draw = generator(seed, Stream.PARTITION)
        if self.over == "labels":
            return self._mixed(targets, nodes, draw)
        parts: list[list[np.ndarray]] = [[] for _ in range(nodes)]
        for label in np.unique(targets):
            rows = draw.permutation(np.flatnonzero(targets == label))
            cuts = (np.cumsum(draw.dirichlet(np.full(nodes, self.a)))[:-1] * len(rows)).astype(np.int64)
            for part, piece in zip(parts, np.split(rows, cuts), strict=True):
                part.append(piece)
        return _nobody_empty([np.sort(np.concatenate(part)) for part in parts])

    def _mixed(self, targets: np.ndarray, nodes: int, draw: np.random.Generator) -> Rows:
        """Node after node takes its own mix of what is left."""
        stocks = [draw.permutation(np.flatnonzero(targets == label)) for label in np.unique(targets)]
        left = np.array([len(stock) for stock in stocks])
        prior = left / left.sum()
        parts = []
        for size in map(len, np.array_split(targets, nodes)):
            taken = _drawn(draw, draw.dirichlet(self.a * prior), size, left)
            ends = zip(stocks, left.tolist(), taken.tolist(), strict=True)
            parts.append(np.sort(np.concatenate([stock[end - count : end] for stock, end, count in ends])))
            left -= taken
        return parts


def _drawn(draw: np.random.Generator, mix: np.ndarray, size: int, left: np.ndarray) -> np.ndarray:
    """How many samples of each label a node gets, if it draws them one by one and again where a label has run out."""
    taken = np.zeros_like(left)
    while missing := size - int(taken.sum()):
        weights = np.where(taken < left, mix, 0.0)
        if weights.sum() <= 0:  # nothing that the node likes is left
            weights = (left - taken).astype(np.float64)
        taken = np.minimum(taken + draw.multinomial(missing, weights / weights.sum()), left)
    return taken


def _check_labels(targets: np.ndarray, kind: str) -> None:
    if targets.dtype.kind == "f":
        raise UserError(f"data.partition.kind: {kind} divides by class labels, these targets are real; use iid")


def _nobody_empty(shards: Rows) -> Rows:
    sizes = np.array([len(rows) for rows in shards])
    for node in np.flatnonzero(sizes == 0):
        richest = int(sizes.argmax())
        shards[node], shards[richest] = shards[richest][-1:], shards[richest][:-1]
        sizes[node], sizes[richest] = 1, sizes[richest] - 1
    return shards


def heterogeneity(targets: np.ndarray, shards: Sequence[np.ndarray], classes: int | None) -> dict[str, float]:
    """How unlike the shards are.

    Returns
    -------
    dict
        ``smallest_shard``, ``largest_shard`` in samples; for class labels also ``label_distance``, the mean over nodes
        of the total variation distance between the node's label frequencies and those of all shards together (0:
        alike, 1: disjoint).
    """
    sizes = [len(rows) for rows in shards]
    found = {"smallest_shard": float(min(sizes)), "largest_shard": float(max(sizes))}
    if classes is not None:
        counts = np.stack([np.bincount(targets[rows], minlength=classes) for rows in shards])
        overall = counts.sum(axis=0) / counts.sum()
        own = counts / counts.sum(axis=1, keepdims=True)
        found["label_distance"] = float(0.5 * np.abs(own - overall).sum(axis=1).mean())
    return found
