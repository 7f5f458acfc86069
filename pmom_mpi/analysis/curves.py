"""Runs that differ in their seed only, together as one curve: its label, its look, its mean and band."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pmom_mpi.analysis.read import Run, one_line, stages
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
class Curve:
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
    def diverged(self) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.status == "diverged")

    @property
    def drawn(self) -> tuple[Run, ...]:
        """The runs that the mean is of: those that did not diverge, or all where all did."""
        return tuple(run for run in self.runs if run.status != "diverged") or self.runs

    @property
    def short(self) -> tuple[Run, ...]:
        """Those of the drawn runs that hold fewer iterations than the longest."""
        longest = max(run.iterations for run in self.drawn)
        return tuple(run for run in self.drawn if run.iterations < longest)

    @property
    def title(self) -> str:
        """The label, and what is not as it should be."""
        count = len(self.runs)
        said = [f"{count} seeds"] if count > 1 else []
        if self.diverged:
            said = ["diverged"] if count == 1 else [f"{len(self.diverged)} of {count} seeds diverged"]
        if self.short:
            rows = ", ".join(f"{run.iterations}" for run in self.short)
            said.append(f"{len(self.short)} short: {rows} of {max(run.iterations for run in self.drawn)} iterations")
        if self.missing:
            said.append(f"seed {', '.join(map(str, self.missing))} missing")
        return f"{self.label} ({'; '.join(said)})" if said else self.label

    def values(self, name: str) -> np.ndarray:
        """A metric of the drawn runs, shape (runs, longest), NaN where a run has nothing."""
        return _padded([run.metrics[name] for run in self.drawn])

    def places(self, name: str, against: str) -> np.ndarray:
        """Where the rows stand, shape (longest,): the mean over the drawn runs.

        A test value belongs to x^{k+1}, after what its row has sent; a training value to x^k, before.
        """
        after = self.runs[0].described[name].role == "test"
        amounts = _padded([_amount(run, against) for run in self.drawn])
        mean = np.nanmean(amounts, axis=0)  # of the steps, so that a run that ends early makes no jump
        total = np.cumsum(mean)
        return total if after else total - mean


def curves(runs: Sequence[Run]) -> list[Curve]:
    """Group the runs, and order the groups by their labels, numbers by their value."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        same = {key: value for key, value in run.config.items() if key not in ("seed", "output")}
        groups.setdefault(json.dumps(same, sort_keys=True, default=str), []).append(run)
    seeds = {_seed(run) for run in runs}
    flat = [_flat(group[0].config) for group in groups.values()]
    found = []
    for own, group in zip(flat, groups.values(), strict=True):
        missing = tuple(sorted(seeds - set(map(_seed, group)))) if len(group) > 1 else ()
        found.append((_method(own, flat), _rest(own, flat), _label(own, flat, group[0]), tuple(group), missing))
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


def _seed(run: Run) -> int:
    return int(run.config.get("seed", 0))


def _amount(run: Run, against: str) -> np.ndarray:
    """By how much each row moves on."""
    if against == "iteration":
        return np.ones(run.iterations)
    if against == "seconds":
        return run.metrics["time_total"]
    up, down = run.metrics["uplink_bits"], run.metrics["downlink_bits"]
    return {"bits": up + down, "uplink": up, "downlink": down}[against]


def _padded(rows: Sequence[np.ndarray]) -> np.ndarray:
    made = np.full((len(rows), max(len(row) for row in rows)), np.nan)
    for place, row in zip(made, rows, strict=True):
        place[: len(row)] = row
    return made


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
    text = ", ".join(words) or run.path.stem
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
