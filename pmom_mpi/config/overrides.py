"""The language of ``-s key.path=value``."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pmom_mpi.words.errors import UserError


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


def _override(raw: dict[str, Any], text: str) -> None:
    """Apply one ``a.b.0.c=value``; the value is read as YAML."""
    path, equals, value_text = text.partition("=")
    if not equals or not path.strip():
        raise UserError(f"-s {text}: write key=value, as in -s momentum.beta=0.1")
    try:
        value = yaml.safe_load(value_text)
    except (yaml.YAMLError, ValueError, RecursionError):
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
