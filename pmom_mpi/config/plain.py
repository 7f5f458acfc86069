"""What a script holds, as the plain data that YAML holds: numpy's numbers and arrays, paths, tuples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from pmom_mpi.words.errors import UserError


def plain(value: Any, where: str = "config") -> Any:
    """A copy of dicts, lists, strings, numbers, booleans and None.

    Raises
    ------
    UserError
        Naming the key, for what YAML has no word for.

    Examples
    --------
    >>> plain({"iterations": np.int64(5), "output": PurePath("out/x.h5"), "hidden": (np.int32(8), 4)})
    {'iterations': 5, 'output': 'out/x.h5', 'hidden': [8, 4]}
    """
    if isinstance(value, Mapping):
        return {_key(key, where): plain(item, f"{where}.{key}".removeprefix("config.")) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}.{place}") for place, item in enumerate(value)]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist(), where)
    if isinstance(value, PurePath):
        return str(value)
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)  # also of what only derives from it
    if value is None:
        return None
    raise UserError(
        f"{where}: a {type(value).__name__} cannot be written into a config; use numbers, text, lists, mappings"
    )


def _key(key: Any, where: str) -> str | int | float:
    """Keys are text; a number, as YAML may have it, stays to be refused by name."""
    if not isinstance(key, (str, int, float)):
        raise UserError(f"{where}: {key!r} cannot be a key; keys are text")
    return key
