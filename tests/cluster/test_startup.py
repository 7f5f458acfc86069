"""What `pmom run` notices about the way it was started before anything is computed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pmom_mpi

CONFIG = "iterations: 3\nstep_size: 0.1\nproblem: {kind: mlp, hidden: [8]}\ndata: {name: digits, nodes: 4}\n"

LAUNCHERS = {
    "Open MPI's mpirun": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    "mpiexec (PMI)": ("PMI_SIZE", "PMI_RANK"),
    "srun": ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
}

UNSHARE = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
MOUNT = UNSHARE if os.system(f"{' '.join(UNSHARE)} mount -t tmpfs none /mnt >/dev/null 2>&1") == 0 else []
KEPT = """
from pmom_mpi.doctor import machine
from pmom_mpi.kernels import momentum
print(momentum.ema_step.stats.cache_path, machine.kernels().state)
"""


@pytest.fixture
def config(tmp_path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG)
    return str(path)


def start(config: str, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pmom_mpi", "run", config, "-o", config.replace(".yaml", ".h5")]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | variables
    )


@pytest.mark.parametrize("name", LAUNCHERS)
def test_ranks_that_do_not_see_each_other_run_nothing(config, tmp_path, name):
    """Two processes whose environment speaks of two ranks but whose MPI knows of one: srun without the right PMI."""
    size, rank = LAUNCHERS[name]
    started = [start(config, **{size: "2", rank: str(k)}) for k in range(2)]
    for process in started:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 2, errors
        lines = [line for line in errors.splitlines() if line.startswith("pmom: error:")]
        assert len(lines) == 1, errors
        assert f"{name} started 2 ranks but each sees an MPI world of size 1" in lines[0]
        assert "pmom doctor" in lines[0] and "Traceback" not in errors
    assert not (tmp_path / "small.h5").exists()


def test_a_batch_script_that_no_launcher_started_runs_alone(config, tmp_path):
    """sbatch sets SLURM_NTASKS and a step of its own number; the script is one process."""
    process = start(config, SLURM_JOB_ID="7", SLURM_NTASKS="4", SLURM_STEP_NUM_TASKS="1", SLURM_STEP_ID="4294967291")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert (tmp_path / "small.h5").exists()


def test_a_launcher_whose_mpi_is_missing_is_one_line(config, tmp_path):
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").write_text('raise ImportError("libmpi.so.40: cannot open shared object")')
    process = start(config, PYTHONPATH=str(tmp_path), OMPI_COMM_WORLD_SIZE="2", OMPI_COMM_WORLD_RANK="0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert "libmpi.so.40" in errors and "Traceback" not in errors


@pytest.mark.skipif(not MOUNT, reason="mounting needs root or user namespaces")
def test_an_installation_that_cannot_be_written_by_a_user_without_a_home(config, tmp_path):
    """As in a container: numba has nowhere to keep compiled kernels, and goes to a private temporary folder."""
    package, nowhere = str(Path(pmom_mpi.__file__).parent), "/proc/nowhere"
    script = (
        f"mount --bind {package} {package} && mount -o remount,bind,ro {package} && exec {sys.executable} -c '{KEPT}'"
    )
    done = subprocess.run(
        [*MOUNT, "sh", "-c", script], capture_output=True, text=True, timeout=60,
        env=os.environ | {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "TMPDIR": str(tmp_path), "NUMBA_CACHE_DIR": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("pmom_mpi-numba-*")
    assert folder.stat().st_mode & 0o077 == 0
    assert done.stdout.startswith(str(folder)) and done.stdout.endswith(" note\n")
