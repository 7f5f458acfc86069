"""Runs that differ in their seed only, together as one curve: its label, its look, its mean and band."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pmom_mpi.analysis.read import Run, one_line, stages
from pmom_mpi.analysis.seeds import Seeds, missing_seeds
from pmom_mpi.analysis.style import COLORS, DASHES, Look, look

AXES = {
    "iteration": ("iteration k", ""),
    "bits": ("sent, uplink and downlink", "bit"),
    "uplink": ("sent, uplink of all nodes", "bit"),
    "downlink": ("sent, downlink counted once", "bit"),
    "seconds": ("wall time", "s"),
}
"""What a metric can be drawn against: label and unit."""

METHOD = ("bias", "downlink")
"""Sections of the config that make a method; the colour is theirs."""


@dataclass(frozen=True)
class Curve(Seeds):
    """The runs that differ in their seed only.

    Attributes
    ----------
    label : str
        What sets them apart from the others.
    runs : tuple of Run
    look : Look
    missing : tuple of int
        Seeds that another curve of the picture has.
    """

    label: str
    runs: tuple[Run, ...]
    look: Look
    missing: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """The label, how many seeds, and what is not as it should be."""
        return self.told(self.label, count=True)


def curves(runs: Sequence[Run]) -> list[Curve]:
    """Group the runs, and order the groups by their labels, numbers by their value."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        same = {key: value for key, value in run.config.items() if key not in ("seed", "output")}
        groups.setdefault(json.dumps(same, sort_keys=True, default=str), []).append(run)
    flat = [_flat(group[0].config) for group in groups.values()]
    found = []
    for own, group in zip(flat, groups.values(), strict=True):
        label, missing = _label(own, flat, group[0]), missing_seeds(group, runs)
        found.append((_method(own, flat), _rest(own, flat), label, tuple(group), missing))
    found.sort(key=lambda entry: natural(entry[2]))
    methods, others = ([*dict.fromkeys(entry[part] for entry in found)] for part in (0, 1))
    crossed = 1 < len(methods) <= len(COLORS) and 1 < len(others) <= len(DASHES) and len(others) < len(found)
    return [
        Curve(label, group, _crossed(methods.index(method), others.index(rest)) if crossed else look(place), missing)
        for place, (method, rest, label, group, missing) in enumerate(found)
    ]


def natural(text: str) -> list[tuple[int, float, str]]:
    """A key that orders texts with numbers as people do.

    Examples
    --------
    >>> sorted(["top 10 %", "top 2 %", "beta = 0.1", "beta = 0.01"], key=natural)
    ['beta = 0.01', 'beta = 0.1', 'top 2 %', 'top 10 %']
    """
    parts = re.split(r"((?<![\w.])\d+(?:\.\d+)?(?:e[-+]?\d+)?|\d+)", text)
    return [(0, float(part), "") if place % 2 else (1, 0.0, part) for place, part in enumerate(parts) if part]


def _crossed(method: int, other: int) -> Look:
    """Colour by method, line style by what else differs."""
    return Look(COLORS[method], DASHES[other])


def _differing(own: Mapping[str, str], all_: Sequence[Mapping[str, str]]) -> list[str]:
    """The keys in which a config differs from some other."""
    return [
        key for key in own
        if key not in ("seed", "output", "name") and any(other.get(key) != own[key] for other in all_)
    ]  # fmt: skip


def _method(own: Mapping[str, str], all_: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """What a colour stands for: the bias where it differs, else the name."""
    return _biased(own) if len({_biased(flat) for flat in all_}) > 1 else (own.get("name", ""),)


def _rest(own: Mapping[str, str], all_: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """What a line style stands for: all that differs beside the bias."""
    return tuple(f"{key}={own[key]}" for key in _differing(own, all_) if not key.startswith(METHOD))


def _label(own: Mapping[str, str], all_: Sequence[Mapping[str, str]], run: Run) -> str:
    """The name where it is the only one of its kind, else with the keys in which runs of this name differ."""
    name = run.name
    alike = [flat for flat in all_ if flat.get("name") == own.get("name")]
    if len(alike) == 1:
        return name
    keys = _differing(own, alike)
    words = [f"{key} = {own[key]}" for key in keys if not key.startswith(METHOD)]
    if len({_biased(flat) for flat in alike}) > 1:
        words.insert(0, _method_words(run))
    text = ", ".join(words) or run.stem
    return text if len(alike) == len(all_) else f"{name}: {text}"


def _method_words(run: Run) -> str:
    """The stages of the bias, and of the downlink where there is one."""
    up, down = (" + ".join(map(one_line, stages(run.config, section))) for section in METHOD)
    return (up or "no bias") + (f", downlink {down}" if down else "")


def _biased(flat: Mapping[str, str]) -> tuple[str, ...]:
    """What a config says of the bias."""
    return tuple(f"{key}={value}" for key, value in flat.items() if key.startswith(METHOD))


def _flat(section: Any, path: str = "") -> dict[str, str]:
    if isinstance(section, dict):
        parts = list(section.items())
    elif isinstance(section, list):
        parts = list(enumerate(section))
    else:
        return {path: str(section)}
    flat: dict[str, str] = {}
    for key, value in parts:
        flat |= _flat(value, f"{path}.{key}" if path else str(key))
    return flat
