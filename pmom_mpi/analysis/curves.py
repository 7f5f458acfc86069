"""Runs that differ in their seed only, together as one curve: its label, its look, its mean and band."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pmom_mpi.analysis.read import Run, one_line, stages
from pmom_mpi.analysis.seeds import Seeds, missing_seeds
from pmom_mpi.analysis.style import COLORS, DASHES, Look, look
from pmom_mpi.analysis.varying import flat, words

METHOD = ("bias", "downlink")
"""Sections of the config that make a method; the colour is theirs."""
Entry = tuple[tuple[str, ...], tuple[str, ...], str, tuple[Run, ...], tuple[int, ...]]
"""Of a curve its method, the rest that sets it apart, its label, its runs, and the seeds that it lacks."""


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
    method, rest : tuple of str
        What its colour and its line style stand for, where these are two things in this picture.
    """

    label: str
    runs: tuple[Run, ...]
    look: Look
    missing: tuple[int, ...] = ()
    method: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The label, how many seeds, and what is not as it should be."""
        return self.told(self.label, count=True)


def curves(runs: Sequence[Run], apart: str = "") -> list[Curve]:
    """Group the runs, and order the groups by their labels, numbers by their value; of a sweep in its own order.

    Colour stands for the method, line style for what else differs, where there are enough of both. A sweep's variants
    are methods, by their names.

    Parameters
    ----------
    runs : sequence of Run
    apart : str
        A key that panels tell apart: no label says it, and what differs in it only looks the same.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        same = {key: value for key, value in run.config.items() if key not in ("seed", "output")}
        groups.setdefault(json.dumps(same, sort_keys=True, default=str), []).append(run)
    told = [_told(group[0], apart) for group in groups.values()]
    found: list[Entry] = []
    for own, group in zip(told, groups.values(), strict=True):
        label, missing = _label(own, told, group[0], bool(apart)), missing_seeds(group, groups.values())
        method, rest = _method(own, told), _rest(own, told)
        if group[0].choices:
            method, rest = _chosen(group[0], list(groups.values()), apart)
            label = ", ".join((*method, *rest)) or label
        found.append((method, rest, label, tuple(group), missing))
    found = _told_apart(found)
    if not all(run.choices for run in runs):
        found.sort(key=lambda entry: natural(entry[2]))
    methods, others, labels = ([*dict.fromkeys(entry[part] for entry in found)] for part in (0, 1, 2))
    crossed = 1 < len(methods) <= len(COLORS) and 1 < len(others) <= len(DASHES) and len(others) < len(labels)
    if not crossed:
        return [Curve(label, group, look(labels.index(label)), missing) for _, _, label, group, missing in found]
    return [
        Curve(label, group, Look(methods.index(own), DASHES[others.index(rest)]), missing, _in_words(own, group), rest)
        for own, rest, label, group, missing in found
    ]


def _told_apart(found: list[Entry]) -> list[Entry]:
    """The same, where sweeps in two folders have given one name to different runs with their folders' names before."""
    folders: dict[str, set[Path]] = {}
    for entry in found:
        folders.setdefault(entry[2], set()).add(entry[3][0].path.parent)
    told = []
    for method, rest, label, runs, missing in found:
        several = len(folders[label]) > 1 and runs[0].choices
        words = f"{runs[0].path.parent.name}: {label}" if several else label
        told.append((method, rest, words, runs, missing))
    return told


def _in_words(method: tuple[str, ...], group: Sequence[Run]) -> tuple[str, ...]:
    return method if group[0].choices else (_method_words(group[0]),)


def natural(text: str) -> list[tuple[int, float, str]]:
    """A key that orders texts with numbers as people do.

    Examples
    --------
    >>> sorted(["top 10 %", "top 2 %", "beta = 0.1", "beta = 0.01"], key=natural)
    ['beta = 0.01', 'beta = 0.1', 'top 2 %', 'top 10 %']
    """
    parts = re.split(r"((?<![\w.])\d+(?:\.\d+)?(?:e[-+]?\d+)?|\d+)", text)
    return [(0, float(part), "") if place % 2 else (1, 0.0, part) for place, part in enumerate(parts) if part]


def short(key: str, keys: Iterable[str] = ()) -> str:
    """The last word of a key path, where it says enough and no other of the keys ends with it.

    Examples
    --------
    >>> short("momentum.beta"), short("momentum.kind"), short("data.nodes", ["data.nodes", "problem.nodes"])
    ('beta', 'momentum.kind', 'data.nodes')
    """
    last = key.rpartition(".")[2]
    vague = last in ("kind", "name") or last.isdigit()
    return key if vague or any(other != key and other.rpartition(".")[2] == last for other in keys) else last


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
    keys = [key for key in _differing(own, all_) if not key.startswith(METHOD)]
    return tuple(f"{short(key, keys)} = {own[key]}" for key in keys)


def _label(own: Mapping[str, str], all_: Sequence[Mapping[str, str]], run: Run, apart: bool) -> str:
    """The name where it is the only one of its kind, else with the keys in which runs of this name differ."""
    name = run.name
    alike = [flat for flat in all_ if flat.get("name") == own.get("name")]
    if len(alike) == 1:
        return name
    keys = _differing(own, alike)
    words = [f"{short(key, keys)} = {own[key]}" for key in keys if not key.startswith(METHOD)]
    if len({_biased(flat) for flat in alike}) > 1:
        words.insert(0, _method_words(run))
    text = ", ".join(words) or (name if apart else run.stem)
    return text if len(alike) == len(all_) else f"{name}: {text}"


def _method_words(run: Run) -> str:
    """The stages of the bias, and of the downlink where there is one."""
    up, down = (" + ".join(map(one_line, stages(run.config, section))) for section in METHOD)
    return (up or "no bias") + (f", downlink {down}" if down else "")


def _biased(flat: Mapping[str, str]) -> tuple[str, ...]:
    """What a config says of the bias."""
    return tuple(f"{key}={value}" for key, value in flat.items() if key.startswith(METHOD))


def _chosen(run: Run, groups: Sequence[Sequence[Run]], apart: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of a sweep's run the names of its variants, and the other axes along which these runs differ."""
    axes = [
        key
        for key in run.choices
        if key != apart and any(words(group[0].choices.get(key)) != words(run.choices[key]) for group in groups)
    ]
    variants = [key for key in axes if key.partition(".")[0] not in run.config]
    rest = tuple(f"{short(key, axes)} = {words(run.choices[key])}" for key in axes if key not in variants)
    return tuple(str(run.choices[key]) for key in variants), rest


def _told(run: Run, apart: str) -> dict[str, str]:
    """What a config says, as texts, but for a key."""
    own = {key: str(value) for key, value in flat(run.config).items()}
    return {key: value for key, value in own.items() if not f"{key}.".startswith(f"{apart}.")} if apart else own
