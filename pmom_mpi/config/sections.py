"""The experiment as typed, validated data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from pmom_mpi.data.sampling import Batch
from pmom_mpi.data.spec import DataSpec
from pmom_mpi.method.schedules import Constant
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError, blame

StepSize = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, pattern=r"^[^/\s]+$")]


@dataclass(frozen=True)
class Evaluate:
    """When the model is evaluated: x^k for every k that ``every`` divides, and the last; 0 is never."""

    every: Annotated[int, Field(ge=0)] = 1

    def due(self, iteration: int, total: int) -> bool:
        """Whether x^iteration is evaluated in a run of ``total`` iterations."""
        return self.every > 0 and (iteration % self.every == 0 or iteration == total)


@dataclass(frozen=True)
class Wire:
    """How payloads are written."""

    checksum: bool = False


@dataclass(frozen=True)
class Record:
    """What the run file holds, and how often it is brought up to date."""

    flush_seconds: Annotated[float, Field(ge=0)] = 1.0
    nodes: bool = False
    """Also one value a node and iteration of everything that is measured on nodes (/nodes)."""


@dataclass(frozen=True)
class Diagnostics:
    """When nodes also compute their exact gradients, so that bias and noise are measured: one more full gradient."""

    every: Annotated[int, Field(ge=0)] = 0
    """On iterations that this divides; 0: never, which costs nothing."""
    repeats: Annotated[int, Field(ge=0)] = 0
    """How many further draws of every node's estimate tell its mean bias from its noise; 0: none."""

    def __post_init__(self) -> None:
        if self.repeats == 1:
            raise ValueError("repeats must be 0, or at least 2: from one draw no variance can be told")


@dataclass(frozen=True)
class Checkpoint:
    """When all of a run is saved, so that `pmom resume` can go on from there; on a signal it always is."""

    every: Annotated[int, Field(ge=0)] = 0
    """Before every iteration that this divides; 0: never."""
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """When so many seconds have passed since the last; 0: never."""
    keep: Annotated[int, Field(ge=1)] = 2
    """How many of them stay: the newest ones."""


@dataclass(frozen=True)
class Config:
    """A whole experiment.

    `load` reads YAML, `amend` applies overrides, `from_raw` makes this of the result. Sections that choose a kind
    (problem, bias, momentum) hold the objects made of them.
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
    dtype: Literal["float32", "float64"] = "float32"
    on_divergence: Literal["stop", "continue"] = "stop"
    output: str = "results/{name}-{seed}.h5"


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
    config: Config = registry.construct(Config, "", _with_nodes(raw))
    return replace(
        config,
        problem=registry.build(registry.PROBLEMS, "problem", config.problem),
        momentum=registry.build(registry.MOMENTUM, "momentum", config.momentum),
        bias=_stages("bias", config.bias),
        downlink=_stages("downlink", config.downlink),
        step_size=_step_size(config.step_size),
        gradient=_batch(config.gradient),
        evaluate=_section(Evaluate, "evaluate", config.evaluate),
        wire=_section(Wire, "wire", config.wire),
        record=_section(Record, "record", config.record),
        checkpoint=_section(Checkpoint, "checkpoint", config.checkpoint),
        diagnostics=_section(Diagnostics, "diagnostics", config.diagnostics),
        data=None if config.data is None else _section(DataSpec, "data", config.data),
        output=_output(config),
    )


def _with_nodes(raw: dict[str, Any]) -> dict[str, Any]:
    """n may stand at the top or, where there is a data set to divide, in its section."""
    data = raw.get("data")
    if data is None:
        return raw
    if not isinstance(data, dict):
        raise UserError(f"data: needs a mapping with a name and a number of nodes, not {data!r}")
    top, below = raw.get("nodes"), data.get("nodes")
    if top is not None and below is not None and top != below:
        raise UserError(f"nodes: {top} here but data.nodes says {below}; give one of them")
    nodes = below if top is None else top
    return raw if nodes is None else {**raw, "nodes": nodes, "data": {**data, "nodes": nodes}}


def _section(cls: type, where: str, raw: Any) -> Any:
    if not isinstance(raw, dict):
        keys = ", ".join(f.name for f in fields(cls))
        raise UserError(f"{where}: needs a mapping with keys {keys}, not {raw!r}")
    return registry.construct(cls, where, raw)


def _batch(raw: Any) -> Batch:
    """``gradient: {batch: 64}``: what the class calls ``size`` is the key ``batch``."""
    if not isinstance(raw, dict) or "size" in raw:
        raise UserError(f"gradient: needs a mapping with keys batch, order, not {raw!r}")
    try:
        return _section(Batch, "gradient", {"size" if key == "batch" else key: value for key, value in raw.items()})
    except UserError as error:
        raise UserError(str(error).replace("gradient.size", "gradient.batch")) from None


def _stages(where: str, raw: Any) -> tuple[Any, ...]:
    if raw is None or raw == "none":
        return ()
    stages = raw if isinstance(raw, (list, tuple)) else [raw]
    return tuple(registry.build(registry.BIAS, f"{where}[{place}]", stage) for place, stage in enumerate(stages))


def _step_size(raw: Any) -> Any:
    if isinstance(raw, dict):
        return registry.build(registry.SCHEDULES, "step_size", raw)
    return Constant(registry.value(StepSize, "step_size", raw))


def _output(config: Config) -> str:
    try:
        return config.output.format(name=config.name, seed=config.seed)
    except (KeyError, IndexError, ValueError):
        raise UserError(f"output: {config.output!r} may use {{name}} and {{seed}} only") from None
