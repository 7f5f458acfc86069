"""Parallel momentum methods under biased gradient estimation, over MPI.

`run` runs an experiment, `open_run` and `open_runs` read what came of it; docs/api.md shows them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pmom_mpi.analysis.read import Run, load, open_run
    from pmom_mpi.analysis.runs import Runs
    from pmom_mpi.campaign.opening import open_runs
    from pmom_mpi.runtime.experiment import run
    from pmom_mpi.runtime.legs import Result
    from pmom_mpi.words.errors import UserError

__version__ = "0.1.0"
__all__ = ["Result", "Run", "Runs", "UserError", "load", "open_run", "open_runs", "run"]

_PLACES = {
    "Result": "pmom_mpi.runtime.legs",
    "Run": "pmom_mpi.analysis.read",
    "Runs": "pmom_mpi.analysis.runs",
    "UserError": "pmom_mpi.words.errors",
    "load": "pmom_mpi.analysis.read",
    "open_run": "pmom_mpi.analysis.read",
    "open_runs": "pmom_mpi.campaign.opening",
    "run": "pmom_mpi.runtime.experiment",
}


def __getattr__(name: str) -> Any:
    """What `__all__` names, imported when it is first asked for: the command line starts faster without."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
