"""Slurm's commands, as thin as they are: sbatch, squeue; and the job ids of a folder."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from pmom_mpi.words.errors import UserError

SECONDS = 60
JOBS = "jobs.json"
"""In a folder of run files: what was submitted for it."""


@dataclass(frozen=True)
class Job:
    """A job that was submitted.

    Attributes
    ----------
    id : str
        Slurm's.
    what : str
        The config or sweep file.
    script : str
        The batch script.
    submitted : str
        When, UTC.
    """

    id: str
    what: str
    script: str
    submitted: str


@dataclass(frozen=True)
class Queued:
    """A job, or a part of an array, that waits.

    Attributes
    ----------
    id : str
        ``12``, ``12_[3-7]``.
    reason : str
        Why it waits, in Slurm's words.
    """

    id: str
    reason: str


def sbatch(script: Path) -> str:
    """Submit a script; returns the job's id.

    Raises
    ------
    UserError
        When there is no Slurm, or it does not take the job: with its words.
    """
    if shutil.which("sbatch") is None:
        raise UserError(f"sbatch: there is no Slurm here; {script} is written, submit it where there is one")
    done = subprocess.run(["sbatch", "--parsable", str(script)], capture_output=True, text=True, timeout=SECONDS)
    if done.returncode != 0:
        raise UserError(f"{script}: sbatch does not take it: {' '.join(done.stderr.split())}")
    return done.stdout.strip().partition(";")[0]


def remember(folder: Path, job: str, what: str, script: Path) -> None:
    """Note a job in the folder of its run files."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    known = [*jobs(folder), Job(job, what, str(script), now)]
    partial = folder / f".{JOBS}.partial"
    partial.write_text(json.dumps([asdict(entry) for entry in known], indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / JOBS)


def jobs(folder: Path) -> list[Job]:
    """What was submitted for a folder; raises `UserError` when its list is damaged."""
    place = folder / JOBS
    try:
        return [Job(**entry) for entry in json.loads(place.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError):
        raise UserError(f"{place}: not a list of jobs as pmom submit writes it; remove it") from None


def queued(known: Iterable[Job]) -> list[Queued]:
    """Those of the jobs that wait; none where there is no Slurm, or it does not answer."""
    ids = ",".join(job.id for job in known)
    if not ids or shutil.which("squeue") is None:
        return []
    command = ["squeue", "--noheader", "--states=PENDING", "--format=%i|%r", f"--jobs={ids}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return []
    rows = (line.strip().partition("|") for line in done.stdout.splitlines() if "|" in line)
    return [Queued(job, "" if reason == "None" else reason) for job, _, reason in rows]
