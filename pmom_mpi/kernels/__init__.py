"""Every @njit function: plain arrays in and out.

What numba has compiled is kept in the user's folder for caches, so that nothing is left behind in the package's;
NUMBA_CACHE_DIR goes before it. Where that folder cannot be written numba chooses as usual (beside these files), and
where it finds no place either, in a container whose user has no home, say, it would refuse the import. Then the kernels
are kept in a folder of the system's temporary place that belongs to this user alone, as numba executes what it finds.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import numba
from platformdirs import user_cache_path


def _choose_the_users_cache() -> None:
    if numba.config.CACHE_DIR:  # NUMBA_CACHE_DIR
        return
    folder = user_cache_path("pmom_mpi-kernels")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return
    numba.config.CACHE_DIR = str(folder)


def _have_a_cache() -> bool:
    """Whether there is a place that lasts; where there is none, one that may not is made."""
    try:
        numba.njit(cache=True)(lambda: None)
        return True
    except RuntimeError:
        folder = Path(tempfile.gettempdir()) / f"pmom_mpi-numba-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        private = found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
        numba.config.CACHE_DIR = str(folder) if private else tempfile.mkdtemp(prefix="pmom_mpi-numba-")
        return False


_choose_the_users_cache()
CACHE_LASTS = _have_a_cache()
"""False where compiled kernels are kept in the temporary place only."""
