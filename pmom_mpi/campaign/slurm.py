"""Slurm's commands, as thin as they are: sbatch, squeue, sacct; and the job ids of a folder."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from pmom_mpi.words.errors import UserError

SECONDS = 60
JOBS = "jobs.json"
"""In a folder of run files: what was submitted for it."""
WELL = (
    "COMPLETED",
    "COMPLETING",
    "CONFIGURING",
    "PENDING",
    "RUNNING",
    "REQUEUED",
    "REQUEUE_HOLD",
    "RESIZING",
    "SUSPENDED",
)
"""States of jobs that have ended well, or are not over."""


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


@dataclass(frozen=True)
class Ended:
    """A job, or a part of an array, that is over.

    Attributes
    ----------
    id : str
        ``12``, ``12_3``.
    state : str
        In Slurm's words: ``OUT_OF_MEMORY``, ``TIMEOUT``, ``CANCELLED``, ...
    code : str
        Exit status and signal: ``2:0``.
    reason : str
        In Slurm's words; empty, or ``None``, where it has none.
    """

    id: str
    state: str
    code: str
    reason: str

    @property
    def told(self) -> str:
        """What a person is told."""
        because = f", {self.reason}" if self.reason not in ("", "None", "NonZeroExitCode") else ""
        return f"{self.state}{because}; exit code {self.code}"


def sbatch(script: Path, before: Sequence[str] = ()) -> str:
    """Submit a script; returns the job's id.

    Parameters
    ----------
    script : Path
    before : sequence of str
        Jobs that must have ended otherwise than well before this one may begin; once one of them has ended well, Slurm
        takes this one out of the queue. Of all, not only the last: a job that was taken out counts as not ended well.

    Raises
    ------
    UserError
        When there is no Slurm, or it does not take the job: with its words.
    """
    if shutil.which("sbatch") is None:
        raise UserError(f"sbatch: there is no Slurm here; {script} is written, submit it where there is one")
    wait = [f"--dependency={','.join(f'afternotok:{job}' for job in before)}", "--kill-on-invalid-dep=yes"]
    command = ["sbatch", "--parsable", *(wait if before else []), str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
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
    said = _said(["squeue", "--noheader", "--states=PENDING", "--format=%i|%r", f"--jobs={ids}"]) if ids else None
    rows = (line.strip().partition("|") for line in (said or "").splitlines() if "|" in line)
    return [Queued(job, "" if reason == "None" else reason) for job, _, reason in rows]


def ended_badly(known: Iterable[Job]) -> list[Ended]:
    """Of the newest jobs of every script, and their arrays' parts, those that have ended otherwise than well.

    From sacct; of jobs that it does not know, as where a cluster keeps no accounts, what Slurm still remembers.
    """
    newest = {job.script: job.id for job in known}
    if not newest:
        return []
    format = "JobID,State,ExitCode,Reason"
    said = _said(["sacct", "--noheader", "--parsable2", "--allocations", f"--format={format}",
                  f"--jobs={','.join(newest.values())}"])  # fmt: skip
    rows = [line.split("|") for line in (said or "").splitlines()]
    found = [Ended(job, state.split()[0], code, reason) for job, state, code, reason in rows]
    told = {ended.id.partition("_")[0] for ended in found}
    found += [ended for job in newest.values() if job not in told for ended in _remembered(job)]
    return [ended for ended in found if ended.state not in WELL]


def _remembered(job: str) -> list[Ended]:
    """What scontrol still says of a job: some minutes, as a rule."""
    found = []
    for line in (_said(["scontrol", "--oneliner", "show", "job", job]) or "").splitlines():
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if "JobState" in words:
            task = words.get("ArrayTaskId")
            name = f"{words['ArrayJobId']}_{task}" if task else words["JobId"]
            found.append(Ended(name, words["JobState"], words.get("ExitCode", ""), words.get("Reason", "")))
    return found


def _said(command: Sequence[str]) -> str | None:
    """What one of Slurm's commands prints; None where there is none, or it fails or does not answer."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None
