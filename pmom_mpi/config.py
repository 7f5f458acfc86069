"""The experiment as typed, validated data: YAML in, YAML out, one clear line when something is wrong."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from pmom_mpi import registry
from pmom_mpi.data.sampling import Batch
from pmom_mpi.data.spec import DataSpec
from pmom_mpi.errors import UserError, blame
from pmom_mpi.schedules import Constant

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
    dtype: Literal["float32", "float64"] = "float32"
    on_divergence: Literal["stop", "continue"] = "stop"
    output: str = "results/{name}-{seed}.h5"


def load(path: str | Path) -> dict[str, Any]:
    """Read a YAML file; the result goes through `amend` to `from_raw`.

    Raises
    ------
    UserError
        When the file cannot be read or is not YAML.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise UserError(f"{path}: cannot read the config: {reason}") from None
    raw = parse(text, str(path))
    raw.setdefault("name", path.stem)
    return raw


def amend(raw: Mapping[str, Any], overrides: Iterable[str] = (), output: str | Path | None = None) -> dict[str, Any]:
    """A copy of ``raw`` with ``key.path=value`` overrides applied.

    Examples
    --------
    >>> amend({"seed": 0, "momentum": {"kind": "ema", "beta": 0.1}}, ["seed=3", "momentum.beta=1"])
    {'seed': 3, 'momentum': {'kind': 'ema', 'beta': 1}}
    """
    amended = copy.deepcopy(dict(raw))
    for override in overrides:
        _override(amended, override)
    if output is not None:
        amended["output"] = str(output)
    return amended


def allow_modules(folders: Iterable[str]) -> None:
    """Let kinds be the user's own ``module:Class`` from these folders."""
    sys.path.extend(folder for folder in folders if folder not in sys.path)


def parse(text: str, source: str) -> dict[str, Any]:
    """YAML text as a mapping; raises `UserError` that names ``source`` and the line."""
    try:
        raw = yaml.load(text, Loader=_UniqueKeys)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UserError(f"{source}{place}: {error.problem or 'not YAML'}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{source}: not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{source}: a config is a mapping of keys to values, not {raw!r}")
    return raw


def from_raw(raw: Mapping[str, Any], source: str = "config") -> Config:
    """Check everything that can be checked without data, and make the objects that the sections describe.

    Raises
    ------
    UserError
        One line: ``source``, key, what is wrong, and what would be right.
    """
    with blame(source):
        return _from_raw(dict(raw))


def to_yaml(raw: Mapping[str, Any]) -> str:
    """The config as it is written into run files: overrides applied, nothing left out."""
    return yaml.safe_dump(dict(raw), sort_keys=False, allow_unicode=True, width=100)


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


def _override(raw: dict[str, Any], text: str) -> None:
    """Apply one ``a.b.0.c=value``; the value is read as YAML."""
    path, equals, value_text = text.partition("=")
    if not equals or not path.strip():
        raise UserError(f"-s {text}: write key=value, as in -s momentum.beta=0.1")
    try:
        value = yaml.safe_load(value_text)
    except yaml.YAMLError:
        raise UserError(f"-s {text}: {value_text!r} is not a YAML value") from None
    *parents, last = path.strip().split(".")
    place: Any = raw
    for key in parents:
        place = _descend(place, key, text)
    if isinstance(place, list):
        place[_position(place, last, text)] = value
    else:
        place[last] = value


def _descend(place: Any, key: str, text: str) -> Any:
    if isinstance(place, list):
        position = _position(place, key, text)
        place[position] = _as_mapping(place[position])
        return place[position]
    found = place.get(key)
    place[key] = found if isinstance(found, list) else _as_mapping(found)
    if not isinstance(place[key], (dict, list)):
        raise UserError(f"-s {text}: {key} is {found!r} and has no keys below it")
    return place[key]


def _as_mapping(value: Any) -> Any:
    """A section that may be extended: nothing yet, or a bare kind."""
    if value is None:
        return {}
    return {"kind": value} if isinstance(value, str) else value


def _position(place: list[Any], key: str, text: str) -> int:
    if not key.isdecimal() or int(key) >= len(place):
        raise UserError(f"-s {text}: {key!r} is no position in a list of {len(place)}; positions begin at 0")
    return int(key)


class _UniqueKeys(yaml.SafeLoader):
    """A SafeLoader that refuses a key given twice instead of taking the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)
