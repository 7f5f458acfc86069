"""YAML text to plain data and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pmom_mpi.words.errors import UserError

MOST_VALUES = 100_000
"""What a config may hold once its aliases are written out; a few lines of aliases of aliases stand for billions."""

SHOWN = 100
"""How many characters of a wrong config a message shows."""


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


def parse(text: str, source: str) -> dict[str, Any]:
    """YAML text as a mapping; raises `UserError` that names ``source`` and the line."""
    try:
        raw = yaml.load(text, Loader=_UniqueKeys)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UserError(f"{source}{place}: {error.problem or 'not YAML'}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # values: a date that does not exist
        raise UserError(f"{source}: not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise UserError(f"{source}: nested too deeply for a config") from None
    if not isinstance(raw, dict):
        raise UserError(f"{source}: a config is a mapping of keys to values, not {repr(raw)[:SHOWN]}")
    return raw


def to_yaml(raw: Mapping[str, Any]) -> str:
    """The config as it is written into run files: overrides applied, nothing left out."""
    return yaml.safe_dump(dict(raw), sort_keys=False, allow_unicode=True, width=100)


class _UniqueKeys(yaml.SafeLoader):
    """A SafeLoader that refuses a key given twice instead of taking the last one silently, or aliases without bound."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _count(node, {})
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values stand below a node with aliases written out; raises where that is too many, or never ends."""
    if id(node) in known:
        if known[id(node)] == 0:
            raise yaml.constructor.ConstructorError(None, None, "an alias of what it is part of", node.start_mark)
        return known[id(node)]
    known[id(node)] = 0
    below: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        below = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        below = node.value
    known[id(node)] = count = 1 + sum(_count(part, known) for part in below)
    if count > MOST_VALUES:
        words = f"more than {MOST_VALUES:,} values, with aliases written out"
        raise yaml.constructor.ConstructorError(None, None, words, node.start_mark)
    return count
