"""Run files, read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from pmom_mpi.words.errors import UserError
from pmom_mpi.words.hdf5 import open_to_read

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Run:
    """What a run file holds, the model excepted.

    Attributes
    ----------
    path : Path
    status : str
        running, finished, diverged, interrupted or failed; a killed run's file still says running.
    config : dict
        The YAML it was run with.
    metrics : dict of str to ndarray, shape (iterations,)
    units, descriptions : dict of str to str
        Of the metrics.
    attributes, provenance : dict
        The file's and /provenance's attributes.
    """

    path: Path
    status: str
    config: dict[str, Any]
    metrics: dict[str, np.ndarray] = field(repr=False)
    units: dict[str, str] = field(repr=False)
    descriptions: dict[str, str] = field(repr=False)
    attributes: dict[str, Any] = field(repr=False)
    provenance: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        return str(self.config.get("name", self.path.stem))

    @property
    def nodes(self) -> int:
        """n, wherever the config says it."""
        return int(self.config.get("nodes") or self.config.get("data", {}).get("nodes") or 1)

    @property
    def iterations(self) -> int:
        """How many rows there are."""
        return len(self.metrics["iteration"])

    def model(self) -> np.ndarray:
        """The final x, shape (d,); NaN before a run has ended."""
        with open_to_read(self.path, swmr=True) as file:
            return file["final/x"][()]


def rises(metric: str) -> bool:
    """Whether more of a metric is better.

    Examples
    --------
    >>> rises("test_accuracy"), rises("test_loss_after_1")
    (True, False)
    """
    return "accuracy" in metric or "return" in metric


def load(path: str | Path) -> Run:
    """Read a run file, also one that is still growing or whose writer was killed.

    Raises
    ------
    UserError
        When the file is missing, no HDF5, no run file, or of a later format.

    Examples
    --------
    >>> load("results/quickstart-0.h5").metrics["train_loss"][-1]  # doctest: +SKIP
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such run file")
    try:
        with open_to_read(path, swmr=True) as file:
            return _read(path, file)
    except OSError:
        raise UserError(f"{path}: not an HDF5 file, or damaged") from None
    except KeyError:
        raise UserError(f"{path}: an HDF5 file, but not a run file of pmom") from None


def _read(path: Path, file: h5py.File) -> Run:
    version = int(file.attrs["format_version"])
    if version > FORMAT_VERSION:
        raise UserError(f"{path}: format {version} is newer than this pmom reads ({FORMAT_VERSION}); update pmom")
    group = file["metrics"]
    rows = min(len(data) for data in group.values())  # while it grows, some data sets are a block ahead
    return Run(
        path=path,
        status=str(file.attrs["status"]),
        config=yaml.safe_load(file.attrs["config"]),
        metrics={name: data[:rows] for name, data in group.items()},
        units={name: str(data.attrs["unit"]) for name, data in group.items()},
        descriptions={name: str(data.attrs["description"]) for name, data in group.items()},
        attributes=dict(file.attrs),
        provenance=dict(file["provenance"].attrs),
    )
