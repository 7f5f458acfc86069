"""The experiment: YAML in, typed data out, one clear line when something is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from pmom_mpi.config.checked import Config, from_raw
from pmom_mpi.config.overrides import amend
from pmom_mpi.config.own import own_code
from pmom_mpi.config.sections import Evaluate, Record, Wire
from pmom_mpi.config.text import in_a_line, load, parse, to_yaml

__all__ = [
    "Config",
    "Evaluate",
    "Record",
    "Wire",
    "allow_modules",
    "amend",
    "from_raw",
    "in_a_line",
    "load",
    "own_code",
    "parse",
    "to_yaml",
]


def allow_modules(folders: Iterable[str]) -> None:
    """Let kinds be the user's own ``module:Class`` from these folders."""
    sys.path.extend(folder for folder in folders if folder not in sys.path)
