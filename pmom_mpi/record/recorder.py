"""The run file as it is written: HDF5 in SWMR mode, so that it can be read while it grows and after any kill."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from pmom_mpi.errors import UserError
from pmom_mpi.record.columns import Column

FORMAT_VERSION = 1
ROWS_A_CHUNK = 1024


class Recorder:
    """Writes one run file.

    Rows are kept in memory and written in blocks at most ``flush_seconds`` apart, so that a row costs microseconds. The
    file is made under a temporary name and moved into place complete with its head: a run file that is being replaced
    stays whole until the new one stands.

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
    ) -> None:
        self.path = Path(path)
        self._flush_seconds = flush_seconds
        self._rows: list[Mapping[str, float]] = []
        self._written = 0
        self._flushed = time.monotonic()
        if self.path.exists() and not overwrite:
            raise UserError(f"{self.path} exists; replace it with --overwrite or name another with -o")
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = h5py.File(partial, "w", libver="latest")
            self._head(config_text, provenance)
            group = self._file.create_group("metrics")
            self._metrics = {name: _dataset(group, name, column) for name, column in metrics.items()}
            self._file.create_dataset("final/x", (dimension,), dtype, fillvalue=np.nan)
            self._file.swmr_mode = True
            os.replace(partial, self.path)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else error
            raise UserError(f"cannot write {self.path}: {reason}") from None
        finally:
            if partial.is_file():  # something went wrong
                partial.unlink()

    def append(self, row: Mapping[str, float]) -> None:
        """Keep a complete row; metrics it lacks become NaN (or 0 where there is none)."""
        self._rows.append(row)
        if time.monotonic() - self._flushed >= self._flush_seconds:
            self.flush()

    def flush(self) -> None:
        """Write what is kept and hand it to the operating system."""
        rows, self._rows = self._rows, []
        for name, dataset in self._metrics.items():
            dataset.resize((self._written + len(rows),))
            missing = np.nan if dataset.dtype.kind == "f" else 0
            dataset[self._written :] = [row.get(name, missing) for row in rows]
            dataset.flush()
        self._written += len(rows)
        self._flushed = time.monotonic()

    def finish(self, status: str, x: np.ndarray | None = None, message: str = "") -> None:
        """Write the rest, say how the run ended, close.

        Parameters
        ----------
        status : {"finished", "diverged", "interrupted", "failed"}
        x : ndarray, optional
            The final model.
        message : str
            What went wrong.
        """
        self.flush()
        self._file.close()
        with h5py.File(self.path, "r+") as file:  # attributes cannot change in SWMR mode
            file.attrs["status"] = status
            file.attrs["ended"] = _now()
            if message:
                file.attrs["message"] = message
            if x is not None:
                file["final/x"][:] = x

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._file:
            self.finish("finished" if error is None else "failed", message="" if error is None else repr(error))

    def _head(self, config_text: str, provenance: Mapping[str, str]) -> None:
        self._file.attrs.update(
            format_version=FORMAT_VERSION, config=config_text, status="running", created=_now()
        )  # fmt: skip
        self._file.create_group("provenance").attrs.update(provenance)


def _dataset(group: h5py.Group, name: str, column: Column) -> h5py.Dataset:
    dataset = group.create_dataset(name, (0,), column.dtype, maxshape=(None,), chunks=(ROWS_A_CHUNK,))
    dataset.attrs["unit"] = column.unit
    dataset.attrs["description"] = column.description
    return dataset


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
