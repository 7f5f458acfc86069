"""Run files, read."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import yaml

from pmom_mpi.analysis import first_format, frames, reached
from pmom_mpi.analysis.columns import Columns, reading, rows
from pmom_mpi.analysis.reached import Reached
from pmom_mpi.record import choices, datasets, events, pack
from pmom_mpi.record.address import Address
from pmom_mpi.record.events import Event
from pmom_mpi.record.reading import opened
from pmom_mpi.record.repair import is_held
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.report import Metric, told

if TYPE_CHECKING:
    import pandas
    import xarray

FORMAT_VERSION = 2
CHECKPOINT = re.compile(r"\.checkpoint-\d+\.h5$")
Facts = dict[str, int | float | np.ndarray]


@dataclass(frozen=True, eq=False)
class Run:
    """What a run file held when it was opened; arrays are read when they are first asked for.

    Attributes
    ----------
    path : Path
        ``FILE::NAME`` where it lies in a packed file.
    status : str
        finished, diverged, interrupted or failed; while it goes on ``running``; ``killed after N of K iterations`` when
        it never ended but nobody writes it any more; ``running or killed`` where the file system has no locks.
    config : dict
        The YAML it was run with.
    metrics : mapping of str to ndarray, shape (iterations,)
        In the order of the file, which is the order of their declaration.
    node_metrics : mapping of str to ndarray, shape (iterations, nodes)
        Every node's own values, by the same names; empty unless the run was told ``record: {nodes: true}``.
    described : dict of str to Metric
        What each of the metrics is: unit, direction, words.
    workers : mapping of str to ndarray, shape (iterations, workers)
        Seconds of every worker by station, where the file has them.
    facts : dict of str to int, float or ndarray
        Numbers known before the first iteration: d, n, ranks, the link's speed, ...
    events : tuple of Event
    attributes, provenance : dict
        The file's and /provenance's attributes.
    choices : mapping of str to object
        What a sweep calls the choices that made the run: ``{"method": "top10"}``; empty outside of sweeps.
    """

    path: Path
    status: str
    config: dict[str, Any]
    metrics: Mapping[str, np.ndarray] = field(repr=False)
    node_metrics: Mapping[str, np.ndarray] = field(repr=False)
    described: dict[str, Metric] = field(repr=False)
    workers: Mapping[str, np.ndarray] = field(repr=False)
    facts: Facts = field(repr=False)
    events: tuple[Event, ...] = field(repr=False)
    attributes: dict[str, Any] = field(repr=False)
    provenance: dict[str, Any] = field(repr=False)
    choices: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return str(self.config.get("name", self.stem))

    @property
    def stem(self) -> str:
        """What stands for it where there is no better name: its file's, without ending."""
        return Address.parse(self.path).stem

    @property
    def nodes(self) -> int:
        """n."""
        return int(self.facts["nodes"])

    @property
    def iterations(self) -> int:
        """How many rows there are."""
        return len(self.metrics["iteration"])

    @property
    def planned(self) -> int:
        """How many iterations the config asks for."""
        return int(float(self.config.get("iterations", 0)))

    @property
    def resumable(self) -> bool:
        """Whether it ended too early and `pmom resume` goes on with it."""
        packed = Address.parse(self.path).name
        return not packed and "run_id" in self.attributes and self.status not in ("finished", "diverged", "running")

    @property
    def told(self) -> tuple[Metric, ...]:
        """What says best how the run went: the loss, then the others, the best first, that were measured at all."""
        first = [metric for metric in self.described.values() if metric.role == "train"][:1]
        return tuple(metric for metric in (*first, *told(self.described.values())) if self.measured(metric.name))

    def measured(self, name: str) -> bool:
        """Whether any value of a metric is a finite number."""
        return bool(np.isfinite(self.metrics[name]).any())

    def model(self) -> np.ndarray:
        """The final x, shape (d,); NaN before a run has ended."""
        with opened(self.path) as file:
            return file["final/x"][()]

    def to_target(self, metric: str, value: float) -> Reached:
        """What it took until a metric was first at least as good as ``value``: iterations, bits and seconds.

        Raises
        ------
        UserError
            When there is no such metric, or neither more nor less of it is better.
        """
        return reached.reached(self, metric, value)

    def to_pandas(self) -> pandas.DataFrame:
        """The metrics, a column each, by iteration; units and words are in ``attrs``. Needs the extra `[analysis]`."""
        return frames.frame(self)

    def to_xarray(self) -> xarray.Dataset:
        """Metrics along ``iteration``, and where recorded ``node_*`` along ``node`` and ``worker_*`` along ``worker``.

        Units are in each variable's ``attrs``, facts and the config in the data set's. Needs the extra `[analysis]`.
        """
        return frames.dataset(self)


def open_run(path: str | Path) -> Run:
    """Open a run file, also one that is still growing or whose writer was killed; or a run of a packed file.

    Parameters
    ----------
    path : path
        A run file; of a packed file ``FILE::NAME``, or FILE where only one run is in it.

    Raises
    ------
    UserError
        When the file is missing, no HDF5, no run file, or of a later format.

    Examples
    --------
    >>> open_run("results/quickstart-0.h5").metrics["train_loss"][-1]  # doctest: +SKIP
    >>> open_run("all.h5::top10-seed0").status  # doctest: +SKIP
    """
    address = _one(Address.parse(path))
    run = _opened(address.path)
    if run.status != "running":
        return run
    held = False if address.name else is_held(address.file)
    if held is None:
        return replace(run, status="running or killed")
    if held:
        return run
    run = _opened(address.path)  # it may have ended in between
    killed = f"killed after {run.iterations} of {run.planned} iterations"
    return replace(run, status=killed) if run.status == "running" else run


load = open_run
"""Its name before there was `open_runs`."""


def _one(address: Address) -> Address:
    """The address of one run, or a `UserError` that says which there are."""
    if address.file.is_dir():
        raise UserError(f"{address.file}: a folder; name one of the run files in it")
    if not address.file.is_file():
        raise UserError(f"{address.file}: no such run file")
    if not pack.is_packed(address.file):
        if address.name:
            raise UserError(f"{address}: {address.file} is no file of packed runs; give it without ::{address.name}")
        return address
    names = pack.names(address.file)
    if address.name in names:
        return address
    if len(names) == 1 and not address.name:
        return Address(address.file, names[0])
    near = difflib.get_close_matches(address.name, names, n=1) or names[:1]
    raise UserError(f"{address}: {len(names)} runs are packed in it; name one, such as {address.file}::{near[0]}")


def run_files(places: Iterable[str | Path]) -> list[Path]:
    """The addresses of all runs in some places; `load` takes each. The one way in which runs are enumerated.

    Parameters
    ----------
    places : iterable of path
        A run file, or ``FILE::NAME``, stands for itself; a packed file for all runs in it; a folder for all that is in
        or below it, a sweep's in its own order. Checkpoints, which lie beside run files, are left out.

    Raises
    ------
    UserError
        When nothing is left of a place.
    """
    found: list[Path] = []
    for place in map(Path, places):
        below = choices.in_order(list(place.rglob("*.h5"))) if place.is_dir() else [place]
        files = [path for path in below if not CHECKPOINT.search(path.name) and not path.name.startswith(".")]
        if not files and place.is_dir():
            raise UserError(f"{place}: no run file in this folder")
        found += [run for file in files for run in _in_file(file)]
    if not found:
        raise UserError("these are checkpoints; give the run files beside them")
    return found


def _in_file(file: Path) -> list[Path]:
    return [Address(file, name).path for name in pack.names(file)] if pack.is_packed(file) else [file]


def _opened(path: Path) -> Run:
    with reading(path), opened(path) as file:
        return _read(path, file)


def _read(path: Path, file: h5py.Group) -> Run:
    version = int(file.attrs["format_version"])
    if version > FORMAT_VERSION:
        raise UserError(f"{path}: format {version} is newer than this pmom reads ({FORMAT_VERSION}); update pmom")
    group, config = file["metrics"], yaml.safe_load(file.attrs["config"])
    provenance = dict(file["provenance"].attrs)
    names, describe = list(group), datasets.described
    if version == 1:
        names, describe = first_format.order(names), first_format.metric
        facts: Facts = first_format.facts(provenance, _nodes(config))
    else:
        facts = {name: value.item() if np.ndim(value) == 0 else value for name, value in file["facts"].attrs.items()}
    count, run_id = rows(file), str(file.attrs.get("run_id", ""))
    wide = {name: list(file[name]) if name in file else [] for name in ("nodes", "workers")}
    return Run(
        path=path,
        status=str(file.attrs["status"]),
        config=config,
        metrics=Columns(path, "metrics", names, count, run_id),
        node_metrics=Columns(path, "nodes", wide["nodes"], count, run_id),
        described={name: describe(group[name]) for name in names},
        workers=Columns(path, "workers", wide["workers"], count, run_id),
        facts=facts,
        events=events.read(file["events"]) if "events" in file else (),
        attributes=dict(file.attrs),
        provenance=provenance,
        choices=json.loads(file.attrs[pack.CHOICES]) if pack.CHOICES in file.attrs else choices.of(path),
    )


def _nodes(config: dict[str, Any]) -> int:
    """n, wherever the config says it."""
    return int(config.get("nodes") or config.get("data", {}).get("nodes") or 1)


def stages(config: dict[str, Any], section: str) -> list[Any]:
    """The stages of a config's ``bias`` or ``downlink``, a list even of a single one."""
    found = config.get(section) or []
    return found if isinstance(found, list) else [found]


def one_line(section: object) -> str:
    """A section of a config in a line.

    Examples
    --------
    >>> one_line({"kind": "top_k", "fraction": 0.1})
    'top_k (fraction 0.1)'
    """
    if not isinstance(section, dict):
        return str(section)
    head = str(section.get("kind", section.get("name", "")))
    rest = ", ".join(f"{key} {value}" for key, value in section.items() if key not in ("kind", "name"))
    return f"{head} ({rest})" if rest else head
