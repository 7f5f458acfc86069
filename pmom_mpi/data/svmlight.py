"""Files of the svmlight format, which LIBSVM's data sets have: ``label index:value index:value ...`` a sample.

Features are counted from 1, or from 0 in a file that has a feature 0. As LIBSVM distributes them, the test samples of
``FILE`` are in ``FILE.t``. Compressed files (.gz, .bz2, .xz) are read as they are.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pmom_mpi.data.files import MAX_CLASSES
from pmom_mpi.kernels import svmlight as kernel
from pmom_mpi.words.errors import UserError

OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
SHOWN = 30
"""How many characters of a wrong token a message shows."""


class Text(NamedTuple):
    """What a file holds: CSR arrays with the file's own feature numbers, and the labels as numbers."""

    starts: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    labels: np.ndarray


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file and, if it is there, of its test file.

    Labels that take two whole values, such as -1 and +1 or 1 and 2, become the classes 0 and 1 in ascending order;
    other whole, nonnegative labels stay class labels; anything else is a real target.

    Returns
    -------
    dict
        ``train_starts``, ``train_indices``, ``train_values``, ``train_targets``, ``features`` (an array of one number)
        and maybe the same of ``test``; see `sparse.SparseSplit`.

    Raises
    ------
    UserError
        When a file cannot be read, or a line is not of the format; it names the line.
    """
    test = path.with_name(f"{path.stem}.t{path.suffix}" if path.suffix in OPENERS else f"{path.name}.t")
    texts = {"train": read_text(path)} | ({"test": read_text(test)} if test.is_file() else {})
    train = texts["train"]
    base = 0 if (train.indices == 0).any() else 1
    kinds = np.unique(np.concatenate([text.labels for text in texts.values()]))
    found: dict[str, np.ndarray] = {}
    for split, text in texts.items():
        if base and (text.indices == 0).any():
            raise UserError(f"{test}: has a feature 0, but the features of {path} begin with 1")
        found |= {
            f"{split}_starts": text.starts,
            f"{split}_indices": text.indices - np.uint32(base),
            f"{split}_values": text.values,
            f"{split}_targets": _targets(text.labels, kinds),
        }
    features = max(int(text.indices.max(initial=0)) for text in texts.values()) + 1 - base
    return found | {"features": np.array([features])}


def read_text(path: Path) -> Text:
    """Parse one file; raises `UserError` naming file and line where it is not of the format."""
    text = _bytes(path)
    lines, colons = kernel.count(text)
    labels, starts = np.empty(lines), np.empty(lines + 1, np.int64)
    indices, values = np.empty(colons, np.uint32), np.empty(colons)
    slow = np.empty((lines + colons, 3), np.int64)
    code, place, samples, entries, slows = kernel.parse(text, labels, starts, indices, values, slow)
    for entry, begin, end in slow[:slows].tolist():
        number = _float(text[begin:end].tobytes())
        if not np.isfinite(number):
            raise _wrong(path, text, begin, "a value" if entry >= 0 else "a label")
        if entry >= 0:
            values[entry] = number
        else:
            labels[-1 - entry] = number
    if code == kernel.NOT_ASCENDING:
        raise _wrong(path, text, place, "an index above the one before it")
    if code != kernel.GOOD:
        raise _wrong(path, text, place, "index:value")
    if samples == 0 or entries == 0:
        raise UserError(f"{path}: holds no samples of the form 'label index:value ...'")
    return Text(starts[: samples + 1], indices[:entries], values[:entries], labels[:samples])


def _bytes(path: Path) -> np.ndarray:
    try:
        with OPENERS.get(path.suffix, open)(path, "rb") as file:  # type: ignore[operator]
            text = file.read()
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}") from None
    return np.frombuffer(text if text.endswith(b"\n") else text + b"\n", np.uint8)


def _float(token: bytes) -> float:
    """A number of any form that Python reads; NaN for what is none. Underscores are Python's own."""
    try:
        return float("nan") if b"_" in token else float(token)
    except ValueError:
        return float("nan")


def _wrong(path: Path, text: np.ndarray, place: int, expected: str) -> UserError:
    line = 1 + int((text[:place] == kernel.NEWLINE).sum())
    words = text[place : place + SHOWN + 1].tobytes().split()
    token = words[0].decode("utf-8", "replace") if words else ""
    shown = token if len(token) <= SHOWN else f"{token[:SHOWN]}..."
    return UserError(
        f"{path}:{line}: expected {expected}, not {shown!r}; a line is 'label index:value index:value ...'"
    )


def _targets(labels: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Class labels or real targets, by which labels there are in all."""
    if (kinds != np.rint(kinds)).any():
        return labels
    if len(kinds) == 2:
        return np.searchsorted(kinds, labels)
    return labels.astype(np.int64) if kinds[0] >= 0 and kinds[-1] < MAX_CLASSES else labels
