"""Run files where the file system has no locks: flock fails, as on NFS without a lock server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import h5py
import pytest

NO_LOCKS = """
#include <errno.h>
int flock(int file, int operation) { (void)file; (void)operation; errno = ENOLCK; return -1; }
"""


@pytest.fixture(scope="module")
def pmom(tmp_path_factory):
    """The command, where no file can be locked."""
    if shutil.which("cc") is None:
        pytest.skip("needs cc")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "flock.c").write_text(NO_LOCKS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "flock.so", folder / "flock.c"], check=True)

    def run(*words, **variables):
        environment = {name: value for name, value in os.environ.items() if name != "HDF5_USE_FILE_LOCKING"}
        return subprocess.run(
            [sys.executable, "-m", "pmom_mpi", *map(str, words)], capture_output=True, text=True, timeout=120,
            env=environment | {"LD_PRELOAD": str(folder / "flock.so")} | variables,
        )  # fmt: skip

    return run


RUN = ("run", "quickstart", "-q", "-s", "iterations=4", "-s", "checkpoint.every=2")


@pytest.mark.parametrize("variables", [{}, {"HDF5_USE_FILE_LOCKING": "TRUE"}])
def test_a_run_says_in_a_line_what_to_do(pmom, tmp_path, variables):
    ended = pmom(*RUN, "-o", tmp_path / "run.h5", **variables)
    (line,) = ended.stderr.strip().splitlines()
    assert ended.returncode == 2 and not list(tmp_path.iterdir())
    assert "No locks available; no locks on this file system: set HDF5_USE_FILE_LOCKING=FALSE, or, where " in line
    assert line.endswith("record.locking=false")


@pytest.mark.parametrize(
    "words, variables", [(["-s", "record.locking=false"], {}), ([], {"HDF5_USE_FILE_LOCKING": "FALSE"})]
)
def test_both_remedies_do(pmom, tmp_path, words, variables):
    path = tmp_path / "run.h5"
    for ended in (
        pmom(*RUN, *words, "-o", path, **variables),
        pmom("resume", path, "--extend", 6, "-q", **variables),
        pmom("show", path, **variables),
    ):
        assert ended.returncode == 0, ended.stderr
    with h5py.File(path) as file:
        assert file.attrs["status"] == "finished" and len(file["metrics/iteration"]) == 6
