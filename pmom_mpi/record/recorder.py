"""The run file as it is written: HDF5 in SWMR mode, so that it can be read while it grows and after any kill."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import h5py
import numpy as np

from pmom_mpi import __version__
from pmom_mpi.record import datasets, events, trace
from pmom_mpi.record.datasets import DataSets
from pmom_mpi.record.heaps import refuse_endless_heaps
from pmom_mpi.record.place import cannot_write, check_replaceable, left_open, replacing
from pmom_mpi.record.repair import hold, is_being_written, repair
from pmom_mpi.record.rewind import FORMAT_VERSION, WIDE, rewind, whole
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.report import Metric
from pmom_mpi.words.trace import Interval


class Recorder:
    """Writes one run file.

    Rows are kept in memory and written in blocks at most ``flush_seconds`` apart, so that a row costs microseconds. The
    file is made under a temporary name and moved into place complete with its head: a run file that is being replaced
    stays whole until the new one stands. In the same way `finish` completes a copy and moves it into place: no moment
    exists at which a kill leaves a file that cannot be opened, and nobody who reads the file can be in the way.

    Parameters
    ----------
    path : path
        Where the run file goes; missing folders are made.
    config_text : str
        The config as YAML.
    metrics : sequence of Metric
        The data sets of /metrics, first the iteration.
    dimension, dtype
        Of /final/x.
    provenance : dict of str to str
        Attributes of /provenance.
    facts : dict of str to int, float or ndarray
        Attributes of /facts.
    overwrite : bool
        Replace an existing file.
    flush_seconds : float
        How much may be lost to a kill; 0 writes every row at once.
    node_metrics, worker_metrics : sequence of Metric
        The data sets of /nodes and /workers, shape (iterations, nodes) and (iterations, workers).
    nodes, workers : int
        n and the number of workers, for these.
    clocks : ndarray of float64, shape (workers, 2), optional
        Where the run is traced (`pmom_mpi.record.trace`).
    locking : bool
        Whether HDF5 locks the file, as its environment variable and its build say; False: not, unless the former does.

    Raises
    ------
    UserError
        When the file exists and may not be replaced, or cannot be made.
    """

    def __init__(
        self,
        path: str | Path,
        config_text: str,
        metrics: Sequence[Metric],
        dimension: int,
        dtype: str | np.dtype,
        provenance: Mapping[str, str],
        facts: Mapping[str, int | float | np.ndarray] | None = None,
        overwrite: bool = False,
        flush_seconds: float = 1.0,
        node_metrics: Sequence[Metric] = (),
        nodes: int = 0,
        worker_metrics: Sequence[Metric] = (),
        workers: int = 0,
        clocks: np.ndarray | None = None,
        locking: bool = True,
    ) -> None:
        path = Path(path)
        check_replaceable(path, overwrite)
        with cannot_write(path, "choose another by output= (-o)"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                file = h5py.File(partial, "w", libver="latest", locking=None if locking else False)
                with left_open(file):
                    file.attrs.update(format_version=FORMAT_VERSION, software=f"pmom_mpi {__version__}")
                    file.attrs.update(config=config_text, status="running", created=_now(), run_id=uuid.uuid4().hex)
                    file.create_group("provenance").attrs.update(provenance)
                    file.create_group("facts").attrs.update(facts or {})
                    datasets.make(file, "metrics", metrics)
                    for group, wide, width in (("nodes", node_metrics, nodes), ("workers", worker_metrics, workers)):
                        if wide:
                            datasets.make(file, group, wide, width)
                    datasets.scale(file, nodes, workers)
                    events.make(file)
                    if clocks is not None:
                        trace.begin(file, clocks)
                    file.create_dataset("final/x", (dimension,), dtype, fillvalue=np.nan)
                    self._begin(path, file, partial, flush_seconds, locking)

    @classmethod
    def reopen(
        cls,
        path: str | Path,
        rows: int,
        config_text: str | None = None,
        flush_seconds: float = 1.0,
        workers: int = 0,
        clocks: np.ndarray | None = None,
        locking: bool = True,
    ) -> Recorder:
        """Go on with the file of a run that has ended or was killed: its first ``rows`` rows stay, the rest goes.

        Its config (unless ``config_text`` is given), provenance, facts and events stay as they are; the final model and
        what was said of the end go. The old file stays whole until the new one stands.

        Raises
        ------
        UserError
            When there is no such run file, it holds fewer rows, is of an older format, or its run still goes on.
        """
        path, made = Path(path), cls.__new__(cls)
        if not path.is_file():
            raise UserError(f"{path}: no such run file")
        if is_being_written(path):
            raise UserError(f"{path} is being written by a run that still goes on; let it end first")
        refuse_endless_heaps(path)
        with cannot_write(path, "it stays as it was"), replacing(path) as partial:
            shutil.copyfile(path, partial)
            repair(partial)
            file = h5py.File(partial, "r+", libver="latest", locking=None if locking else False)
            with left_open(file), whole(path):
                rewind(path, file, rows)
                if config_text is not None:
                    file.attrs["config"] = config_text
                datasets.widen(file, workers)
                if clocks is not None:
                    trace.begin(file, clocks)
                made._begin(path, file, partial, flush_seconds, locking)
        return made

    def rewound(self, rows: int, workers: int) -> Recorder:
        """The same file with its first ``rows`` rows only, to go on with instead of this; see `reopen`."""
        self.flush()
        self._file.close()
        self._held.close()
        return Recorder.reopen(self.path, rows, None, self._flush_seconds, workers, locking=self._locking)

    def _begin(self, path: Path, file: h5py.File, partial: Path, flush_seconds: float, locking: bool) -> None:
        """Make ready for rows, behind those that are there."""
        self.path, self._file, self._flush_seconds, self._locking = path, file, flush_seconds, locking
        self.run_id = str(file.attrs["run_id"])
        """What ties checkpoints to this run, whatever other run had a file of this name before."""
        self._metrics = DataSets(file["metrics"])
        self._wide = {name: DataSets(file[name]) for name in WIDE if name in file}
        self._written = len(self._metrics)
        self._flushed = time.monotonic()
        self._failed = False
        self._intervals: list[Interval] = []
        file.swmr_mode = True
        self._held: BinaryIO = partial.open("rb")
        hold(self._held.fileno())

    def append(
        self,
        row: Mapping[str, float],
        nodes: Mapping[str, np.ndarray] | None = None,
        workers: Mapping[str, np.ndarray] | None = None,
        intervals: Sequence[Interval] = (),
    ) -> None:
        """Keep a complete row; what it lacks becomes NaN (or 0 where there is none).

        Parameters
        ----------
        row : dict of str to float
        nodes, workers : dict of str to ndarray, shape (nodes,) and (workers,)
            The iteration's values of every node and worker, copied; only those named in ``node_metrics`` and
            ``worker_metrics`` are kept.
        intervals : sequence of Interval
            Of a run that is traced.
        """
        self._metrics.keep(row)
        self._intervals += intervals
        for group, values in (("nodes", nodes), ("workers", workers)):
            if group in self._wide:  # their arrays may be used again for the next row
                self._wide[group].keep({name: np.array(value) for name, value in (values or {}).items()})
        if time.monotonic() - self._flushed >= self._flush_seconds:
            self.flush()

    def event(self, iteration: int, what: str, rank: int = -1, host: str = "") -> None:
        """Write down at once that something happened; raises `UserError` as `flush`."""
        if self._failed:
            return
        with self._writing():
            events.append(self._file["events"], events.Event(iteration, what, rank, host))
            self._file.flush()

    def flush(self) -> None:
        """Write what is kept and hand it to the operating system.

        The first metric (the iteration) grows last, when all others are there: as many rows as it has are complete,
        whatever happens between.

        Raises
        ------
        UserError
            When that cannot be done (a full disk); what was flushed before stays readable.
        """
        if self._failed:
            return
        first, *others = self._metrics.names
        with self._writing():
            self._metrics.write(self._written, others)
            for wide in self._wide.values():
                wide.write(self._written, wide.names)
            trace.append(self._file, self._intervals)
            self._file.flush()  # of the file, not of each data set: the superblock's end of the file moves along
            self._metrics.write(self._written, [first])
            self._file.flush()
        self._intervals = []
        for wide in self._wide.values():
            wide.forget()
        self._written += self._metrics.forget()
        self._flushed = time.monotonic()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """After a write that failed, nothing more is written."""
        try:
            with cannot_write(self.path, f"its first {self._written} rows are safe"), left_open(self._file):
                yield
        except UserError:
            self._failed = True
            handles = [*self._metrics, *(dataset for wide in self._wide.values() for dataset in wide)]
            traced = [self._file["trace"]] if "trace" in self._file else []
            for handle in (*handles, *traced, *self._file["events"].values()):
                handle.id.locked = True
            raise

    def finish(self, status: str, x: np.ndarray | None = None, message: str = "") -> None:
        """Write the rest, say how the run ended, close. After a write that failed the file is left as it is.

        Parameters
        ----------
        status : {"finished", "diverged", "interrupted", "failed"}
        x : ndarray, optional
            The final model.
        message : str
            What went wrong.

        Raises
        ------
        UserError
            When the file cannot be written, or somebody has replaced or removed it.
        """
        with self._held:  # until the end is told: nobody may take the run for killed before
            self.flush()
            if not self._failed:
                self._complete(status, x, message)

    def _complete(self, status: str, x: np.ndarray | None, message: str) -> None:
        identity = os.fstat(self._held.fileno())
        self._file.close()
        if not (self.path.exists() and os.path.samestat(self.path.stat(), identity)):
            raise UserError(f"{self.path}: was removed or replaced while the run went on; its rows are lost")
        with cannot_write(self.path, f"its {self._written} rows are safe"), replacing(self.path) as partial:
            shutil.copyfile(self.path, partial)
            file = h5py.File(partial, "r+", locking=None if self._locking else False)
            with left_open(file):
                file.attrs.update(status=status, ended=_now(), iterations=self._written)
                if message:
                    file.attrs["message"] = message
                if x is not None:
                    file["final/x"][:] = x
                file.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not self._held.closed:
            self.finish("finished" if error is None else "failed", message="" if error is None else repr(error))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
