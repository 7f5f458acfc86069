"""What kind of file it is, found out from its first bytes: names and suffixes only help to say what is wrong."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from pathlib import Path
from typing import IO, Literal

from pmom_mpi.words.errors import UserError

Kind = Literal["npz", "hdf5", "text"]

HDF5 = b"\x89HDF\r\n\x1a\n"
HDF5_PLACES = (0, 512, 1024, 2048)
"""Where HDF5's signature may stand: MATLAB's files (v7.3) have a block of their own in front of it."""
COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
BY_NAME = {".npz": "an .npz", ".h5": "an HDF5", ".hdf5": "an HDF5", ".hdf": "an HDF5", ".mat": "a MATLAB v7.3"}
"""What a file that begins like text was said to be."""
REMEDIES = {
    b"\x93NUMPY": "one array (.npy); write both with numpy.savez('data.npz', x_train=x, y_train=y)",
    b"MATLAB 5.0": "an old MATLAB file; save it with '-v7.3'",
    b"PAR1": "a Parquet file; write its columns with numpy.savez('data.npz', x_train=x, y_train=y)",
    b"\x80\x04\x95": "a pickle; write its arrays with numpy.savez('data.npz', x_train=x, y_train=y)",
    b"\x00\x00\x08": "an IDX file, which holds one array; name the folder that has images and labels",
    b"\x00\x00\x0b": "an IDX file, which holds one array; name the folder that has images and labels",
    b"\x00\x00\x0c": "an IDX file, which holds one array; name the folder that has images and labels",
    b"\x00\x00\x0d": "an IDX file, which holds one array; name the folder that has images and labels",
    b"\x00\x00\x0e": "an IDX file, which holds one array; name the folder that has images and labels",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
}
"""What is recognised but not read, by its first bytes."""
BEYOND = b"PK\x03\x04", HDF5, b"ustar"
BOM = b"\xef\xbb\xbf"


def kind_of(path: Path) -> Kind:
    """How a file is to be read; whatever has no signature is text.

    Raises
    ------
    UserError
        When the file cannot be opened, or is of a kind that is recognised but not read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HDF5_PLACES[-1] + len(HDF5))
    except OSError as error:
        raise UserError(f"{path}: cannot read: {error.strerror or error}") from None
    if any(head[place:].startswith(HDF5) for place in HDF5_PLACES):
        return "hdf5"
    if head.startswith(b"PK"):
        return "npz"
    _refuse(path, head)
    expected = BY_NAME.get(path.suffix.lower())
    if expected:
        raise UserError(f"{path}: cannot read: not {expected} file; its content is something else, or damaged")
    return "text"


def read_text(path: Path) -> bytes:
    """The bytes of a text file, decompressed where they are gzip, bzip2 or xz, without a byte order mark.

    Raises
    ------
    UserError
        When the file cannot be read, or is a compressed file of another kind.
    """
    try:
        with _open(path) as file:
            text = file.read()
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}") from None
    _refuse(path, text[:16])
    if text.startswith(BEYOND):
        raise UserError(f"{path}: a compressed .npz or HDF5 file; unpack it first")
    return text.removeprefix(BOM)


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        head = file.read(8)
    for signature, opener in COMPRESSED.items():
        if head.startswith(signature):
            return opener(path, "rb")  # type: ignore[operator]
    return path.open("rb")


def _refuse(path: Path, head: bytes) -> None:
    for signature, remedy in REMEDIES.items():
        if head.startswith(signature):
            raise UserError(f"{path}: {remedy}")
