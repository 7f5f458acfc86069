"""Parallel momentum methods under biased gradient estimation, over MPI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pmom_mpi.runtime.experiment import Result, run

__version__ = "0.1.0"
__all__ = ["Result", "run"]


def __getattr__(name: str) -> Any:
    """`run` and `Result`, imported when they are first asked for: the command line starts faster without."""
    if name in __all__:
        from pmom_mpi.runtime import experiment

        return getattr(experiment, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
