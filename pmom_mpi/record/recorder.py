"""The run file as it is written: HDF5 in SWMR mode, so that it can be read while it grows and after any kill."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from pmom_mpi import __version__
from pmom_mpi.record.columns import Column
from pmom_mpi.record.repair import hold, is_being_written
from pmom_mpi.words.errors import UserError

FORMAT_VERSION = 1
ROWS_A_CHUNK = 1024
VALUES_A_CHUNK = 8192
"""Of the two-dimensional data sets of /nodes."""


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
    metrics : dict of str to Column
        The data sets of /metrics.
    dimension, dtype
        Of /final/x.
    provenance : dict of str to str
        Attributes of /provenance.
    overwrite : bool
        Replace an existing file.
    flush_seconds : float
        How much may be lost to a kill; 0 writes every row at once.
    node_metrics : dict of str to Column
        The data sets of /nodes, shape (iterations, nodes).
    nodes : int
        n, for these.

    Raises
    ------
    UserError
        When the file exists and may not be replaced, or cannot be made.
    """

    def __init__(
        self,
        path: str | Path,
        config_text: str,
        metrics: Mapping[str, Column],
        dimension: int,
        dtype: str | np.dtype,
        provenance: Mapping[str, str],
        overwrite: bool = False,
        flush_seconds: float = 1.0,
        node_metrics: Mapping[str, Column] | None = None,
        nodes: int = 0,
    ) -> None:
        self.path = Path(path)
        self._flush_seconds = flush_seconds
        self._rows: list[Mapping[str, float]] = []
        self._node_rows: list[Mapping[str, np.ndarray]] = []
        self._written = 0
        self._flushed = time.monotonic()
        self._failed = False
        _check_replaceable(self.path, overwrite)
        with _cannot_write(self.path, "choose another with -o"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _replacing(self.path) as partial:
                self._file = h5py.File(partial, "w", libver="latest")
                self._file.attrs.update(format_version=FORMAT_VERSION, software=f"pmom_mpi {__version__}")
                self._file.attrs.update(config=config_text, status="running", created=_now())
                self._file.create_group("provenance").attrs.update(provenance)
                self._metrics = _data_sets(self._file, "metrics", metrics)
                self._nodes = _data_sets(self._file, "nodes", node_metrics or {}, nodes)
                self._file.create_dataset("final/x", (dimension,), dtype, fillvalue=np.nan)
                self._file.swmr_mode = True
                self._held = partial.open("rb")
        hold(self._held.fileno())

    def append(self, row: Mapping[str, float], nodes: Mapping[str, np.ndarray] | None = None) -> None:
        """Keep a complete row; what it lacks becomes NaN (or 0 where there is none).

        Parameters
        ----------
        row : dict of str to float
        nodes : dict of str to ndarray, shape (nodes,)
            The iteration's values of every node, copied; only those named in ``node_metrics`` are kept.
        """
        self._rows.append(row)
        if self._nodes:
            kept = nodes or {}
            self._node_rows.append({name: np.array(kept[name]) for name in self._nodes if name in kept})
        if time.monotonic() - self._flushed >= self._flush_seconds:
            self.flush()

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
        rows, self._rows = self._rows, []
        node_rows, self._node_rows = self._node_rows, []
        try:
            with _cannot_write(self.path, f"its first {self._written} rows are safe"):
                first, *others = self._metrics
                for name in others:
                    self._extend(name, rows)
                for name, dataset in self._nodes.items():
                    unknown = np.full(dataset.shape[1], np.nan)
                    _extend(dataset, self._written, [row.get(name, unknown) for row in node_rows])
                self._file.flush()  # of the file, not of each data set: the superblock's end of the file moves along
                self._extend(first, rows)
                self._file.flush()
        except UserError:
            self._failed = True
            for handle in (self._file, *self._metrics.values(), *self._nodes.values()):
                handle.id.locked = True  # never closed: HDF5 would write once more, fail, and crash as Python ends
            raise
        self._written += len(rows)
        self._flushed = time.monotonic()

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
        try:
            self.flush()
        finally:
            identity = os.fstat(self._held.fileno())
            self._held.close()
        if self._failed:
            return
        self._file.close()
        if not (self.path.exists() and os.path.samestat(self.path.stat(), identity)):
            raise UserError(f"{self.path}: was removed or replaced while the run went on; its rows are lost")
        with _cannot_write(self.path, f"its {self._written} rows are safe"), _replacing(self.path) as partial:
            shutil.copyfile(self.path, partial)
            with h5py.File(partial, "r+") as file:
                file.attrs.update(status=status, ended=_now(), iterations=self._written)
                if message:
                    file.attrs["message"] = message
                if x is not None:
                    file["final/x"][:] = x

    def _extend(self, name: str, rows: list[Mapping[str, float]]) -> None:
        """Add these rows' values to a metric."""
        dataset = self._metrics[name]
        missing = np.nan if dataset.dtype.kind == "f" else 0
        _extend(dataset, self._written, [row.get(name, missing) for row in rows])

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not self._held.closed:
            self.finish("finished" if error is None else "failed", message="" if error is None else repr(error))


def check_place(path: str | Path, overwrite: bool) -> None:
    """Raise `UserError` where a `Recorder` could not be made, without leaving anything there."""
    path = Path(path)
    _check_replaceable(path, overwrite)
    missing = [folder for folder in path.parents if not folder.exists()]
    with _cannot_write(path, "choose another with -o"):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        finally:
            for folder in missing:
                if folder.exists():
                    folder.rmdir()


def _check_replaceable(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; replace it with --overwrite or name another with -o")
    if path.is_dir():
        raise UserError(f"{path} is a directory; name a file in it with -o")
    if is_being_written(path):
        raise UserError(f"{path} is being written by a run that still goes on; name another with -o")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``; the file made there takes its place, unless something goes wrong."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def _cannot_write(path: Path, remedy: str) -> Iterator[None]:
    """HDF5's errors (OSError when opening, RuntimeError when writing; a page each) as the one line of a `UserError`."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        told = re.search(r"error message = '([^']+)'", str(error))
        number = getattr(error, "errno", None)
        reason = told[1] if told else os.strerror(number) if number else str(error).splitlines()[0]
        raise UserError(f"cannot write {path}: {reason}; {remedy}") from None


def _data_sets(file: h5py.File, group: str, columns: Mapping[str, Column], nodes: int = 0) -> dict[str, h5py.Dataset]:
    """Empty data sets that grow by rows: of numbers, or of ``nodes`` numbers."""
    width = (nodes,) if nodes else ()
    chunks = (max(1, VALUES_A_CHUNK // nodes), nodes) if nodes else (ROWS_A_CHUNK,)
    made = {}
    for name, column in columns.items():
        dataset = file.create_dataset(
            f"{group}/{name}", (0, *width), column.dtype, maxshape=(None, *width), chunks=chunks,
            fillvalue=np.nan if column.dtype.startswith("float") else None,
        )  # fmt: skip
        dataset.attrs.update(unit=column.unit, description=column.description)
        made[name] = dataset
    return made


def _extend(dataset: h5py.Dataset, start: int, rows: list) -> None:
    dataset.resize(start + len(rows), axis=0)
    if rows:
        dataset[start:] = rows


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
