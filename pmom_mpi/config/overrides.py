"""The language of ``-s key.path=value``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pmom_mpi.config.plain import plain
from pmom_mpi.config.text import value
from pmom_mpi.words.errors import UserError, blame

INSTEAD = {"k": "fraction", "fraction": "k"}
"""Keys of which a section has one: setting it takes the other's place."""


def amend(raw: Mapping[str, Any], overrides: Iterable[str] = (), output: str | Path | None = None) -> dict[str, Any]:
    """A copy of ``raw``, as plain YAML data, with ``key.path=value`` overrides applied.

    Examples
    --------
    >>> amend({"seed": 0, "momentum": {"kind": "ema", "beta": 0.1}}, ["seed=3", "momentum.beta=1"])
    {'seed': 3, 'momentum': {'kind': 'ema', 'beta': 1}}
    >>> amend({"bias": [{"kind": "top_k", "fraction": 0.1}]}, ["bias.0.k=100"])
    {'bias': [{'kind': 'top_k', 'k': 100}]}
    """
    amended: dict[str, Any] = plain(raw)
    overrides = tuple(overrides)
    for override in overrides:
        _override(amended, override, {text.partition("=")[0].strip() for text in overrides})
    if output is not None:
        amended["output"] = str(output)
    return amended


def _override(raw: dict[str, Any], text: str, given: Collection[str]) -> None:
    """Apply one ``a.b.0.c=value`` of those that are given; the value is read as YAML."""
    path, equals, written = text.partition("=")
    if not equals or not path.strip():
        raise UserError(f"override {text!r}: write key=value, as in momentum.beta=0.1")
    with blame(f"override {text!r}"):
        found = value(written)
    *parents, last = path.strip().split(".")
    place: Any = raw
    for key in parents:
        place = _descend(place, key, text)
    if isinstance(place, list):
        place[_position(place, last, text)] = found
    else:
        place[last] = found
        if last in INSTEAD and ".".join([*parents, INSTEAD[last]]) not in given:
            place.pop(INSTEAD[last], None)


def _descend(place: Any, key: str, text: str) -> Any:
    if isinstance(place, list):
        position = _position(place, key, text)
        place[position] = _as_mapping(place[position])
        return place[position]
    found = place.get(key)
    place[key] = found if isinstance(found, list) else _as_mapping(found)
    if not isinstance(place[key], (dict, list)):
        raise UserError(f"override {text!r}: {key} is {found!r} and has no keys below it")
    return place[key]


def _as_mapping(value: Any) -> Any:
    """A section that may be extended: nothing yet, or a bare kind."""
    if value is None:
        return {}
    return {"kind": value} if isinstance(value, str) else value


def _position(place: list[Any], key: str, text: str) -> int:
    if not key.isdecimal() or int(key) >= len(place):
        raise UserError(f"override {text!r}: {key!r} is no position in a list of {len(place)}; positions begin at 0")
    return int(key)
