"""Every key of every kind, taken from the dataclasses: their fields, annotations, defaults, and docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pydantic
import yaml

from pmom_mpi.config import places
from pmom_mpi.config.text import in_a_line
from pmom_mpi.data.spec import PARTITIONS
from pmom_mpi.words import registry

KINDS = {
    "problem": registry.PROBLEMS,
    "bias": registry.BIAS,
    "momentum": registry.MOMENTUM,
    "step_size": registry.SCHEDULES,
    "data.partition": PARTITIONS,
}
"""The sections that choose a kind; downlink takes those of bias."""
SECTIONS = {
    "config": "pmom_mpi.config.sections:Sections",
    "data": "pmom_mpi.data.spec:DataSpec",
    "gradient": "pmom_mpi.data.sampling:Batch",
    "evaluate": "pmom_mpi.config.sections:Evaluate",
    "wire": "pmom_mpi.config.sections:Wire",
    "record": "pmom_mpi.config.sections:Record",
    "checkpoint": "pmom_mpi.config.sections:Checkpoint",
    "transport": "pmom_mpi.config.sections:Transport",
    "diagnostics": "pmom_mpi.config.sections:Diagnostics",
    "problem.synthetic": "pmom_mpi.problems.synthetic:Synthetic",
}
"""The sections that have keys but no kind."""
RENAMED = {("gradient", "size"): "batch"}
"""Keys that are not called as the field is."""
HEADING = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)
BOUNDS = (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))
TYPES = {"integer": "int", "number": "float", "string": "str", "boolean": "bool", "object": "mapping"}


@dataclass(frozen=True)
class Key:
    """A key of a kind or section.

    Attributes
    ----------
    name, type, default, range, unit, description : str
        As they are printed; default is ``required`` where there is none, the others are empty where nothing is to say.
    example : object
        A value that is valid, as YAML gives it.
    """

    name: str
    type: str
    default: str
    range: str
    unit: str
    description: str
    example: Any


@dataclass(frozen=True)
class Entry:
    """A kind, or a section without kinds.

    Attributes
    ----------
    section : str
        Where it may stand: ``bias``.
    name : str
        The kind, or the section again.
    summary, text : str
        The docstring's first line, and what follows it up to its first heading.
    keys : tuple of Key
    """

    section: str
    name: str
    summary: str
    text: str
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class Said:
    """What a docstring's Parameters say of a name."""

    type: str = ""
    unit: str = ""
    description: str = ""


@cache
def targets() -> dict[tuple[str, str], str]:
    """``module:Class`` by section and name, in the order of the reference."""
    sections = {(name, name): target for name, target in SECTIONS.items()}
    kinds = {(section, kind): target for section, table in KINDS.items() for kind, target in table.items()}
    return sections | kinds


@cache
def entry(section: str, name: str) -> Entry:
    """What is to be said of a kind or section.

    Raises
    ------
    UserError
        When the kind needs a package that is not installed.
    """
    return describe(section, name, pkgutil.resolve_name(targets()[section, name]))


def describe(section: str, name: str, cls: type) -> Entry:
    """What a dataclass says of itself; also of the user's own."""
    summary, _, rest = inspect.cleandoc(cls.__doc__ or "").partition("\n")
    found = HEADING.search(rest)
    text = rest[: found.start()] if found else rest
    said: dict[str, Said] = {}
    for base in reversed(cls.__mro__):
        said |= {key: told for key, told in _parameters(base).items() if told.description or key not in said}
    fields = [field for field in dataclasses.fields(cls) if field.init]
    keys = tuple(_key(section, name, cls, field, said.get(field.name, Said())) for field in fields)
    return Entry(section, name, summary, text.strip(), keys)


def _parameters(cls: type) -> dict[str, Said]:
    """Of every name in the docstring's Parameters; ``a, b : float`` describes both."""
    parts = HEADING.split(inspect.cleandoc(cls.__doc__ or ""))
    block = dict(zip(parts[1::2], parts[2::2], strict=True)).get("Parameters", "")
    found: dict[str, Said] = {}
    for head, body in re.findall(r"^(\w.*)\n((?:[ ]+.*\n?|\n(?=[ ]))*)", block + "\n", re.MULTILINE):
        names, _, kind = head.partition(" : ")
        plain, _, unit = kind.removesuffix(", optional").partition(", in ")
        for name in names.split(", "):
            found[name.strip()] = Said(plain, unit, " ".join(body.split()))
    return found


def _key(section: str, kind: str, cls: type, field: dataclasses.Field[Any], said: Said) -> Key:
    name = RENAMED.get((section, field.name), field.name)
    schema, definitions = _schema(cls, field.name)
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    default = "required" if required else _default(field)
    used = _used(section, kind, name)
    example = used if used is not None else _example(schema, field, name, required)
    kind_of_value = _type(schema, definitions) or said.type
    return Key(name, kind_of_value, default, _range(schema), said.unit, said.description, example)


def _schema(cls: type, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A field's JSON schema, and the definitions it may refer to."""
    whole = pydantic.TypeAdapter(cls).json_schema()
    return whole["properties"][name], whole.get("$defs", {})


def _branches(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The alternatives of a union, null excepted."""
    return [branch for branch in schema.get("anyOf", [schema]) if branch.get("type") != "null"]


def _type(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    names = [_plain(branch, definitions) for branch in _branches(schema)]
    optional = " or null" if len(names) < len(schema.get("anyOf", [schema])) else ""
    return " or ".join(names) + optional


def _plain(branch: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in branch:
        return str(branch["$ref"].rpartition("/")[2])
    if "enum" in branch or "const" in branch:
        return "str"
    if branch.get("type") == "array":
        inner = branch.get("prefixItems") or [branch.get("items", {})]
        return f"list of {_plain(inner[0], definitions)}"
    return TYPES.get(str(branch.get("type")), "")


def _range(schema: dict[str, Any]) -> str:
    """What the type does not say: words to choose from, bounds; of a list, those of its items."""
    said = []
    for branch in _branches(schema):
        inner = branch.get("prefixItems", [branch.get("items") or branch])[0]
        words = [branch["const"]] if "const" in branch else inner.get("enum", [])
        bounds = [f"{sign} {inner[bound]}".removesuffix(".0") for bound, sign in BOUNDS if bound in inner]
        said.append(", ".join(map(str, words)) or " and ".join(bounds))
    return " or ".join(dict.fromkeys(filter(None, said)))


def _default(field: dataclasses.Field[Any]) -> str:
    factory = field.default_factory
    return in_a_line(_data(field.default if factory is dataclasses.MISSING else factory()))


def _data(value: Any) -> Any:
    """A default as a config would write it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key: _data(item) for key, item in dataclasses.asdict(value).items() if item is not None}
    return [_data(item) for item in value] if isinstance(value, tuple) else value


def _example(schema: dict[str, Any], field: dataclasses.Field[Any], name: str, required: bool) -> Any:
    """The default where there is one, else the simplest value of the key's first alternative."""
    if not required and (value := yaml.safe_load(_default(field))) is not None:
        return value
    first = _branches(schema)[0]
    if "$ref" in first:
        return {}
    if first.get("type") == "array":
        return [1] * first.get("minItems", 2)
    if "enum" in first:
        return first["enum"][0]
    if first.get("type") == "number":
        return 0.1
    return first.get("minimum", 1) if first.get("type") == "integer" else "flip" if name == "augment" else "text"


def _used(section: str, kind: str, key: str) -> Any:
    """The value that the first ready config gives to this key of this kind."""
    for raw in _ready():
        for mapping in _mappings(raw, section):
            if mapping.get("kind", section) in (kind, section) and mapping.get(key) is not None:
                return mapping[key]
    return None


@cache
def _ready() -> tuple[dict[str, Any], ...]:
    """The ready configs' contents, the quickstart's first."""
    files = sorted(places.ready().items(), key=lambda item: item[0] != "quickstart")
    return tuple(yaml.safe_load(path.read_text(encoding="utf-8")) for _, path in files)


def _mappings(raw: Any, section: str) -> Iterator[dict[str, Any]]:
    """The mappings that stand at a section's place, or at any of its list's."""
    for part in [] if section == "config" else section.split("."):
        raw = raw.get(part) if isinstance(raw, dict) else None
    yield from (item for item in (raw if isinstance(raw, list) else [raw]) if isinstance(item, dict))


def line(item: Key) -> str:
    """A key's example as a config writes it."""
    return f"{item.name}: {in_a_line(item.example)}"
