"""IDX files, the format of MNIST and its kin."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np

from pmom_mpi.errors import UserError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


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
    except (OSError, EOFError) as error:
        raise UserError(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}") from None
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(f"{path}: its checksum is not that of the known file; fetch it again")
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES:
        raise UserError(f"{path}: not an IDX file")
    head = 4 + 4 * data[3]
    kind = np.dtype(_TYPES[data[2]])
    shape = struct.unpack(f">{data[3]}I", data[4:head]) if len(data) >= head else ()
    if len(data) != head + int(np.prod(shape, dtype=np.int64)) * kind.itemsize:
        raise UserError(f"{path}: {len(data)} bytes do not fit its head (shape {shape}); the file is cut short")
    return np.frombuffer(data, kind, offset=head).reshape(shape).astype(kind.newbyteorder("="), copy=False)
