"""YAML text to plain data and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pmom_mpi.data.library import is_named
from pmom_mpi.words.errors import UserError

LARGEST_CONFIG = 100_000
"""Values that a config may have once its aliases are written out: a short text of aliases can stand for billions."""
WHOLE = 2**53
"""Up to here float64 tells whole numbers apart, so that 1e2 can be one."""

INT = re.compile(r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
INT_TAG, FLOAT_TAG = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"

SHOWN = 100
"""How many characters of a wrong config a message shows."""


def load(path: str | Path) -> dict[str, Any]:
    """Read a YAML file; the result goes through `amend` to `from_raw`.

    Where ``data.name`` or ``data.test`` is a path from here it is left alone, else where it is one from the config's
    folder it becomes that file's whole path.

    Raises
    ------
    UserError
        When the file cannot be read or is not YAML.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise UserError(f"{path}: cannot read the config: {reason}") from None
    raw = parse(text, str(path))
    raw.setdefault("name", path.stem)
    data = raw.get("data")
    if isinstance(data, dict):
        raw["data"] = {key: _beside(path, key, value) for key, value in data.items()}
    return raw


def _beside(config: Path, key: Any, value: Any) -> Any:
    if key not in ("name", "test") or not isinstance(value, str) or Path(value).expanduser().exists():
        return value
    beside = config.resolve().parent / value
    return str(beside) if beside.exists() and not is_named(value) else value


def parse(text: str, source: str) -> dict[str, Any]:
    """YAML text as a mapping; raises `UserError` that names ``source`` and the line."""
    try:
        raw = _construct(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UserError(f"{source}{place}: {error.problem or 'not YAML'}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # values: a date that does not exist
        raise UserError(f"{source}: not YAML: {(str(error).splitlines() or [''])[0]}") from None
    except RecursionError:
        raise UserError(f"{source}: nested too deeply for a config") from None
    if not isinstance(raw, dict):
        raise UserError(f"{source}: a config is a mapping of keys to values, not {repr(raw)[:SHOWN]}")
    return raw


def value(text: str) -> Any:
    """A single YAML value, read as in a file; raises `UserError` when it is none.

    Examples
    --------
    >>> value("1e2"), value("012"), value("1:30"), value("[a, 1.5]")
    (100, 12, '1:30', ['a', 1.5])
    """
    try:
        return _construct(text)
    except yaml.MarkedYAMLError as error:
        raise UserError(f"{text!r} is not a YAML value: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        raise UserError(f"{text!r} is not a YAML value") from None


def to_yaml(raw: Mapping[str, Any]) -> str:
    """The config as it is written into run files: overrides applied, nothing left out."""
    return yaml.dump(dict(raw), Dumper=_Writer, sort_keys=False, allow_unicode=True, width=100)


def _construct(text: str) -> Any:
    loader = _Reader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_size(root: yaml.Node) -> None:
    """Refuse what aliases make too large, or endless; every node is counted once and its sum reused."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            if sizes[id(node)] == 0:
                raise yaml.constructor.ConstructorError(None, None, "an alias stands for itself", node.start_mark)
            return sizes[id(node)]
        sizes[id(node)] = 0
        below: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            below = node.value
        elif isinstance(node, yaml.MappingNode):
            below = [part for pair in node.value for part in pair]
        sizes[id(node)] = 1 + sum(size(part) for part in below)
        if sizes[id(node)] > LARGEST_CONFIG:
            what = f"with its aliases written out this has more than {LARGEST_CONFIG:,} values"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark)
        return sizes[id(node)]

    size(root)


class _Reader(yaml.SafeLoader):
    """YAML's safe loader, with the numbers of YAML 1.2 and without surprises.

    A key given twice is refused instead of the last one being taken. 012 is twelve, not ten (YAML 1.1's octal); 1e2 is
    the whole number 100, not text; 1:30 is text, not ninety (YAML 1.1's base sixty).
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)

    def number(self, node: yaml.ScalarNode) -> int | float:
        text = self.construct_scalar(node).replace("_", "").lower()
        if INT.fullmatch(text):
            return int(text, 16 if "x" in text else 10)
        number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
        return (
            int(number)
            if "." not in text and "e" in text and abs(number) <= WHOLE and number == int(number)
            else number
        )


class _Writer(yaml.SafeDumper):
    """Quotes text that the reader, or another YAML reader, would take for something else."""


def _resolve(cls: type, keep: bool) -> None:
    """Let ``cls`` know numbers as the reader does, with (``keep``) or without those of YAML 1.1 as well."""
    table = {first: list(pairs) for first, pairs in cls.yaml_implicit_resolvers.items()}  # type: ignore[attr-defined]
    numbers = (INT_TAG, FLOAT_TAG)
    if not keep:
        table = {first: [pair for pair in pairs if pair[0] not in numbers] for first, pairs in table.items()}
    for first in "-+.0123456789":
        for tag, pattern in ((INT_TAG, INT), (FLOAT_TAG, FLOAT)):
            table.setdefault(first, []).append((tag, re.compile(f"(?:{pattern.pattern})$")))
    cls.yaml_implicit_resolvers = table  # type: ignore[attr-defined]


_resolve(_Reader, keep=False)
_resolve(_Writer, keep=True)
_Reader.add_constructor(INT_TAG, _Reader.number)
_Reader.add_constructor(FLOAT_TAG, _Reader.number)


def in_a_line(value: Any) -> str:
    """A value as a config may have it behind a key, in one line.

    Examples
    --------
    >>> in_a_line([{"kind": "top_k", "k": 3}]), in_a_line("sgd"), in_a_line(1e-5)
    ('[{kind: top_k, k: 3}]', 'sgd', '1.0e-05')
    """
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False, allow_unicode=True)
    return text.removesuffix("...\n").strip()
