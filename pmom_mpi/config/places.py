"""Where configs are found: files, and the ready ones that come with the package; what is meant to lie beside them."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from pmom_mpi.words.errors import UserError

PACKAGE = Path(__file__).parents[1]
FOLDERS = ("configs", "examples")
"""Folders of a checkout that are installed inside the package."""


def folder(name: str) -> Path:
    """One of `FOLDERS`: inside an installed package, or beside it in a checkout."""
    installed = PACKAGE / name
    return installed if installed.is_dir() else PACKAGE.parent / name


def ready() -> dict[str, Path]:
    """The ready configs by their short names, the files' stems.

    Examples
    --------
    >>> ready()["mnist-top10"].parent.name
    'paper'
    """
    found = (path for name in FOLDERS for path in sorted(folder(name).rglob("*.yaml")))
    return {path.stem: path for path in found if path.parent.name != "sweeps"}


def sweeps() -> dict[str, Path]:
    """The ready sweep files by their short names.

    Examples
    --------
    >>> sorted(sweeps())
    ['paper-fashion', 'paper-mnist', 'sweep']
    """
    return {path.stem: path for path in sorted((folder("configs") / "sweeps").glob("*.yaml"))}


def find(config: str | Path) -> Path:
    """The file that is meant: a path as it is, else ``NAME.yaml`` in this folder, else a ready config or sweep.

    A ready one goes by its name, ``quickstart``, by its place, ``paper/mnist-top10``, or by its path in a checkout.

    Raises
    ------
    UserError
        When a bare name is none of these.

    Examples
    --------
    >>> find("paper/mnist-top10") == find("mnist-top10") == ready()["mnist-top10"]
    True
    """
    path = Path(config)
    if os.path.exists(path):  # which, unlike pathlib, only says no to names that no file can have
        return path
    if path.suffix != ".yaml":
        local = path.with_name(f"{path.name}.yaml")
        if os.path.exists(local):
            return local
    known = ready() | sweeps()
    for candidate in known.values():
        if _is_called(candidate, path):
            return candidate
    if path.suffix or path.is_absolute():
        return path  # reading it says what is wrong
    near = difflib.get_close_matches(path.name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UserError(f"{config}: neither a file nor a ready config; {hint}'pmom configs' lists the ready ones")


def _is_called(candidate: Path, path: Path) -> bool:
    """Whether ``path`` is a way to call this ready config: the end of its place, with or without the suffix."""
    wanted = path.with_suffix("") if path.suffix == ".yaml" else path
    place = candidate.with_suffix("").parts
    inside = len(place) - max(i for i, part in enumerate(place) if part in FOLDERS)
    return 0 < len(wanted.parts) <= inside and place[-len(wanted.parts) :] == wanted.parts


def headline(path: Path) -> str:
    """The first sentence of the comment that a config begins with."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines).partition(". ")[0].rstrip(".")


def companions(path: Path) -> list[Path]:
    """The files beside a config that its text speaks of: the modules of its kinds, its data."""
    text = path.read_text(encoding="utf-8")
    beside = (file for file in path.parent.iterdir() if file.is_file() and file.suffix != ".yaml")
    return sorted(file for file in beside if file.name.partition(".")[0] in text)
