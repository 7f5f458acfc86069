"""A metric of several runs on one axis: their mean, spread and quantiles, where they all are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pmom_mpi.analysis.extra import library
from pmom_mpi.analysis.places import places

if TYPE_CHECKING:
    import pandas

    from pmom_mpi.analysis.seeds import Seeds


@dataclass(frozen=True, eq=False)
class Band:
    """Values of runs at common places.

    Attributes
    ----------
    metric, against : str
    places : ndarray, shape (places,)
        All places at which any of the runs was measured, from the latest beginning to the earliest end of those that
        hold as many iterations as the longest.
    values : ndarray, shape (runs, places)
        On straight lines between a run's own measurements; NaN before its first and behind its last.
    """

    metric: str
    against: str
    places: np.ndarray
    values: np.ndarray

    @property
    def alive(self) -> np.ndarray:
        """How many runs the statistics are of, at each place."""
        return np.isfinite(self.values).sum(axis=0)

    @property
    def mean(self) -> np.ndarray:
        return np.nanmean(self.values, axis=0)

    @property
    def std(self) -> np.ndarray:
        """The sample standard deviation; NaN where fewer than two runs are alive."""
        away = np.nansum((self.values - self.mean) ** 2, axis=0)
        return np.sqrt(np.divide(away, self.alive - 1, out=np.full(len(away), np.nan), where=self.alive > 1))

    @property
    def median(self) -> np.ndarray:
        return self.quantile(0.5)

    @property
    def low(self) -> np.ndarray:
        return np.nanmin(self.values, axis=0)

    @property
    def high(self) -> np.ndarray:
        return np.nanmax(self.values, axis=0)

    def quantile(self, q: float) -> np.ndarray:
        """Of the runs that are alive."""
        return np.nanquantile(self.values, q, axis=0)

    def to_pandas(self) -> pandas.DataFrame:
        """A row a place. Needs the extra `[analysis]`."""
        names = ("alive", "mean", "std", "median", "low", "high")
        columns = (self.alive, self.mean, self.std, self.median, self.low, self.high)
        index = library("pandas").Index(self.places, name=self.against)
        return library("pandas").DataFrame(dict(zip(names, columns, strict=True)), index=index)


def band(
    seeds: Seeds, name: str, against: str, prepare: Callable[[np.ndarray], np.ndarray] = lambda values: values
) -> Band:
    """A metric of the runs that a mean is of (`Seeds.drawn`); each run's values are ``prepare``-d first.

    Runs that have a single value each share no range in bits or seconds: they are shown at their mean place.
    """
    lines = []
    for run in seeds.drawn:
        where, values = places(run, name, against), prepare(run.metrics[name])
        known = np.isfinite(values)
        if known.any():
            lines.append((where[known], values[known], run in seeds.whole))
    if not lines:
        return Band(name, against, np.empty(0), np.empty((0, 0)))
    if all(len(where) == 1 for where, _, _ in lines):
        mean = np.mean([where for where, _, _ in lines], axis=0)
        return Band(name, against, mean, np.stack([values for _, values, _ in lines]))
    whole = [where for where, _, full in lines if full] or [where for where, _, _ in lines]
    start, stop = max(where[0] for where in whole), min(where[-1] for where in whole)
    grid = np.unique(np.concatenate([[start, stop], *(where for where, _, _ in lines)]))
    grid = grid[(grid >= start) & (grid <= stop)]
    rows = [np.interp(grid, where, values, np.nan, np.nan) for where, values, _ in lines]
    return Band(name, against, grid, np.stack(rows))
