"""What the ranks of a real job do beside the method: who opens the run file, and how long each waits."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from pmom_mpi.analysis import read, show
from pmom_mpi.analysis.tables import Table
from pmom_mpi.cluster import launch
from pmom_mpi.cluster.mpirun import with_path
from pmom_mpi.record.head import Head
from pmom_mpi.words.errors import UserError

RANK = "\0".join(launch.pmom()).encode()
NAMES = (b"OMPI_COMM_WORLD_RANK", b"PMI_RANK")


def test_only_the_server_opens_the_run_file_and_every_workers_wait_is_recorded(tmp_path):
    path = tmp_path / "run.h5"
    words = ["run", "quickstart", "-q", "-s", "iterations=1000000", "-s", "record.flush_seconds=0",
             "-s", "checkpoint.every=5", "-s", "evaluate.every=0", "-o", str(path)]  # fmt: skip
    command = launch.launch_command(3, launch.pmom(*words))
    environment = with_path(command.words[0]) | dict(command.variables)
    seen: dict[int, set[str]] = {}
    with subprocess.Popen(command.words, env=environment, stderr=subprocess.DEVNULL, start_new_session=True) as job:
        try:
            while rows(path) < 20:
                assert job.poll() is None
                time.sleep(0.05)
            for _ in range(50):
                for rank, files in opened(job.pid, tmp_path):
                    seen.setdefault(rank, set()).update(files)
        finally:
            job.send_signal(signal.SIGTERM)
    assert sorted(seen) == [0, 1, 2] and seen[1] == seen[2] == set()
    assert str(path) in seen[0]
    run = read.load(path)
    waits = run.workers["wait"]
    assert waits.shape == (run.iterations, 2) and (waits >= 0).all() and (waits[1:] > 0).all()
    (table,) = (
        part for part in show.show(run) if isinstance(part, Table) and part.title.startswith("time of the work")
    )
    assert [line[0] for line in table.rows] == ["evaluate", "gradient", "bias", "encode", "send", "wait"]


def rows(path: Path) -> int:
    try:
        return Head.read(path).rows if path.exists() else 0
    except UserError:
        return 0  # it is being made at this very moment


def opened(session: int, folder: Path) -> list[tuple[int, set[str]]]:
    """By rank the files below a folder that it has open now."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            mine = os.getsid(int(place.name)) == session or str(folder).encode() in (place / "cmdline").read_bytes()
            if not mine or not (place / "cmdline").read_bytes().startswith(RANK):
                continue
            variables = dict(
                item.split(b"=", 1) for item in (place / "environ").read_bytes().split(b"\0") if b"=" in item
            )
            links = set()
            for link in (place / "fd").iterdir():
                try:
                    links.add(os.readlink(link))
                except FileNotFoundError:  # closed since
                    continue
        except (FileNotFoundError, ProcessLookupError):
            continue
        rank = next(int(variables[name]) for name in NAMES if name in variables)
        found.append((rank, {file for file in links if file.startswith(str(folder))}))
    return found
