"""What a sweep varies: axes, each a list of choices; a choice is a label and the values it sets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pmom_mpi import config as configs
from pmom_mpi.analysis.read import one_line
from pmom_mpi.words.errors import UserError

LABEL_LENGTH = 40


@dataclass(frozen=True)
class Choice:
    """One place on an axis.

    Attributes
    ----------
    values : dict of str to object
        What is set: ``{"momentum.beta": 0.1}``; a value may be a list or a section.
    label : str
        What stands for it in names of files.
    told : dict of str to object
        What exclusions and tables call it: ``{"momentum.beta": 0.1}``, of a variant ``{"method": "top10"}``.
    """

    values: Mapping[str, Any]
    label: str
    told: Mapping[str, Any]

    @cached_property
    def overrides(self) -> tuple[str, ...]:
        """The values as `pmom_mpi.config.amend` reads them; made once, for runs by the hundred."""
        return tuple(override(key, value) for key, value in self.values.items())


@dataclass(frozen=True)
class Axis:
    """Choices of which each run has one."""

    names: tuple[str, ...]
    choices: tuple[Choice, ...]


def grid(raw: Any) -> list[Axis]:
    """``grid: {step_size: [0.1, 0.5], momentum.beta: [1, 0.1]}``: an axis a key."""
    section = _mapping("grid", raw)
    return [
        Axis((key,), tuple(Choice({key: value}, _label(key, value), {key: value}) for value in values))
        for key, values in ((key, _values(f"grid.{key}", below)) for key, below in section.items())
    ]


def zipped(raw: Any) -> list[Axis]:
    """``zip: {nodes: [10, 20], step_size: [0.5, 1]}``: keys that go together, or a list of such sections."""
    axes = []
    for place, section in enumerate(raw if isinstance(raw, list) else [raw]):
        where = f"zip.{place}" if isinstance(raw, list) else "zip"
        columns = {key: _values(f"{where}.{key}", values) for key, values in _mapping(where, section).items()}
        lengths = {len(values) for values in columns.values()}
        if len(lengths) != 1:
            counts = ", ".join(f"{key} {len(values)}" for key, values in columns.items())
            raise UserError(f"{where}: all keys need equally many values, at least one; here: {counts or 'no key'}")
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        labels = ["-".join(_label(key, value) for key, value in row.items()) for row in rows]
        choices = tuple(Choice(row, label, row) for row, label in zip(rows, labels, strict=True))
        axes.append(Axis(tuple(columns), choices))
    return axes


def variants(raw: Any) -> list[Axis]:
    """``variants: {method: {none: {bias: []}, ...}}``: an axis a name, a choice a named list of overrides."""
    axes = []
    for axis, named in _mapping("variants", raw).items():
        where = f"variants.{axis}"
        choices = []
        for name, overrides in _mapping(where, named).items():
            values = {} if overrides is None else _mapping(f"{where}.{name}", overrides)
            choices.append(Choice(values, _slug(name), {axis: name}))
        if not choices:
            raise UserError(f"{where}: needs at least one named variant")
        axes.append(Axis((axis,), tuple(choices)))
    return axes


def seeds(raw: Any) -> list[Axis]:
    """``seeds: [0, 1, 2]``, or how many, from 0."""
    whole = isinstance(raw, int) and not isinstance(raw, bool) and raw > 0
    numbers = list(range(raw)) if whole else raw
    right = isinstance(numbers, list) and numbers and all(type(seed) is int and seed >= 0 for seed in numbers)
    if not right:
        raise UserError(f"seeds: needs a list of numbers such as [0, 1, 2], or how many, not {raw!r}")
    return [Axis(("seed",), tuple(Choice({"seed": seed}, f"seed{seed}", {"seed": seed}) for seed in numbers))]


def _mapping(where: str, raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise UserError(f"{where}: needs a mapping of keys, not {raw!r}")
    return {str(key): value for key, value in raw.items()}


def _values(where: str, raw: Any) -> Sequence[Any]:
    if not isinstance(raw, list) or not raw:
        raise UserError(f"{where}: needs a list of values, not {raw!r}")
    return raw


def _label(key: str, value: Any) -> str:
    """``beta0.1`` of ``momentum.beta: 0.1``."""
    if isinstance(value, list):
        words = "+".join(map(one_line, value)) or "none"
    else:
        words = one_line(value)
    return _slug(key.rpartition(".")[2] + words if isinstance(value, (int, float)) else words)


def _slug(text: str) -> str:
    """What may stand in the name of a file, shortened."""
    return re.sub(r"[^A-Za-z0-9.+_-]+", "_", text).strip("_-")[:LABEL_LENGTH] or "none"


def override(key: str, value: Any) -> str:
    """As `pmom_mpi.config.amend` reads it.

    Examples
    --------
    >>> override("step_size", 1e-5), override("bias", [{"kind": "top_k", "k": 3}])
    ('step_size=1.0e-05', 'bias=[{kind: top_k, k: 3}]')
    """
    return f"{key}={configs.in_a_line(value)}"
