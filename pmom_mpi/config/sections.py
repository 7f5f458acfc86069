"""The experiment as typed, validated data."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from pmom_mpi.bias.base import Stage
from pmom_mpi.data.sampling import Batch
from pmom_mpi.data.spec import DataSpec
from pmom_mpi.method.momentum import MomentumRule
from pmom_mpi.method.schedules import Constant, Schedule
from pmom_mpi.problems.base import Problem
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError, blame

T = TypeVar("T")

StepSize = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, pattern=r"^[^/\s]+$")]
Dtype = Literal["float32", "float64"]
OnDivergence = Literal["stop", "continue"]
OnLoss = Literal["reassign", "drop"]
BATCH_KEYS = {"batch": "size", "order": "order"}
"""Keys of the section ``gradient``, and what `Batch` calls them."""


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


@dataclass(frozen=True)
class Config:
    """A whole experiment, checked: frozen data, made by `from_raw`.

    `load` reads YAML, `amend` applies overrides, `from_raw` makes this of the result. Momentum, step size and stages
    are objects that never change. A problem does when it is set up, so `make_problem` makes a new one whenever it is
    asked.
    """

    name: str
    iterations: int
    step_size: Schedule
    nodes: int
    seed: int
    momentum: MomentumRule
    data: DataSpec | None
    gradient: Batch
    bias: tuple[Stage, ...]
    downlink: tuple[Stage, ...]
    evaluate: Evaluate
    wire: Wire
    record: Record
    checkpoint: Checkpoint
    transport: Transport
    diagnostics: Diagnostics
    dtype: Dtype
    on_divergence: OnDivergence
    output: str
    section: str | Mapping[str, Any]
    """The problem's section, which has been found valid."""

    def make_problem(self) -> Problem:
        """The problem of the config, new and not yet set up."""
        return registry.build(registry.PROBLEMS, "problem", copy.deepcopy(self.section))


def from_raw(raw: Mapping[str, Any], source: str = "config") -> Config:
    """Check everything that can be checked without data, and make the objects that the sections describe.

    Raises
    ------
    UserError
        One line: ``source``, key, what is wrong, and what would be right.
    """
    with blame(source):
        return _from_raw(dict(raw))


def _from_raw(raw: dict[str, Any]) -> Config:
    told: Sections = registry.construct(Sections, "", _with_nodes(raw))
    registry.build(registry.PROBLEMS, "problem", told.problem)  # its keys are checked; `make_problem` makes it afresh
    return Config(
        name=told.name,
        iterations=told.iterations,
        step_size=_step_size(told.step_size),
        nodes=told.nodes,
        seed=told.seed,
        momentum=registry.build(registry.MOMENTUM, "momentum", told.momentum),
        data=None if told.data is None else _section(DataSpec, "data", told.data),
        gradient=_batch(told.gradient),
        bias=_stages("bias", told.bias),
        downlink=_stages("downlink", told.downlink),
        evaluate=_section(Evaluate, "evaluate", told.evaluate),
        wire=_section(Wire, "wire", told.wire),
        record=_section(Record, "record", told.record),
        checkpoint=_section(Checkpoint, "checkpoint", told.checkpoint),
        transport=_section(Transport, "transport", told.transport),
        diagnostics=_section(Diagnostics, "diagnostics", told.diagnostics),
        dtype=told.dtype,
        on_divergence=told.on_divergence,
        output=_output(told),
        section=told.problem,
    )


def _with_nodes(raw: dict[str, Any]) -> dict[str, Any]:
    """n may stand at the top or, where there is a data set to divide, in its section."""
    data = raw.get("data")
    if data is not None and not isinstance(data, dict):
        raise UserError(f"data: needs a mapping with a name and a number of nodes, not {data!r}")
    top, below = raw.get("nodes"), (data or {}).get("nodes")
    if top is not None and below is not None and top != below:
        raise UserError(f"nodes: {top} here but data.nodes says {below}; give one of them")
    nodes = below if top is None else top
    if nodes is None and "problem" in raw:
        own = "" if data else ", with a name and nodes; or nodes alone where the problem makes its own data"
        raise UserError(f"{'data.nodes' if data else 'data'}: this key is required{own}")
    return raw if nodes is None or data is None else {**raw, "nodes": nodes, "data": {**data, "nodes": nodes}}


def _section(cls: type[T], where: str, raw: Any) -> T:
    if not isinstance(raw, dict):
        keys = ", ".join(f.name for f in fields(cls))  # type: ignore[arg-type]
        raise UserError(f"{where}: needs a mapping with keys {keys}, not {raw!r}")
    return registry.construct(cls, where, raw)


def _batch(raw: Any) -> Batch:
    """``gradient: {batch: 64}``: what the class calls ``size`` is the key ``batch``."""
    if not isinstance(raw, dict):
        raise UserError(f"gradient: needs a mapping with keys batch, order, not {raw!r}")
    for key in raw:
        if key not in BATCH_KEYS:
            raise UserError(registry.unknown("gradient", str(key), BATCH_KEYS))
    try:
        return registry.construct(Batch, "gradient", {BATCH_KEYS[key]: value for key, value in raw.items()})
    except UserError as error:
        raise UserError(str(error).replace("gradient.size", "gradient.batch")) from None


def _stages(where: str, raw: Any) -> tuple[Stage, ...]:
    if raw is None or raw == "none":
        return ()
    stages = raw if isinstance(raw, (list, tuple)) else [raw]
    return tuple(registry.build(registry.BIAS, f"{where}[{place}]", stage) for place, stage in enumerate(stages))


def _step_size(raw: Any) -> Schedule:
    if isinstance(raw, dict):
        return registry.build(registry.SCHEDULES, "step_size", raw)
    return Constant(registry.value(StepSize, "step_size", raw))


def _output(config: Sections) -> str:
    try:
        return config.output.format(name=config.name, seed=config.seed)
    except (KeyError, IndexError, ValueError):
        raise UserError(f"output: {config.output!r} may use {{name}} and {{seed}} only") from None
