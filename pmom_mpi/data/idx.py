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

from pmom_mpi.data.files import check
from pmom_mpi.words.errors import UserError

FILES = {
    "train_inputs": "train-images-idx3-ubyte",
    "train_targets": "train-labels-idx1-ubyte",
    "test_inputs": "t10k-images-idx3-ubyte",
    "test_targets": "t10k-labels-idx1-ubyte",
}
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_folder(folder: Path, sha256: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The arrays of a folder whose files are named as MNIST's, plain or gzip, with '-' or '.' before idx.

    Parameters
    ----------
    folder : Path
    sha256 : mapping
        What each array's uncompressed file must hash to. Where it is empty nothing is known of the files and the test
        set may be missing.

    Raises
    ------
    UserError
        When a file is missing or broken, or the arrays do not fit each other.
    """
    arrays = {}
    for key, name in FILES.items():
        variants = [name, name.replace("-idx", ".idx")]
        candidates = [folder / f"{variant}{end}" for variant in variants for end in ("", ".gz")]
        found = next((path for path in candidates if path.is_file()), None)
        if found is not None:
            arrays[key] = read_idx(found, sha256.get(key))
        elif key.startswith("train") or sha256:
            raise UserError(f"{folder}: no file {name} or {name}.gz in it")
    check(folder, arrays, FILES)
    return arrays


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
