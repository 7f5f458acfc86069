"""Runs as files for other programs: CSV, JSON lines, Parquet, TensorBoard's event files."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pmom_mpi.analysis import tensorboard
from pmom_mpi.analysis.extra import library
from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.runs import Runs
from pmom_mpi.analysis.varying import place
from pmom_mpi.words.errors import UserError

SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}
FORMATS = (*SUFFIXES.values(), "tensorboard")
Keys = dict[str, Any]


def export(runs: Runs, output: str | Path, form: str | None = None) -> Path:
    """Write the metrics of runs; returns what was written: a file, or TensorBoard's folder.

    A row an iteration of a run: of several runs first ``run``, a name that no other has, and what varies among them;
    then all metrics that any of them has. What was not measured (NaN, or a metric that a run has not) is an empty field
    in CSV, null in Parquet, and absent in JSON lines and event files; infinity is kept,
    in JSON lines as the text "Infinity".

    Parameters
    ----------
    runs : Runs
    output : path
    form : str, optional
        One of `FORMATS`, where the name's ending does not say it.

    Raises
    ------
    UserError
        When the format is unknown, its library missing, or the file cannot be written.
    """
    path, chosen = Path(output), form or SUFFIXES.get(Path(output).suffix)
    if chosen is None:
        raise UserError(f"-o {output}: end it with {', '.join(SUFFIXES)}, or give --format tensorboard for a folder")
    write: dict[str, Callable[[Runs, Path], None]] = {
        "csv": _csv, "jsonl": _jsonl, "parquet": _parquet, "tensorboard": _tensorboard
    }  # fmt: skip
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write[chosen](runs, path)
    except OSError as error:
        raise UserError(f"-o {output}: cannot write it: {error.strerror or error}") from None
    return path


def titles(runs: Sequence[Run]) -> list[str]:
    """A name for each run that no other has: its file's, with folders where that is not enough.

    Examples
    --------
    >>> titles(open_runs("a/dense-0.h5", "b/dense-0.h5").runs)  # doctest: +SKIP
    ['a/dense-0', 'b/dense-0']
    """
    stems = [run.stem for run in runs]
    if len(set(stems)) == len(runs):
        return stems
    whole = [os.path.abspath(str(run.path).replace("::", "/").removesuffix(".h5")) for run in runs]
    above = os.path.commonpath([os.path.dirname(path) for path in whole])
    return [os.path.relpath(path, above) for path in whole]


def _keys(runs: Runs) -> list[Keys]:
    """What sets each run apart; the same kind of value in the whole of a column."""
    if len(runs) == 1:
        return [{}]
    axes = {name: None for name in runs.axes}
    found = [{"run": title, **place(run, axes)} for run, title in zip(runs, titles(runs.runs), strict=True)]
    for name in axes:
        numbers = all(isinstance(keys[name], (int, float)) and not isinstance(keys[name], bool) for keys in found)
        if not numbers:
            for keys in found:
                keys[name] = str(keys[name])
    return found


def _metrics(runs: Runs) -> list[str]:
    """All that any run has, in the order of the files."""
    return list(dict.fromkeys(name for run in runs for name in run.metrics))


def _lists(run: Run, names: Sequence[str]) -> Iterator[list[Any]]:
    """Columns as Python's own numbers, so that reading what is written gives the same; None where there is none."""
    for name in names:
        if name not in run.metrics:
            yield [None] * run.iterations
        else:
            yield [None if value != value else value for value in run.metrics[name].tolist()]


def _csv(runs: Runs, path: Path) -> None:
    names, keys = _metrics(runs), _keys(runs)
    with path.open("w", encoding="utf-8", newline="") as file:
        written = csv.writer(file, lineterminator="\n")
        written.writerow([*keys[0], *names])
        for run, own in zip(runs, keys, strict=True):
            head = list(own.values())
            written.writerows([*head, *row] for row in zip(*_lists(run, names), strict=True))


def _jsonl(runs: Runs, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for run, own in zip(runs, _keys(runs), strict=True):
            names = list(run.metrics)
            for row in zip(*_lists(run, names), strict=True):
                told = {name: _jsons(value) for name, value in zip(names, row, strict=True) if value is not None}
                file.write(json.dumps(own | told, allow_nan=False) + "\n")


def _jsons(value: float) -> float | str:
    """JSON has no infinity; the text is what protobuf's JSON has for it, and what `float` and pandas read."""
    return ("Infinity" if value > 0 else "-Infinity") if math.isinf(value) else value


def _parquet(runs: Runs, path: Path) -> None:
    arrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    names, tables = _metrics(runs), []
    described = {name: metric for run in reversed(runs.runs) for name, metric in run.described.items()}
    for run, own in zip(runs, _keys(runs), strict=True):
        columns: dict[str, Any] = {key: arrow.array([value] * run.iterations) for key, value in own.items()}
        for name in names:
            kind = arrow.from_numpy_dtype(np.dtype(described[name].dtype))
            columns[name] = (
                arrow.array(run.metrics[name], type=kind, from_pandas=True)
                if name in run.metrics
                else arrow.nulls(run.iterations, kind)
            )
        tables.append(arrow.table(columns))
    table = arrow.concat_tables(tables, promote_options="permissive")
    for place_, field in enumerate(table.schema):
        if field.name in described:
            metric = described[field.name]
            said = {"unit": metric.unit, "description": metric.description}
            table = table.set_column(place_, field.with_metadata(said), table.column(place_))
    parquet.write_table(table, path)


def _tensorboard(runs: Runs, path: Path) -> None:
    for run, title in zip(runs, titles(runs.runs), strict=True):
        tensorboard.write(run, path / _inside(title))


def _inside(title: str) -> Path:
    """The folder of a run, which cannot lead out of its parent: names in packed files are anybody's."""
    return Path(*(part if part.strip(".") else "_" for part in title.split("/")))
