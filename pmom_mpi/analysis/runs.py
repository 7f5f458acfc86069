"""Many runs: chosen by what they were told, grouped by what varies, their seeds together."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pmom_mpi.analysis import bands, frames
from pmom_mpi.analysis.bands import Band
from pmom_mpi.analysis.reached import Reached, judged
from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.seeds import Seeds
from pmom_mpi.analysis.varying import UNTOLD, axes, flat, place, same, setting
from pmom_mpi.words.errors import UserError

if TYPE_CHECKING:
    import pandas
    import xarray


@dataclass(frozen=True, eq=False)
class Runs(Seeds):
    """Runs in the order of their files.

    Attributes
    ----------
    runs : tuple of Run
        At least one.
    label : str
        What sets a group apart from the others; empty where nothing does.
    """

    runs: tuple[Run, ...]
    label: str = ""
    missing: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __getitem__(self, place: int) -> Run:
        return self.runs[place]

    @property
    def axes(self) -> dict[str, list[Any]]:
        """What varies: keys of the configs, or axes of the sweep, with their values; ``seed`` comes last."""
        return axes(self.runs)

    def select(self, wanted: Mapping[str, Any]) -> Runs:
        """The runs that have these values, or one of a list of them, at key paths or on axes of the sweep.

        Raises
        ------
        UserError
            When no run has such a key, or none such values.

        Examples
        --------
        >>> runs.select({"momentum.beta": 0.1, "seed": [0, 1]})  # doctest: +SKIP
        """
        found = list(self.runs)
        for key, value in wanted.items():
            known = [setting for run in self.runs for setting in _at(run, key)]
            if not known:
                raise UserError(f"{key}: no key of these runs{self._near(key)}")
            values = value if isinstance(value, (list, tuple)) and value not in known else [value]
            found = [run for run in found if any(same(own, wish) for own in _at(run, key) for wish in values)]
            if not found:
                told = ", ".join(dict.fromkeys(map(str, known)))
                raise UserError(f"{key}: no run has {value!r} there (and what else is asked for); there are {told}")
        return Runs(tuple(found), self.label)

    def by(self, key: str) -> dict[Any, Runs]:
        """The runs of every value of a key or axis."""
        if not any(_at(run, key) for run in self.runs):
            raise UserError(f"{key}: no key of these runs{self._near(key)}")
        found: dict[Any, list[Run]] = {}
        for run in self.runs:
            found.setdefault(place(run, {key: None})[key], []).append(run)
        values = sorted(found) if all(isinstance(value, (int, float)) for value in found) else list(found)
        return {value: Runs(tuple(found[value]), f"{key} = {value}") for value in values}

    def groups(self) -> list[Runs]:
        """Runs that differ in their seed only together, labelled by what sets them apart, in natural order."""
        from pmom_mpi.analysis.curves import curves  # brings matplotlib along

        return [Runs(curve.runs, curve.label, curve.missing) for curve in curves(self.runs)]

    def best(self, key: str, metric: str) -> Runs:
        """Of every method the runs with the value of a key whose last value of a metric is best, on average over seeds.

        What diverged loses against what did not.
        """
        rises = judged(self.runs[0], metric, "--best").rises
        rivals: dict[str, dict[Any, Runs]] = {}
        for value, runs in self.by(key).items():
            for run in runs:
                contest = rivals.setdefault(_without(run, key), {})
                contest[value] = Runs((*contest[value].runs, run) if value in contest else (run,))

        def loss(runs: Runs) -> tuple[int, float]:
            last = float(np.mean([_last(run, metric) for run in runs.drawn]))
            return len(runs.diverged), np.inf if np.isnan(last) else -last if rises else last

        kept = {run for contest in rivals.values() for run in min(contest.values(), key=loss)}
        return Runs(tuple(run for run in self.runs if run in kept), self.label)

    def band(self, metric: str, against: str = "iteration") -> Band:
        """A metric over these runs (mean, std, median, quantiles) against iteration, epoch, bits or seconds."""
        return bands.band(self, metric, against)

    def to_target(self, metric: str, value: float) -> list[Reached]:
        """What each run took until the metric was first at least so good; NaN where it never was."""
        return [run.to_target(metric, value) for run in self.runs]

    def to_pandas(self) -> pandas.DataFrame:
        """All metrics below each other, by what varies and iteration. Needs the extra `[analysis]`."""
        return frames.frames(self.runs, [place(run, self.axes) for run in self.runs])

    def to_xarray(self) -> xarray.Dataset:
        """All metrics in a block: a dimension an axis, then iteration; NaN where there is no run. Needs `[analysis]`.

        Raises
        ------
        UserError
            When two runs have the same place.
        """
        keys = [place(run, self.axes) for run in self.runs]
        seen: dict[str, Run] = {}
        for run, key in zip(self.runs, keys, strict=True):
            other = seen.setdefault(str(key), run)
            if other is not run:
                raise UserError(f"{run.path} and {other.path} say the same; choose among them with select")
        return frames.datasets(self.runs, keys, self.axes)

    def _near(self, key: str) -> str:
        keys = {name for run in self.runs for name in (*run.choices, *flat(run.config))}
        near = difflib.get_close_matches(key, keys, n=1)
        return f"; did you mean {near[0]}?" if near else f"; what varies: {', '.join(self.axes) or 'nothing'}"


def _at(run: Run, key: str) -> list[Any]:
    try:
        return [setting(run, key)]
    except KeyError:
        return []


def _without(run: Run, key: str) -> str:
    """What a run was told, but for a key and the seed."""
    told = {**flat(run.config), **run.choices}
    kept = {name: value for name, value in told.items() if name not in (key, "seed", *UNTOLD)}
    kept = {name: value for name, value in kept.items() if not name.startswith(f"{key}.")}
    return json.dumps(kept, sort_keys=True, default=str)


def _last(run: Run, metric: str) -> float:
    values = run.metrics[metric]
    values = values[np.isfinite(values)]
    return float(values[-1]) if len(values) else np.nan
