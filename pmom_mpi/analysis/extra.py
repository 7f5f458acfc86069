"""Libraries of the extra `[analysis]`, imported where they are used only."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from pmom_mpi.words.errors import UserError


def library(name: str) -> ModuleType:
    """The module; raises `UserError` with the command that installs it."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise UserError(f"{name} is not installed; install it with: pip install 'pmom-mpi[analysis]'") from None
