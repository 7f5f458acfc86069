"""The data sets that have names: where they come from, where they are kept, how they are found.

A data set is kept uncompressed in the cache (PMOM_DATA_DIR, or the system's place for caches), an array a file, so that
every rank maps it and reads its own rows only.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import pooch
from rich.table import Table

from pmom_mpi.data.dataset import DataSet, Scale, Split
from pmom_mpi.data.files import read_arrays
from pmom_mpi.data.idx import read_idx
from pmom_mpi.errors import UserError

ARRAYS = ("train_inputs", "train_targets", "test_inputs", "test_targets")
IDX_NAMES = dict(
    zip(ARRAYS, ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"), strict=True)
)  # fmt: skip


@dataclass(frozen=True)
class Known:
    """A public data set of IDX files.

    Attributes
    ----------
    url : str
        The folder of the gzip files.
    sha256 : mapping
        Of the uncompressed files, by array.
    scale : Scale
    installed : str
        Where a distribution's package puts the files.
    """

    description: str
    url: str
    sha256: Mapping[str, str]
    scale: Scale
    installed: str = ""
    samples: int = 60000
    features: int = 784
    classes: int = 10


KNOWN = {
    "mnist": Known(
        "handwritten digits (LeCun, Cortes, Burges)",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train_inputs": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train_targets": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "test_inputs": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "test_targets": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        Scale(255.0, 0.1307, 0.3081),
    ),
    "fashion-mnist": Known(
        "articles of clothing (Xiao, Rasul, Vollgraf)",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {"train_inputs": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
        Scale(255.0, 0.5, 0.5),
        "/usr/share/datasets/fashion-mnist",
    ),
}
EMBEDDED = "digits"
EMBEDDED_TRAIN = 1500
"""Of the 1797 digits the first 1500 are for training, the last 297 for testing."""


def cache_directory() -> Path:
    """PMOM_DATA_DIR, or the operating system's place for caches."""
    return Path(os.environ.get("PMOM_DATA_DIR") or pooch.os_cache("pmom_mpi"))


def open_named(name: str) -> DataSet:
    """A data set by its name.

    Raises
    ------
    UserError
        When nobody knows the name, or the data is not here yet; the line says what to do.
    """
    if name == EMBEDDED:
        return _embedded()
    folder = cache_directory() / name
    if (folder / "dataset.json").exists():
        return _stored(name, folder)
    if name not in KNOWN:
        names = ", ".join(sorted({EMBEDDED, *KNOWN, *_imported()}))
        raise UserError(f"data.name: {name!r} is neither a file nor a known data set; known: {names}")
    if KNOWN[name].installed and Path(KNOWN[name].installed).is_dir():
        return _stored(name, import_dataset(name, Path(KNOWN[name].installed)))
    raise UserError(
        f"data.name: {name} is not here yet; fetch it with 'pmom data get {name}', or without a network bring its files "
        f"with 'pmom data import {name} PATH'"
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
    if (cache_directory() / name / "dataset.json").exists():
        return cache_directory() / name
    known = KNOWN[name]
    with tempfile.TemporaryDirectory() as folder:
        for file in IDX_NAMES.values():
            try:
                pooch.retrieve(f"{known.url}{file}.gz", known_hash=None, fname=f"{file}.gz", path=folder, progressbar=False)
            except Exception as error:  # whatever the network did, the remedy is the same
                raise UserError(
                    f"cannot download {known.url}{file}.gz ({type(error).__name__}); bring the files from elsewhere with "
                    f"'pmom data import {name} PATH'"
                ) from None
        return import_dataset(name, Path(folder))


def import_dataset(name: str, path: Path) -> Path:
    """Bring a folder of IDX files, an .npz or an .h5 file into the cache under ``name``; returns its folder there.

    Raises
    ------
    UserError
        When files are missing, broken, or not those of a known name.
    """
    if name == EMBEDDED or not name or "/" in name or name.startswith("."):
        raise UserError(f"{name!r} cannot be the name of an imported data set; choose another")
    known = KNOWN.get(name)
    arrays = read_idx_folder(path, known.sha256 if known else {}) if path.is_dir() else read_arrays(path)
    scale = known.scale if known else natural_scale(arrays["train_inputs"])
    target = cache_directory() / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=target.parent))
        for key, array in arrays.items():
            np.save(partial / f"{key}.npy", np.ascontiguousarray(array), allow_pickle=False)
        (partial / "dataset.json").write_text(json.dumps({"scale": asdict(scale)}))
        partial.chmod(0o755)
        _put(partial, target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}; set PMOM_DATA_DIR to another folder") from None
    return target


def _put(partial: Path, target: Path) -> None:
    """Move a complete folder into place; where another process was faster, its equal copy stays."""
    try:
        partial.rename(target)
    except OSError:
        if (target / "dataset.json").exists() and target.name in KNOWN:
            shutil.rmtree(partial)
            return
        replaced = target.with_name(f".{target.name}.replaced.{os.getpid()}")
        target.rename(replaced)
        partial.rename(target)
        shutil.rmtree(replaced)


def read_idx_folder(folder: Path, sha256: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The four arrays of a folder named as MNIST's are, plain or gzip, with '-' or '.' before idx; test is optional."""
    arrays = {}
    for key, name in IDX_NAMES.items():
        variants = [name, name.replace("-idx", ".idx")]
        found = [folder / f"{v}{end}" for v in variants for end in ("", ".gz") if (folder / f"{v}{end}").is_file()]
        if found:
            arrays[key] = read_idx(found[0], sha256.get(key))
        elif key.startswith("train") or sha256:
            raise UserError(f"{folder}: no file {name} or {name}.gz in it")
    return arrays


def natural_scale(inputs: np.ndarray) -> Scale:
    """Bytes become [0, 1]; anything else stays as it is."""
    return Scale(255.0) if inputs.dtype == np.uint8 else Scale()


def make(name: str, arrays: Mapping[str, np.ndarray], scale: Scale) -> DataSet:
    """A data set of arrays; integer targets are class labels."""
    train = Split(arrays["train_inputs"], arrays["train_targets"], scale)
    test = Split(arrays["test_inputs"], arrays["test_targets"], scale) if "test_inputs" in arrays else None
    labels = train.targets.dtype.kind in "iu"
    return DataSet(name, train, test, int(train.targets.max()) + 1 if labels else None)


def _stored(name: str, folder: Path) -> DataSet:
    try:
        scale = Scale(**json.loads((folder / "dataset.json").read_text())["scale"])
        arrays = {key: np.load(folder / f"{key}.npy", mmap_mode="r") for key in ARRAYS if (folder / f"{key}.npy").exists()}
        return make(name, arrays, scale)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: the stored data set is damaged ({error}); remove it and import it again") from None


def _embedded() -> DataSet:
    with resources.as_file(resources.files("pmom_mpi.data") / "embedded" / "digits.npz") as path, np.load(path) as file:
        inputs, targets = file["inputs"], file["targets"]
    cut = EMBEDDED_TRAIN
    return make(
        EMBEDDED,
        {"train_inputs": inputs[:cut], "train_targets": targets[:cut], "test_inputs": inputs[cut:], "test_targets": targets[cut:]},
        Scale(16.0),
    )  # fmt: skip


def _imported() -> list[str]:
    return sorted(path.parent.name for path in cache_directory().glob("[!.]*/dataset.json"))


def render() -> Table:
    """What `pmom data list` prints."""
    table = Table("name", "training samples", "features", "classes", "where", title=f"cache: {cache_directory()}")
    for name in dict.fromkeys([EMBEDDED, *KNOWN, *_imported()]):
        try:
            data = open_named(name)
        except UserError:
            known = KNOWN[name]
            row = (f"{known.samples:,}", str(known.features), str(known.classes), f"not here: pmom data get {name}")
        else:
            where = "in the package" if name == EMBEDDED else str(cache_directory() / name)
            row = (f"{len(data.train):,}", str(data.train.features), str(data.classes or "real targets"), where)
        table.add_row(name, *row)
    return table


