"""What a problem must offer: the protocol that the server and the workers speak with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from pmom_mpi.data.sampling import Batch
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.report import Metric


@dataclass(frozen=True)
class Context:
    """What a rank hands to its problem before the first iteration.

    Attributes
    ----------
    nodes : int
        n, the number of nodes of the experiment.
    hosted : range
        The nodes that live on this rank; empty on a server that hosts none.
    seed : int
        The experiment's seed, for `pmom_mpi.words.streams`.
    dtype : numpy dtype
        float32 or float64: the type of x, of gradients and of real-valued data.
    data : DataSet or None
        The data set named in the config.
    shards : sequence of ndarray
        For each of the n nodes the rows of the training set it holds; empty without a data set.
    batch : Batch
        How a node draws its samples in an iteration; all of them, unless the config says otherwise.
    clip_samples : float or None
        Clip every sample's gradient to this norm (the bias stage ``clip_per_sample``); only problems with a true
        ``clips_samples`` are asked to.
    """

    nodes: int
    hosted: range
    seed: int
    dtype: np.dtype
    data: Any = None
    shards: Sequence[np.ndarray] = ()
    batch: Batch = field(default_factory=Batch)
    clip_samples: float | None = None


class Problem(Protocol):
    """f(x) = (1/n) sum_i f_i(x), seen one node at a time.

    A problem is a dataclass whose fields are its config keys. It is set up once a rank; afterwards it answers for the
    nodes hosted there. Answers depend on (seed, node, iteration) only, never on the rank.

    What it may have besides is said by `Solvable`, `Stateful`, `Known`, `Exact`, `ClipsSamples` and `Estimating`.

    Where `gradient` does not differentiate the first of its metrics on the same draws (a policy gradient, first-order
    MAML), `Estimating` says so: `pmom check-problem` then holds it against no finite differences.
    """

    metrics: ClassVar[tuple[Metric, ...]]
    """What `gradient` returns, first the loss (`pmom_mpi.problems.metrics` has the common ones): logged as train_loss,
    train_accuracy, means over the nodes."""

    evaluation: ClassVar[tuple[Metric, ...]]
    """What `evaluate` sums, logged as test_loss, test_accuracy; empty: nothing is evaluated."""

    layout: Layout
    """Known after `setup`."""

    chunks: int
    """Known after `setup`: in how many parts the evaluation is done, whatever the number of ranks."""

    def setup(self, context: Context) -> None:
        """Load this rank's data, allocate buffers. Raises `UserError` when config and data do not fit."""

    def initial_point(self) -> np.ndarray:
        """x^0, shape (d,), of the context's dtype."""

    def gradient(self, x: np.ndarray, node: int, iteration: int, out: np.ndarray) -> tuple[float, ...]:
        """Write node's stochastic gradient at x into ``out`` (shape (d,)); return the values named in `metrics`."""

    def evaluate(self, x: np.ndarray, chunk: int) -> tuple[float, ...]:
        """Sums over one chunk, in the order of `evaluation`, and last the chunk's weight (its number of samples)."""


@runtime_checkable
class Known(Protocol):
    """A problem that knows constants of f (None: not this one); they are written into the run file."""

    smoothness: float | None
    """L."""

    pl_constant: float | None
    """mu: |grad f|^2 >= 2 mu (f - f*)."""

    minimum: float | None
    """f*."""


@runtime_checkable
class ClipsSamples(Protocol):
    """A problem that can clip the gradient of every sample (`Context.clip_samples`)."""

    clips_samples: bool
    """Whether it does."""


@runtime_checkable
class Estimating(Protocol):
    """A problem whose gradient may not be the derivative of its first metric on the same draws."""

    differentiates: bool
    """Whether it is."""


@runtime_checkable
class Solvable(Protocol):
    """A problem with something to find out that takes all nodes' data, such as f*: one rank does it for all."""

    def solve(self) -> Any:
        """What is to be known; called on rank 0 after `Problem.setup`."""

    def adopt(self, found: Any) -> None:
        """Take over what `solve` found; called on every rank."""


@runtime_checkable
class Exact(Protocol):
    """A problem that has the exact gradient of a node, for diagnosis."""

    def full_gradient(self, x: np.ndarray, node: int, out: np.ndarray) -> float:
        """Write grad f_i at x into ``out`` (shape (d,)); return f_i. What `Problem.gradient` uses stays as it is."""


@runtime_checkable
class Doubtful(Protocol):
    """A problem whose settings decide whether it is `Exact`."""

    ambiguous: str
    """After `Problem.setup`: why there is no exact gradient ("its model has dropout"); empty where there is one."""


@runtime_checkable
class Stateful(Protocol):
    """What a problem has besides when its evaluation needs more than x, as the running statistics of a network do.

    Such statistics move on node by node, but the nodes live on different ranks. So `Problem.gradient` leaves each
    node's share, the server moves the state on by all shares in node order, and it goes to the nodes with the model.
    """

    state: np.ndarray
    """Shape (s,), of the context's dtype; known after `setup`."""

    share: np.ndarray
    """Shape (s,): what the last call of `gradient` adds to the state."""

    def advance(self, shares: np.ndarray) -> None:
        """Move ``state`` on, in place, by all nodes' shares in node order: float64, shape (n, s)."""
