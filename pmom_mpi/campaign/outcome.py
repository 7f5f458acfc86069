"""What runs have come to, over their seeds: tables of results, of what it took to get there, and the best setting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.filesize import decimal

from pmom_mpi.analysis.deviation import mean_and_deviation
from pmom_mpi.analysis.reached import judged, reached
from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.summary import results, traffic
from pmom_mpi.analysis.tables import Table
from pmom_mpi.words.errors import UserError

SECONDS = "seconds"


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed only.

    Attributes
    ----------
    label : str
    runs : tuple of Run
        At least one.
    told : dict of str to object
        The choices of a sweep that made them.
    """

    label: str
    runs: tuple[Run, ...]
    told: Mapping[str, Any]

    @property
    def sound(self) -> tuple[Run, ...]:
        """The runs that did not diverge."""
        return tuple(run for run in self.runs if run.status != "diverged")

    @property
    def note(self) -> str:
        """How many diverged, and how many are not over."""
        count, away = len(self.runs), len(self.runs) - len(self.sound)
        short = sum(run.status not in ("finished", "diverged") for run in self.runs)
        said = [f"{away} of {count} diverged"] if away else []
        return "; ".join(said + ([f"{short} of {count} not over"] if short else []))

    def values(self, metric: str, which: str) -> list[float]:
        """The ``last`` or ``best`` value of each sound run that has one."""
        found = [results(run).get(metric, {}).get(which) for run in self.sound]
        return [float(value) for value in found if value is not None]


@dataclass(frozen=True)
class Target:
    """A value that a metric is to reach."""

    metric: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Target:
        """``test_accuracy=0.95``; raises `UserError`."""
        name, _, number = text.partition("=")
        try:
            return cls(name.strip(), float(number))
        except ValueError:
            raise UserError(f"--target {text}: write METRIC=VALUE, as in --target test_accuracy=0.95") from None

    def reached(self, run: Run) -> tuple[float, float]:
        """Bits sent (down counted once) and seconds until the metric first was there; NaN where it never was."""
        found = reached(run, self.metric, self.value)
        return found.bits, found.seconds


def table(groups: Sequence[Group], target: Target | None = None, shared: bool = False, against: bool = False) -> Table:
    """A row a group: last and best metrics, bits and seconds; mean and sample standard deviation over sound seeds.

    A best value has a column where it is not the last one in every group.

    Parameters
    ----------
    groups : sequence of Group
    target : Target, optional
        Also what it took to get there.
    shared : bool
        Show also seconds of runs that had others beside them on their machine; where all had, there is no column else.
    against : bool
        Also how many times faster, and with how many times fewer bytes, a group was than the first; where a seed of
        either never got to the target, there is none, and how many did not is said instead.
    """
    values = _values(groups)
    timed = shared or not all(map(_is_shared, groups))
    heads = ["setting", "runs", *values, "sent", *([SECONDS] if timed else [])]
    heads += [f"{what} to {target.value:g}" for what in ("sent", SECONDS)[: 1 + timed]] if target else []
    heads += ["x fewer bytes", "x faster"][: 1 + timed] if against else []
    sizes = [_size(group, target) for group in groups]
    rows = []
    for place, (group, size) in enumerate(zip(groups, sizes, strict=True)):
        cells = [group.label, str(len(group.runs)), *(column[place] for column in values.values())]
        for aim in [None, target] if target else [None]:
            cells += _costs(group, aim, shared)[: 1 + timed]
        if against:
            away = _never(group, target) or _never(groups[0], target)
            cells += [
                away or _ratio(sizes[0][0], size[0]),
                away or _times(groups[0], group, sizes[0][1], size[1], shared),
            ][: 1 + timed]
        rows.append(tuple(cells))
    notes = [group.note for group in groups]
    if any(notes):
        heads, rows = [*heads, "note"], [(*row, note) for row, note in zip(rows, notes, strict=True)]
    return Table("", tuple(heads), tuple(rows))


def best(groups: Sequence[Group], metric: str) -> Group | None:
    """The group whose last value of a metric is the best, on average over its seeds; those with a diverged run lose.

    Raises
    ------
    UserError
        When the metric is unknown, or neither more nor less of it is better.
    """
    rises = judged(groups[0].runs[0], metric, "--best").rises
    sound = [group for group in groups if len(group.sound) == len(group.runs) and group.values(metric, "last")]
    if not sound:
        return None
    return (max if rises else min)(sound, key=lambda group: float(np.mean(group.values(metric, "last"))))


def _values(groups: Sequence[Group]) -> dict[str, list[str]]:
    """A column a head: of every metric that is told the last values, and the best where some other one was better."""
    columns = {}
    for name in _told(groups):
        words = name.replace("_", " ")
        last, best = ([mean_and_deviation(group.values(name, which)) for group in groups] for which in ("last", "best"))
        columns[f"{words} last"] = last
        if best != last:
            columns[f"{words} best"] = best
    return columns


def _told(groups: Sequence[Group]) -> list[str]:
    """The loss, and what is looked at beside it, of what all groups have."""
    names = [metric.name for metric in groups[0].runs[0].told[:2]]
    return [name for name in names if all(name in run.described for group in groups for run in group.runs)]


def _size(group: Group, target: Target | None) -> tuple[float, float]:
    """Mean bits and seconds of a group's sound runs, to the target or of the whole run."""
    found = [_spent(run, target) for run in group.sound]
    return (_mean([bits for bits, _ in found]), _mean([seconds for _, seconds in found]))


def _never(group: Group, target: Target | None) -> str:
    """How many of a group's sound seeds never were at the target, where there is one and some were not."""
    gone = 0 if target is None else sum(math.isnan(target.reached(run)[0]) for run in group.sound)
    return f"{gone} of {len(group.sound)} never" if gone else ""


def _spent(run: Run, target: Target | None) -> tuple[float, float]:
    if target is not None:
        return target.reached(run)
    return 8 * traffic(run)["both_once"], float(run.metrics["time_total"].sum())


def shared_note(table: Table) -> list[str]:
    """What ``shared`` in a table means, or why it has no seconds."""
    if SECONDS not in table.columns:
        return ["no seconds: all runs shared the machine with others; --shared-seconds shows them"]
    stands = any("shared" in row for row in table.rows)
    return ["shared: taken while other runs were running beside; --shared-seconds shows them"] if stands else []


def _costs(group: Group, target: Target | None, shared: bool) -> list[str]:
    """Bytes and seconds as texts."""
    found = [entry for entry in (_spent(run, target) for run in group.sound) if not math.isnan(entry[0])]
    if not found:
        return ["never" if target else "", "never" if target else ""]
    part = f" ({len(found)} of {len(group.sound)})" if len(found) < len(group.sound) else ""
    seconds = mean_and_deviation([entry[1] for entry in found]) if shared or not _is_shared(group) else "shared"
    return [decimal(int(_mean([entry[0] for entry in found]) / 8)) + part, seconds]


def _is_shared(group: Group) -> bool:
    return any(str(run.provenance.get("runs_at_once", "1")) != "1" for run in group.runs)


def _times(first: Group, group: Group, reference: float, seconds: float, shared: bool) -> str:
    return "shared" if not shared and (_is_shared(first) or _is_shared(group)) else _ratio(reference, seconds)


def _ratio(reference: float, value: float) -> str:
    ratio = reference / value if value else math.nan
    return "" if math.isnan(ratio) else f"{ratio:.3g}"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
