"""The keys of a config, a section a class, with their types, defaults and ranges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

Name = Annotated[str, Field(min_length=1, pattern=r"^[^/\s]+$")]
Dtype = Literal["float32", "float64"]
OnDivergence = Literal["stop", "continue"]
OnLoss = Literal["reassign", "drop"]


@dataclass(frozen=True)
class Evaluate:
    """When the model is evaluated: x^k for every k that ``every`` divides, and the last; 0 is never.

    Parameters
    ----------
    every : int, in iterations
        0 is never.
    """

    every: Annotated[int, Field(ge=0)] = 1


@dataclass(frozen=True)
class Wire:
    """How payloads are written.

    Parameters
    ----------
    checksum : bool
        Whether every message carries 4 bytes by which damage is noticed.
    """

    checksum: bool = False


@dataclass(frozen=True)
class Record:
    """What the run file holds, and how often it is brought up to date.

    Parameters
    ----------
    flush_seconds : float, in seconds
        At most so long after an iteration a reader sees its row.
    nodes : bool
        Also one value a node and iteration of everything that is measured on nodes (/nodes).
    trace : bool
        Also when every rank did what, for `pmom trace`.
    trace_iterations : int
        In how many iterations, from the first.
    locking : bool
        Whether HDF5 locks the run file; ``false`` for file systems without locks. HDF5_USE_FILE_LOCKING goes before it.
    """

    flush_seconds: Annotated[float, Field(ge=0)] = 1.0
    nodes: bool = False
    trace: bool = False
    trace_iterations: Annotated[int, Field(ge=1)] = 100
    locking: bool = True


@dataclass(frozen=True)
class Diagnostics:
    """When nodes also compute their exact gradients, so that bias and noise are measured: one more full gradient.

    Parameters
    ----------
    every : int
        On iterations that this divides; 0: never, which costs nothing.
    repeats : int
        How many further draws of every node's estimate tell its mean bias from its noise: 0, none, or at least 2.
    """

    every: Annotated[int, Field(ge=0)] = 0
    repeats: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        if self.repeats == 1:
            raise ValueError("repeats must be 0, or at least 2: from one draw no variance can be told")


@dataclass(frozen=True)
class Checkpoint:
    """When all of a run is saved, so that `pmom resume` can go on from there; on a signal it always is.

    Parameters
    ----------
    every : int
        Before every iteration that this divides; 0: never.
    seconds : float
        When so many seconds have passed since the last; 0: never.
    keep : int
        How many of them stay: the newest ones.
    """

    every: Annotated[int, Field(ge=0)] = 0
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    keep: Annotated[int, Field(ge=1)] = 2


@dataclass(frozen=True)
class Transport:
    """What the server expects of its workers.

    Parameters
    ----------
    deadline : float
        Seconds after an iteration's broadcast when a job whose workers have not all answered is given up; 0: never.
        With ``fault_tolerant`` these workers are given up instead, where they are on the server's host.
    fault_tolerant : bool
        Whether the run goes on when a worker dies, its nodes on the others (Open MPI started with ULFM; `pmom launch`
        sees to it).
    on_loss : {"reassign", "drop"}
        What becomes of a lost worker's nodes then: the others take them over, or the average is over the rest of the
        nodes from there on.
    """

    deadline: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    fault_tolerant: bool = False
    on_loss: OnLoss = "reassign"


@dataclass(frozen=True)
class Sections:
    """A whole experiment: a config's keys.

    Sections that choose a kind have not become the objects they describe yet.

    Parameters
    ----------
    name : str
        What the run is called, in its file and in pictures; the file's name unless given. No spaces, no slashes.
    iterations : int
        How many steps the server takes.
    step_size : float or mapping
        gamma; a number, or a schedule: a mapping with a kind.
    problem : mapping
        What is minimised: a kind and its keys.
    nodes : int
        n. With a data section it may stand there instead.
    seed : int
        Of everything random: x^0, batches, partitions, random operators.
    momentum : str or mapping
        How the server steps: a kind and its keys.
    data : mapping, optional
        Which data set, and how it is divided among the nodes. Left out for problems that make their own.
    gradient : mapping
        Which samples of its shard a node uses in an iteration.
    bias : list of mapping
        What is done to every node's gradient before it is sent, in this order; ``[]`` or ``none``: nothing.
    downlink : list of mapping
        The same for what the server broadcasts, as compressed changes of the model (EF21-P); ``[]``: the whole model.
    evaluate : mapping
        When the model is evaluated.
    wire : mapping
        How payloads are written.
    record : mapping
        What the run file holds.
    dtype : {"float32", "float64"}
        Of the model, of gradients, and of what is sent.
    on_divergence : {"stop", "continue"}
        Whether a run whose loss or gradient is no longer finite stops, with exit status 3, or goes on, with 0.
    checkpoint : mapping
        When all of the run is saved, so that it can be resumed.
    diagnostics : mapping
        When bias and noise are measured.
    transport : mapping
        What the server expects of its workers.
    output : str
        The run file; ``{name}`` and ``{seed}`` are filled in.
    """

    name: Name
    iterations: Annotated[int, Field(ge=1)]
    step_size: Any
    problem: Any
    nodes: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)] = 0
    momentum: Any = "sgd"
    data: Any = None
    gradient: Any = field(default_factory=dict)
    bias: Any = ()
    downlink: Any = ()
    evaluate: Any = field(default_factory=dict)
    wire: Any = field(default_factory=dict)
    record: Any = field(default_factory=dict)
    checkpoint: Any = field(default_factory=dict)
    diagnostics: Any = field(default_factory=dict)
    transport: Any = field(default_factory=dict)
    dtype: Dtype = "float32"
    on_divergence: OnDivergence = "stop"
    output: str = "results/{name}-{seed}.h5"
