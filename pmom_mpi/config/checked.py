"""A whole config, found valid, as typed data: sections become the objects that they describe."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeVar

from pydantic import Field

from pmom_mpi.bias.base import Stage
from pmom_mpi.config.sections import (
    Checkpoint,
    Diagnostics,
    Dtype,
    Evaluate,
    OnDivergence,
    Record,
    Sections,
    Transport,
    Wire,
)
from pmom_mpi.data.sampling import Batch
from pmom_mpi.data.spec import DataSpec
from pmom_mpi.method.momentum import MomentumRule
from pmom_mpi.method.schedules import Constant, Schedule
from pmom_mpi.problems.base import Problem
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError, blame

T = TypeVar("T")

StepSize = Annotated[float, Field(gt=0, allow_inf_nan=False)]
BATCH_KEYS = {"batch": "size", "order": "order"}
"""Keys of the section ``gradient``, and what `Batch` calls them."""


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
