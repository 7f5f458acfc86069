"""What a page says in words and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import yaml
from rich.filesize import decimal

from pmom_mpi.analysis import show
from pmom_mpi.analysis.concerns import Concern, concerns
from pmom_mpi.analysis.curves import Curve
from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.summary import results as values_of
from pmom_mpi.analysis.summary import traffic
from pmom_mpi.analysis.tables import Table
from pmom_mpi.analysis.varying import texts
from pmom_mpi.campaign import outcome
from pmom_mpi.campaign.compare import IGNORED
from pmom_mpi.campaign.states import duration

MOST_VALUES, MOST_NAMES, MOST_EVENTS = 12, 8, 200
"""Longer lists are cut, and it is said of how many."""


@dataclass(frozen=True)
class Warned:
    """A concern, and the runs that have one of its kind."""

    concern: Concern
    runs: str


@dataclass(frozen=True)
class Tile:
    """A number that one looks at first."""

    words: str
    value: str
    note: str = ""


def title(runs: Sequence[Run]) -> str:
    """The name that all runs have, or the first with how many others."""
    names = list(dict.fromkeys(run.name for run in runs))
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def states(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """``[("12 finished", "finished"), ...]``: what to say, and the word that gives its colour."""
    counted = Counter(run.status.partition(" ")[0] for run in runs)
    return [(f"{count} {state}" if len(runs) > 1 else state, state) for state, count in counted.most_common()]


def tiles(runs: Sequence[Run]) -> list[Tile]:
    """The last values of a run, or the best among many, and what it took."""
    made = []
    for metric in runs[0].told[:2]:
        found = [(values_of(run)[metric.name], run) for run in runs if metric.name in values_of(run)]
        sound = [(entry, run) for entry, run in found if run.status != "diverged"] or found
        if not sound:
            continue
        entry, run = sound[0] if len(runs) == 1 or metric.rises is None else _best(sound, metric.rises)
        note = f"from {entry['first']:.4g}" if len(runs) == 1 else f"best last value, of {run.path.stem}"
        words = metric.name.replace("_", " ")
        made.append(Tile(words, f"{entry['last']:.4g}", note))
    sent = [traffic(run)["both_once"] for run in runs]
    seconds = [float(run.metrics["time_total"].sum()) for run in runs]
    rows = sum(run.iterations for run in runs)
    bits = 8 * traffic(runs[0])["up"] / max(runs[0].iterations * runs[0].nodes * _dimension(runs[0]), 1)
    one = len(runs) == 1
    made.append(
        Tile("iterations", f"{rows:,}", f"of {runs[0].planned:,} planned" if one else f"of {len(runs)} runs together")
    )
    made.append(Tile("sent", decimal(int(sum(sent))), f"{bits:.3g} bits a coordinate up" if one else "up and down"))
    speed = f"{1e3 * sum(seconds) / max(rows, 1):.3g} ms an iteration"
    whole = sum(seconds)
    exact = f"{whole:.3g} s" if whole >= 0.1 else f"{1e3 * whole:.3g} ms"
    made.append(Tile("time", duration(whole) if whole >= 10 else exact, speed))
    return made


def _best(found: Sequence[tuple[dict[str, float], Run]], rises: bool) -> tuple[dict[str, float], Run]:
    return (max if rises else min)(found, key=lambda pair: pair[0]["last"])


def _dimension(run: Run) -> int:
    return int(run.facts.get("dimension", 0))


def warned(runs: Sequence[Run]) -> list[Warned]:
    """Every kind of concern once, with the first run's words, and the names of all that have it; the bad ones first."""
    kinds: dict[str, list[tuple[Concern, Run]]] = {}
    for run in runs:
        for kind, concern in {concern.kind: concern for concern in concerns(run)}.items():
            kinds.setdefault(kind, []).append((concern, run))
    made = []
    for found in kinds.values():
        names = [run.path.stem for _, run in found]
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        made.append(Warned(found[0][0], f"{', '.join(names[:MOST_NAMES])}{more}" if len(runs) > 1 else ""))
    return sorted(made, key=lambda one: one.concern.weight != "bad")


def results(found: Sequence[Curve]) -> list[Table]:
    """Of one run every metric, of many a row a setting, in the order of the curves."""
    if len(found) == len(found[0].runs) == 1:
        return [show.results_table(found[0].runs[0])]
    return [outcome.table([outcome.Group(curve.label, curve.runs, {}) for curve in found])]


def varying(runs: Sequence[Run]) -> Table | None:
    """A row a key that is not the same in all runs: its values."""
    configs = [texts(run.config) for run in runs]
    rows = []
    for key in dict.fromkeys(key for config in configs for key in config):
        seen = list(dict.fromkeys(config.get(key, "(not given)") for config in configs))
        if len(seen) > 1 and (key == "seed" or not key.startswith(IGNORED)):
            cut = f", ... ({len(seen)} values)" if len(seen) > MOST_VALUES else ""
            rows.append((key, ", ".join(seen[:MOST_VALUES]) + cut))
    return Table("what varies", ("key", "values"), tuple(rows), texts=2) if rows else None


def settings(runs: Sequence[Run]) -> str:
    """The config of a run as YAML, or the sections that all runs share."""
    first = runs[0].config
    same = {key: value for key, value in first.items() if all(run.config.get(key) == value for run in runs)}
    return str(yaml.safe_dump(same, sort_keys=False, allow_unicode=True, width=100)).strip()


def happened(runs: Sequence[Run]) -> Table | None:
    """The events of all runs."""
    tables = [(run, show.events_table(run)) for run in runs if run.events]
    if not tables:
        return None
    many, heads = len(runs) > 1, tables[0][1].columns
    rows = [(run.path.stem, *row) if many else row for run, table in tables for row in table.rows]
    rest = f" (the first {MOST_EVENTS} of {len(rows)})" if len(rows) > MOST_EVENTS else ""
    columns = ("run", *heads) if many else heads
    return Table(f"events{rest}", columns, tuple(rows[:MOST_EVENTS]), texts=len(columns))


def provenance(runs: Sequence[Run]) -> Table:
    """What made the runs: of each key its values."""
    keys = list(dict.fromkeys(key for run in runs for key in run.provenance))
    told = [*(("created", [str(run.attributes.get("created", "")) for run in runs]),)]
    told += [(key, [str(run.provenance.get(key, "")) for run in runs]) for key in keys]
    rows = [(key.replace("_", " "), _listed(values)) for key, values in told]
    return Table("provenance", (), tuple(row for row in rows if row[1]))


def _listed(values: Sequence[str]) -> str:
    seen = [value for value in dict.fromkeys(values) if value]
    more = f", and {len(seen) - MOST_NAMES} others" if len(seen) > MOST_NAMES else ""
    return ", ".join(seen[:MOST_NAMES]) + more
