"""Runs that differ in their seed only: which of them a mean is of, and what is said of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pmom_mpi.analysis.read import Run


class Seeds:
    """The one rule for seeds that diverged, ended early or are missing; groups of runs derive from it.

    A seed that diverged is left out of means, one that ends early from where it ends on, and both are said, as is a
    seed that another group has.
    """

    runs: tuple[Run, ...]
    missing: tuple[int, ...]
    """Seeds that another group has."""

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
    def whole(self) -> tuple[Run, ...]:
        """The drawn runs that came as far as the longest: those whose ends can be compared."""
        longest = max(run.iterations for run in self.drawn)
        return tuple(run for run in self.drawn if run.iterations == longest)

    def told(self, label: str, count: bool = False) -> str:
        """The label with what is not as it should be in brackets, and, where asked, how many seeds there are."""
        many = len(self.runs)
        said = [f"{many} seeds"] if count and many > 1 else []
        if self.diverged:
            said = ["diverged"] if many == 1 else [f"{len(self.diverged)} of {many} seeds diverged"]
        if self.short:
            rows = ", ".join(f"{run.iterations}" for run in self.short)
            said.append(f"{len(self.short)} short: {rows} of {max(run.iterations for run in self.drawn)} iterations")
        if self.missing:
            said.append(f"seed {', '.join(map(str, self.missing))} missing")
        return f"{label} ({'; '.join(said)})" if said else label


def missing_seeds(group: Sequence[Run], groups: Iterable[Sequence[Run]]) -> tuple[int, ...]:
    """The seeds that other groups of several have and this one, of several, has not; single runs do not count."""
    if len(group) == 1:
        return ()
    others = {_seed(run) for other in groups if len(other) > 1 for run in other}
    return tuple(sorted(others - set(map(_seed, group))))


def _seed(run: Run) -> int:
    return int(run.config.get("seed", 0))
