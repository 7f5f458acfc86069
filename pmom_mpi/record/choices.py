"""What a sweep calls the choices that made its runs: a file in its folder, into which all readers of run files look.

It is JSON, ``{"top10-seed0-1b0c7e5f": {"method": "top10"}, ...}``, by the names of the run files, in the sweep's order.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pmom_mpi.words.errors import UserError

NAME = "choices.json"
Choices = dict[str, Any]


def write(folder: Path, told: Mapping[str, Choices]) -> None:
    """Write the choices of a sweep's runs beside their files; runs of another sweep that lie there keep theirs.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    file = folder / NAME
    try:
        before = _read(file)
    except UserError:
        before = {}
    others = {stem: own for stem, own in before.items() if stem not in told and (folder / f"{stem}.h5").exists()}
    text = json.dumps({**told, **others}, indent=1, default=str) + "\n"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        partial = file.with_name(f".{NAME}.{socket.gethostname()}-{os.getpid()}")
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)


def of(path: Path) -> Choices:
    """The choices of the run of a file; empty where no sweep made it. Raises `UserError` where they cannot be read."""
    return _read(path.parent / NAME).get(path.stem, {})


def in_order(files: list[Path]) -> list[Path]:
    """The same files in the order of their paths, but those of a sweep in its order, before others of their folder."""
    places = {
        folder / stem: place
        for folder in {file.parent for file in files}
        for place, stem in enumerate(_read(folder / NAME))
    }
    last = len(places)

    def key(file: Path) -> list[tuple[int, str]]:
        return [*((last, part) for part in file.parent.parts), (places.get(file.with_suffix(""), last), file.name)]

    return sorted(files, key=key)


def _read(file: Path) -> dict[str, Choices]:
    try:
        stat = file.stat()
    except OSError:
        return {}
    return _parsed(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _parsed(file: Path, changed: int, size: int) -> dict[str, Choices]:
    """What a file held at a time: a sweep has hundreds of runs, each of which is looked up here."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {str(stem): dict(own) for stem, own in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        raise UserError(
            f"{file}: not what pmom sweep writes there; delete it, the next pmom sweep makes it anew"
        ) from None
