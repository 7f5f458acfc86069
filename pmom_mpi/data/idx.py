"""IDX files, the format of MNIST and its kin."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pmom_mpi.data.checks import check, column
from pmom_mpi.words.errors import UserError

FILES = {
    "train_inputs": "train-images-idx3-ubyte",
    "train_targets": "train-labels-idx1-ubyte",
    "test_inputs": "t10k-images-idx3-ubyte",
    "test_targets": "t10k-labels-idx1-ubyte",
}
TEST_PREFIXES = ("t10k", "test")
"""How names of test files begin: MNIST's and EMNIST's."""
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_folder(folder: Path, sha256: Mapping[str, str], test: Path | None = None) -> dict[str, np.ndarray]:
    """The arrays of a folder whose files are named as MNIST's, plain or gzip, with '-' or '.' before idx.

    What stands in front of ``train-``, ``t10k-`` or ``test-`` does not matter, as in
    ``emnist-letters-test-images-idx3-ubyte``.

    Parameters
    ----------
    folder : Path
    sha256 : mapping
        What each array's uncompressed file must hash to. Where it is empty nothing is known of the files and the test
        set may be missing.
    test : Path, optional
        Another folder that holds the test set, in test files or in training files of its own.

    Raises
    ------
    UserError
        When a file is missing or broken, or the arrays do not fit each other.
    """
    files = {key: _find(folder, name) for key, name in FILES.items()}
    if test is not None:
        for key in ("test_inputs", "test_targets"):
            files[key] = _find(test, FILES[key]) or _find(test, FILES[key.replace("test", "train")])
        sha256 = {key: value for key, value in sha256.items() if key.startswith("train")}
    arrays, names = {}, dict(FILES)
    for key, found in files.items():
        if found is not None:
            arrays[key], names[key] = read_idx(found, sha256.get(key)), found.name
        elif key.startswith("train") or key in sha256 or test is not None:
            where = folder if test is None or key.startswith("train") else test
            raise UserError(f"{where}: no file {FILES[key]} or {FILES[key]}.gz in it")
    for split in ("train", "test"):
        if f"{split}_inputs" in arrays and f"{split}_targets" in arrays:
            arrays[f"{split}_targets"] = column(arrays[f"{split}_targets"], len(arrays[f"{split}_inputs"]))
    check(folder, arrays, names)
    return arrays


def _find(folder: Path, name: str) -> Path | None:
    """The file of that name in any of its spellings; raises `UserError` where several could be meant."""
    prefix, _, rest = name.partition("-")
    prefixes = TEST_PREFIXES if prefix == "t10k" else (prefix,)
    spellings = [f"{start}-{rest}".replace("-idx", mark) for start in prefixes for mark in ("-idx", ".idx")]
    exact = [folder / f"{spelling}{end}" for spelling in spellings for end in ("", ".gz")]
    found = next((path for path in exact if path.is_file()), None)
    if found is not None or not folder.is_dir():
        return found
    ends = tuple(f"-{spelling}{end}" for spelling in spellings for end in ("", ".gz"))
    longer = sorted(path for path in folder.iterdir() if path.name.endswith(ends))
    if len({path.name.removesuffix(".gz") for path in longer}) > 1:
        raise UserError(f"{folder}: both {longer[0].name} and {longer[1].name} could be meant; keep one of them there")
    return longer[0] if longer else None


def read_idx(path: Path, sha256: str | None = None) -> np.ndarray:
    """The array of an IDX file, plain or gzip.

    Parameters
    ----------
    path : Path
    sha256 : str, optional
        What the uncompressed bytes must hash to.

    Raises
    ------
    UserError
        When the file cannot be read, is no IDX file, is cut short, or has another checksum.
    """
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}") from None
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(f"{path}: its checksum is not that of the known file; fetch it again")
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES:
        raise UserError(f"{path}: not an IDX file")
    head = 4 + 4 * data[3]
    kind = np.dtype(_TYPES[data[2]])
    shape = struct.unpack(f">{data[3]}I", data[4:head]) if len(data) >= head else ()
    # Python's integers: a hostile shape must not overflow into one that seems to fit.
    if not shape or len(data) != head + math.prod(shape) * kind.itemsize:
        raise UserError(f"{path}: {len(data)} bytes do not fit its head (shape {shape}); the file is damaged")
    return np.frombuffer(data, kind, offset=head).reshape(shape).astype(kind.newbyteorder("="), copy=False)
