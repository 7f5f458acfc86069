"""Many run files in one: a group a run under /runs, everything in it as it was in its own file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path

import h5py

from pmom_mpi import __version__
from pmom_mpi.record import choices
from pmom_mpi.record.address import Address
from pmom_mpi.record.heaps import refuse_endless_heaps
from pmom_mpi.record.reading import MARK, RUNS, opened
from pmom_mpi.record.repair import is_held
from pmom_mpi.words.errors import UserError

HEAD_BYTES = 512
"""Of the packed file, before what HDF5 writes: a line of text that says what it is (HDF5 calls it the user block)."""
CHOICES = "choices"
"""An attribute of a packed run of a sweep: its choices as JSON, which elsewhere lie beside it."""


def pack(runs: Mapping[str, Path], output: str | Path, overwrite: bool = False) -> None:
    """Write one file of many runs.

    Parameters
    ----------
    runs : dict of str to Path
        Their addresses by the names that they are to have in it; a name may have folders, ``tune/top10-seed0``.
    output : path
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    UserError
        When a run still goes on, a file is no run file, or the output is there already or cannot be written.
    """
    output = Path(output)
    if output.exists() and not overwrite:
        raise UserError(f"{output}: is there already; --overwrite replaces it")
    for path in runs.values():
        if is_held(Address.parse(path).file):
            raise UserError(f"{path}: its run still goes on; pack when all have ended")
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _write(partial, runs)
        partial.replace(output)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]  # h5py's own are a page
        raise UserError(f"{output}: cannot write it: {reason}") from None
    finally:
        partial.unlink(missing_ok=True)


def _write(place: Path, runs: Mapping[str, Path]) -> None:
    with h5py.File(place, "w", libver="latest", userblock_size=HEAD_BYTES) as packed:
        packed.attrs["packed"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
        packed.attrs["pmom_version"] = __version__
        group = packed.create_group(RUNS, track_order=True)
        for name, path in runs.items():
            _copy(path, group.create_group(name, track_order=True))
    with place.open("r+b") as raw:
        raw.write(MARK + b": runs under /runs; pmom show, plot, compare, status, theory read FILE and FILE::NAME\n")
        raw.flush()
        os.fsync(raw.fileno())


def _copy(path: Path, group: h5py.Group) -> None:
    try:
        with opened(path) as file:
            file.attrs["format_version"]  # what is no run file has none
            for name, value in file.attrs.items():
                group.attrs[name] = value
            if told := choices.of(path):
                group.attrs[CHOICES] = json.dumps(told)
            for name in file:
                if file.get(name, getclass=True) is h5py.Group:  # not the root's links to what lies in them
                    file.copy(name, group)
        _refer(group)
    except (KeyError, RuntimeError, ValueError, OSError):
        raise UserError(f"{path}: not a run file of pmom, or damaged; repair it or leave it out") from None


def _refer(group: h5py.Group) -> None:
    """Say anew along what the data sets of a copied run lie: they refer to addresses in the file that they are from."""
    for dataset in _datasets(group):
        for name in {"DIMENSION_LIST", "REFERENCE_LIST"} & set(dataset.attrs):
            del dataset.attrs[name]
    iteration = group["metrics/iteration"]
    if not iteration.is_scale:  # of before there were any
        return
    group["iteration"] = iteration
    for part, numbers in (("metrics", ""), ("nodes", "node"), ("workers", "worker")):
        for dataset in group[part].values() if part in group else ():
            if dataset != iteration:
                dataset.dims[0].attach_scale(iteration)
            if numbers:
                dataset.dims[1].attach_scale(group["axes"][numbers])
        if numbers and part in group:
            group[numbers] = group["axes"][numbers]


def _datasets(group: h5py.Group) -> list[h5py.Dataset]:
    found: list[h5py.Dataset] = []
    group.visititems(lambda _, value: found.append(value) if isinstance(value, h5py.Dataset) else None)
    return found


def is_packed(path: str | Path) -> bool:
    """Whether a file holds packed runs; False for what cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(MARK)) == MARK
    except OSError:
        return False


def names(path: str | Path) -> list[str]:
    """The names of the runs in a packed file, in the order in which they were packed.

    Raises
    ------
    UserError
        When the file is damaged.
    """
    try:
        refuse_endless_heaps(Path(path))
        with h5py.File(path, "r") as file:
            return list(_names(file[RUNS]))
    except (OSError, KeyError, RuntimeError):
        raise UserError(f"{path}: a damaged file of packed runs") from None


def _names(group: h5py.Group, above: str = "") -> Iterator[str]:
    for name, below in group.items():
        if "format_version" in below.attrs:
            yield above + name
        else:
            yield from _names(below, f"{above}{name}/")
