"""Every @njit function: plain arrays in and out.

numba keeps what it has compiled beside these files or in the user's cache (NUMBA_CACHE_DIR goes before both), and
refuses the import where it can write to none of them: in a container whose user has no home, say. Then the kernels are
kept in a folder of the system's temporary place that belongs to this user alone, since numba executes what it finds.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import numba


def _have_a_cache() -> None:
    try:
        numba.njit(cache=True)(lambda: None)
    except RuntimeError:
        folder = Path(tempfile.gettempdir()) / f"pmom_mpi-numba-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        private = found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
        numba.config.CACHE_DIR = str(folder) if private else tempfile.mkdtemp(prefix="pmom_mpi-numba-")


_have_a_cache()
