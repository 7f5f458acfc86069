"""The data sets of a run file by name, each read when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import yaml

from pmom_mpi.record.reading import opened
from pmom_mpi.words.errors import UserError

TOGETHER = 20_000
"""Numbers in a column up to which all of a group are read at once: opening a file takes longer than reading them."""


@dataclass(frozen=True, eq=False)
class Columns(Mapping[str, np.ndarray]):
    """A group of a run file: the rows that it had when the run was opened, and no more.

    Attributes
    ----------
    path : Path
    group : str
        ``metrics``, ``nodes`` or ``workers``.
    names : sequence of str
    rows : int
    run_id : str
        Of the run that was opened: another may have taken its file's place since.
    """

    path: Path
    group: str
    names: Sequence[str]
    rows: int
    run_id: str
    _read: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._read:
            if name not in self.names:
                raise KeyError(name)
            self._read.update(self._fetched([name] if self._wide else self.names))
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def _wide(self) -> bool:
        return self.group != "metrics" or self.rows > TOGETHER

    def _fetched(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        with reading(self.path), opened(self.path) as file:
            values = {name: file[self.group][name][: self.rows] for name in names}
            other = str(file.attrs.get("run_id", "")) != self.run_id
        if other or any(len(column) < self.rows for column in values.values()):
            raise UserError(f"{self.path}: was replaced or went back since it was opened; open it again")
        return values


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What h5py raises on files that are none of ours, or damaged, as the one line of a `UserError`."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such run file") from None
    except (OSError, RuntimeError, ValueError, TypeError, AttributeError, MemoryError, yaml.YAMLError):
        raise UserError(f"{path}: {'a folder' if path.is_dir() else 'not an HDF5 file, or damaged'}") from None
    except KeyError:
        raise UserError(f"{path}: an HDF5 file, but not a run file of pmom") from None


def rows(file: h5py.File) -> int:
    """How many rows are complete: while a file grows, some data sets are a block ahead."""
    return min(len(data) for data in file["metrics"].values())
