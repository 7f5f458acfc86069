"""The data sets that have names: where they come from, where they are kept, how they are found.

A data set is kept uncompressed in the cache (PMOM_DATA_DIR, or the system's place for caches), an array a file, so that
every rank maps it and reads its own rows only.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pooch

from pmom_mpi.data import idx
from pmom_mpi.data.dataset import Channels, DataSet, Scale
from pmom_mpi.data.files import UNREADABLE, reason
from pmom_mpi.data.known import KNOWN
from pmom_mpi.data.reading import make, natural_scales, read
from pmom_mpi.words.errors import UserError, blame

if TYPE_CHECKING:
    from rich.table import Table

DESCRIPTION = "dataset.json"
"""Written last: a folder of the cache is a data set when it has one."""
DOWNLOAD_SECONDS = 30
"""How long a server may be silent."""
EMBEDDED = "digits"
EMBEDDED_TRAIN = 1500
"""Of the 1797 digits the first 1500 are for training, the last 297 for testing."""


def cache_directory() -> Path:
    """PMOM_DATA_DIR, or the operating system's place for caches."""
    return Path(os.environ.get("PMOM_DATA_DIR") or pooch.os_cache("pmom_mpi"))


@dataclass(frozen=True)
class Entry:
    """A line of `list_datasets`: training samples, features and classes (None: real targets), and where it is.

    ``where`` is None when the data is not here.
    """

    name: str
    samples: int
    features: int
    classes: int | None
    where: str | None


def is_named(name: str) -> bool:
    """Whether this is the name of a public, embedded or imported data set, here or not."""
    return name == EMBEDDED or name in KNOWN or name in _imported()


def open_named(name: str, channels: Channels | None = None) -> DataSet:
    """A data set by its name; ``channels`` say where those of its images are.

    Raises
    ------
    UserError
        When nobody knows the name, or the data is not here yet; the line says what to do.
    """
    if name == EMBEDDED:
        return _embedded(channels)
    folder = cache_directory() / name
    if name in _imported():
        return _stored(name, folder, channels)
    if name not in KNOWN:
        names = ", ".join(sorted({EMBEDDED, *KNOWN, *_imported()}))
        raise UserError(f"data.name: {name!r} is neither a file nor a known data set; known: {names}")
    installed = _installed(name)
    if installed is not None:
        return _stored(name, import_dataset(name, installed), channels)
    raise UserError(
        f"data.name: {name} is not here yet; fetch it with 'pmom data get {name}', or without a network bring its "
        f"files with 'pmom data import {name} PATH'"
    )


def get_dataset(name: str) -> Path:
    """Download a public data set into the cache; returns its folder there.

    Raises
    ------
    UserError
        When the name is not one of a public data set, or the download fails.
    """
    if name == EMBEDDED:
        return Path(str(resources.files("pmom_mpi.data") / "embedded"))
    if name not in KNOWN:
        raise UserError(f"{name!r} is no public data set; 'pmom data get' knows {', '.join(KNOWN)}")
    if name in _imported():
        return cache_directory() / name
    installed = _installed(name)
    if installed is not None:
        return import_dataset(name, installed)
    download = pooch.HTTPDownloader(timeout=DOWNLOAD_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        for file in idx.FILES.values():
            url = f"{KNOWN[name].url}{file}.gz"
            try:
                download(url, str(Path(folder) / f"{file}.gz"), None)
            except OSError as error:  # all that requests raises, and a full disk
                raise UserError(
                    f"cannot download {url} ({type(error).__name__}); bring the files from elsewhere with "
                    f"'pmom data import {name} PATH'"
                ) from None
        return import_dataset(name, Path(folder))


def import_dataset(name: str, path: Path) -> Path:
    """Bring a folder of IDX files, an .npz, HDF5 or svmlight file into the cache as ``name``; returns its folder there.

    Raises
    ------
    UserError
        When files are missing, broken, or not those of a known name.
    """
    if name == EMBEDDED or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise UserError(
            f"{name!r} cannot be the name of an imported data set; use letters, digits and . _ -, and not {EMBEDDED!r}"
        )
    known = KNOWN.get(name)
    if known and path.is_file():
        raise UserError(f"{path}: {name} is imported from the folder of its IDX files, which have known checksums")
    arrays = read(path, known.sha256 if known else {})
    with blame(str(path)):
        scales = dict.fromkeys(("train", "test"), known.scale) if known else natural_scales(arrays)
    target = cache_directory() / name
    try:
        _store(arrays, scales, target)
    except OSError as error:
        line = f"cannot write {target}: {error.strerror or error}; set PMOM_DATA_DIR to another folder"
        raise UserError(line) from None
    return target


def _store(arrays: Mapping[str, np.ndarray], scales: Mapping[str, Scale], target: Path) -> None:
    """Write a complete folder beside ``target``, then move it there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for key, array in arrays.items():
            np.save(partial / f"{key}.npy", np.ascontiguousarray(array), allow_pickle=False)
        (partial / DESCRIPTION).write_text(
            json.dumps({"scales": {split: asdict(scale) for split, scale in scales.items()}})
        )
        partial.chmod(0o755)  # mkdtemp's are private, caches may be shared
        _put(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put(partial: Path, target: Path) -> None:
    """Move a complete folder into place, whatever other processes do there at the same time."""
    while True:
        try:
            partial.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if target.name in KNOWN and (target / DESCRIPTION).exists():
            return  # a public data set is the same bytes, and others may be about to open them
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        with suppress(FileNotFoundError):  # another process was here first
            target.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _stored(name: str, folder: Path, channels: Channels | None) -> DataSet:
    try:
        told = json.loads((folder / DESCRIPTION).read_text())
        # Folders of earlier versions have one scale for both splits.
        both = told["scales"] if "scales" in told else dict.fromkeys(("train", "test"), told["scale"])
        arrays = {file.stem: np.load(file, mmap_mode="r") for file in folder.glob("*.npy")}
        return make(name, arrays, {split: Scale(**scale) for split, scale in both.items()}, channels)
    except UNREADABLE as error:
        line = f"{folder}: the stored data set is damaged ({reason(error)}); remove the folder and import it again"
        raise UserError(line) from None


def _embedded(channels: Channels | None) -> DataSet:
    with resources.as_file(resources.files("pmom_mpi.data") / "embedded" / "digits.npz") as path, np.load(path) as file:
        inputs, targets = file["inputs"], file["targets"]
    cut = EMBEDDED_TRAIN
    train, test = (inputs[:cut], targets[:cut]), (inputs[cut:], targets[cut:])
    scales = dict.fromkeys(("train", "test"), Scale(16.0))
    return make(EMBEDDED, dict(zip(idx.FILES, (*train, *test), strict=True)), scales, channels)


def _imported() -> list[str]:
    return sorted(path.parent.name for path in cache_directory().glob(f"[!.]*/{DESCRIPTION}"))


def _installed(name: str) -> Path | None:
    """Where a distribution's package has put a public data set's files."""
    folder = KNOWN[name].installed
    return Path(folder) if folder and Path(folder).is_dir() else None


def list_datasets() -> list[Entry]:
    """The embedded, the public and the imported data sets; a damaged one counts as not here."""
    return [_entry(name) for name in dict.fromkeys([EMBEDDED, *KNOWN, *_imported()])]


def _entry(name: str) -> Entry:
    if name in KNOWN and name not in _imported():
        known, installed = KNOWN[name], _installed(name)  # opening an installed one would copy it into the cache
        return Entry(name, known.samples, known.features, known.classes, str(installed) if installed else None)
    try:
        data = open_named(name)
    except UserError:
        return Entry(name, 0, 0, None, None)
    where = "in the package" if name == EMBEDDED else str(cache_directory() / name)
    return Entry(name, len(data.train), data.train.features, data.classes, where)


def render() -> Table:
    """What `pmom data list` prints."""
    from rich.table import Table

    table = Table(title=f"cache: {cache_directory()}")
    table.add_column("name", no_wrap=True)
    for head in ("training samples", "features", "classes"):
        table.add_column(head, justify="right")
    table.add_column("where", overflow="fold")
    for entry in list_datasets():
        absent = f"not here: pmom data get {entry.name}" if entry.samples else "damaged: remove and import it again"
        classes = "real targets" if entry.classes is None else str(entry.classes)
        table.add_row(entry.name, f"{entry.samples:,}", str(entry.features), classes, entry.where or absent)
    return table
