"""Files of the svmlight format, which LIBSVM's data sets have: ``label index:value index:value ...`` a sample.

Features are counted from 1, or from 0 in a file that has a feature 0. As LIBSVM distributes them, the test samples of
``FILE`` are in ``FILE.t``, those of ``NAME.scale`` in ``NAME.t.scale``. Compressed files are read as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from pmom_mpi.data import content
from pmom_mpi.data.checks import check_finite, check_finite_rows
from pmom_mpi.kernels import svmlight as kernel
from pmom_mpi.words.errors import UserError

COMPRESSED = ("", ".gz", ".bz2", ".xz")
WHOLE = float(1 << 53)
"""Up to here float64 tells whole numbers apart."""
LINE = 1000
"""How much of the first line is looked at for commas."""
SHOWN = 30
"""How many characters of a wrong token a message shows."""


class Text(NamedTuple):
    """What a file holds: CSR arrays with the file's own feature numbers, and the labels as numbers."""

    starts: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    labels: np.ndarray


def read(path: Path, test: Path | None = None, find_test: bool = True) -> dict[str, np.ndarray]:
    """The arrays of a file and of its test file: ``test``, or if it is to be found the one beside it.

    Labels that are all whole numbers are class labels (integers), anything else is a real target.

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
    if test is None and find_test:
        test = test_file(path)
    texts = {"train": read_text(path)} | ({"test": read_text(test)} if test else {})
    base = 0 if (texts["train"].indices == 0).any() else 1
    whole = all((np.abs(text.labels) <= WHOLE).all() and _whole(text.labels) for text in texts.values())
    found: dict[str, np.ndarray] = {}
    for split, text in texts.items():
        place = test if split == "test" and test else path
        check_finite(place, "the column of labels", text.labels)
        check_finite_rows(place, text.starts, text.indices, text.values)
        if base and (text.indices == 0).any():
            raise UserError(f"{test}: has a feature 0, but the features of {path} begin with 1")
        found |= {
            f"{split}_starts": text.starts,
            f"{split}_indices": text.indices - np.uint32(base),
            f"{split}_values": text.values,
            f"{split}_targets": text.labels.astype(np.int64) if whole else text.labels,
        }
    features = max(int(text.indices.max(initial=0)) for text in texts.values()) + 1 - base
    return found | {"features": np.array([features])}


def test_file(path: Path) -> Path | None:
    """The file beside ``path`` that holds its test samples, compressed alike, otherwise or not; None without one.

    Examples
    --------
    >>> test_file(Path("configs/problems/digits-3-8.svm"))
    PosixPath('configs/problems/digits-3-8.svm.t')
    """
    end = path.suffix if path.suffix.lower() in COMPRESSED[1:] else ""
    plain = path.with_name(path.name.removesuffix(end))
    inside = [plain.with_name(f"{plain.stem}.t{plain.suffix}")] if plain.suffix else []
    bases = [plain.with_name(f"{plain.name}.t"), *inside]
    candidates = [base.with_name(f"{base.name}{other}") for base in bases for other in (end, *COMPRESSED)]
    return next((candidate for candidate in candidates if candidate.is_file() and candidate != path), None)


def _whole(numbers: np.ndarray) -> bool:
    return bool((numbers == np.rint(numbers)).all())


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
    text = content.read_text(path)
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
    if shown.partition(":")[0].isdecimal() and ":" in shown and expected == "index:value":
        expected = f"an index of at most {kernel.MAX_INDEX:,}"
    if line == 1 and b"," in text[:LINE].tobytes().split(b"\n")[0]:
        return UserError(
            f"{path}: this looks like CSV, which is not read; write numpy.savez('data.npz', x_train=x, y_train=y)"
        )
    if place and text[place - 1] == kernel.COLON and text[place] <= kernel.SPACE:
        return UserError(f"{path}:{line}: expected {expected} right behind the colon, without a blank")
    return UserError(
        f"{path}:{line}: expected {expected}, not {shown!r}; a line is 'label index:value index:value ...'"
    )
