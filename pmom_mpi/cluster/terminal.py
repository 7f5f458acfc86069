"""The terminal that a job is started from: ranks write into pipes of their launcher and cannot see it themselves."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping

from pmom_mpi.cluster.environment import launcher

VARIABLE = "PMOM_TERMINAL"
"""Says to rank 0 how wide the terminal is on which its standard error will be seen; set by `pmom launch`."""


def variables() -> dict[str, str]:
    """What a launcher started from here is to be told; nothing where standard error is no terminal.

    Launchers hand on the environment to ranks of their own host, where rank 0 is.
    """
    return {VARIABLE: str(shutil.get_terminal_size().columns)} if sys.stderr.isatty() else {}


def width(environment: Mapping[str, str] = os.environ) -> int:
    """How wide the terminal is that shows what this rank writes to standard error; 0 where none is known of.

    Examples
    --------
    >>> width({"PMI_SIZE": "3", "PMOM_TERMINAL": "100"}), width({"PMI_SIZE": "3"}), width({"PMOM_TERMINAL": "100"})
    (100, 0, 0)
    """
    said = environment.get(VARIABLE, "")
    return int(said) if launcher(environment) is not None and said.isdecimal() else 0
