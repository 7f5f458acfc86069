"""MPI: the library, its launcher, and small real jobs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pmom_mpi.cluster import mpirun as launchers
from pmom_mpi.cluster.cores import cores
from pmom_mpi.cluster.environment import allocation
from pmom_mpi.cluster.launch import compose
from pmom_mpi.cluster.mpirun import INTEL, MPICH, OPEN_MPI, UNKNOWN, Library, Mpirun
from pmom_mpi.doctor.row import BAD, GOOD, NOTE, Row, from_error
from pmom_mpi.words.errors import UserError

MARK = "pmom-doctor "
"""In front of what a rank prints: launchers print lines of their own."""
TALKING = {
    OPEN_MPI: {"OMPI_MCA_pml_base_verbose": "10", "OMPI_MCA_btl_base_verbose": "100"},
    MPICH: {"MPIR_CVAR_DEBUG_SUMMARY": "1"},
    INTEL: {"I_MPI_DEBUG": "5"},
}
"""What makes an MPI library say what its messages go over."""
JOB_SECONDS = 60
LAUNCHER_SECONDS = 10
"""More than the ranks get: they end first, and the launcher can say so."""


@dataclass(frozen=True)
class Answer:
    """What came of a job.

    Attributes
    ----------
    reports : list of dict
        What its ranks printed.
    trouble : str
        What it said when it failed, or that it took too long; empty when it ended well.
    said : str
        All that it printed.
    """

    reports: list[dict[str, Any]]
    trouble: str
    said: str = ""


def check() -> list[Row]:
    """The MPI library, the launcher, and what jobs that it starts can do."""
    try:
        library = launchers.library()
    except UserError as error:
        return [from_error("MPI library", error)]
    rows = [Row("MPI library", GOOD, f"mpi4py loads {' '.join(library.version.split())}")]
    try:
        mpirun = launchers.find()
    except UserError as error:
        return [*rows, from_error("launcher", error)]
    rows.append(launcher(mpirun, library))
    granted = allocation()
    ranks = max(2, granted.slots) if granted is not None and granted.hosts > 1 else 2
    answer = start(mpirun, ranks, "hello", variables=TALKING.get(mpirun.vendor, {}))
    rows.append(seen(answer, ranks, mpirun.path))
    if rows[-1].state == GOOD:
        rows += [fabric(mpirun.vendor, answer.said), binding(answer.reports), data(answer.reports), failures(mpirun)]
    return rows


def launcher(mpirun: Mpirun, library: Library) -> Row:
    """Whether the launcher is the library's own."""
    named = "" if mpirun.vendor == UNKNOWN or mpirun.vendor in mpirun.version else f"{mpirun.vendor}, "
    finding = f"{mpirun.path}: {named}{mpirun.version}"
    if mpirun.vendor == library.vendor:
        return Row("launcher", GOOD, finding)
    state, but = (
        (NOTE, "no MPI that we know") if mpirun.vendor == UNKNOWN else (BAD, f"but mpi4py's is {library.vendor}")
    )
    return Row("launcher", state, f"{finding}, {but}", "unset PMOM_MPIRUN, or let it be that library's mpirun")


def start(
    mpirun: Mpirun, ranks: int, task: str, extra: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> Answer:
    """Run a task of `pmom_mpi.doctor.rank` as `pmom launch` would, with extra flags and variables."""
    command = compose(mpirun, ranks, program(task), 1, cores(), allocation(), os.geteuid() == 0)
    words = (command.words[0], *extra, *command.words[1:])
    return ask(words, launchers.with_path(mpirun.path) | dict(command.variables) | dict(variables or {}))


def program(task: str) -> list[str]:
    """The words that start a rank."""
    return [sys.executable, "-m", "pmom_mpi.doctor.rank", task, str(JOB_SECONDS)]


def ask(words: Sequence[str], environment: Mapping[str, str]) -> Answer:
    """Run a command that starts ranks, and collect what they print."""
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=JOB_SECONDS + LAUNCHER_SECONDS,
            env=environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        return Answer([], f"cannot start it: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Answer([], f"not done after {JOB_SECONDS + LAUNCHER_SECONDS} s")
    lines = [line.removeprefix(MARK) for line in done.stdout.splitlines() if line.startswith(MARK)]
    trouble = _gist(done.stderr or done.stdout) or f"exit status {done.returncode}" if done.returncode else ""
    return Answer([json.loads(line) for line in lines], trouble, done.stdout + done.stderr)


def seen(answer: Answer, ranks: int, path: str) -> Row:
    """Whether the ranks of a job see each other."""
    what, sizes = f"a job of {ranks} ranks", [report["size"] for report in answer.reports]
    hosts = sorted({report["host"] for report in answer.reports})
    if sizes == [ranks] * ranks and not answer.trouble:
        return Row(what, GOOD, f"every rank sees {ranks} ranks, on {', '.join(hosts)}")
    if len(sizes) > 1 and set(sizes) == {1}:
        return Row(
            what, BAD, f"{len(sizes)} processes were started, but each sees a world of size 1",
            "this launcher and the MPI library do not match: start with that library's mpirun (PMOM_MPIRUN)",
        )  # fmt: skip
    reason = answer.trouble or f"{len(sizes)} ranks answered"
    return Row(what, BAD, reason, f"try '{path} -n {ranks} hostname' by hand; its MPI's manual explains the message")


def fabric(vendor: str, said: str) -> Row:
    """What MPI's messages go over, in the words of the MPI library that was made talkative."""
    what = "MPI's fabric"
    if vendor == OPEN_MPI:
        layers = sorted(set(re.findall(r"select: component (\w+) selected", said)))
        paths = sorted(set(re.findall(r"Using (\w+) btl for send", said)) - {"self"})
        finding = " and ".join(layers) + (f", over {', '.join(paths)}" if paths else "")
        slow = "tcp" in paths
    else:
        providers = sorted(set(re.findall(r"(?:libfabric )?provider:\s*([\w;-]+)", said)))
        finding, slow = ", ".join(providers), any("tcp" in name or "sockets" in name for name in providers)
    if not finding:
        return Row(what, NOTE, f"{vendor} does not say", "its manual tells how it is asked: docs/cluster.md")
    if slow:
        return Row(what, NOTE, finding, "between hosts this is plain TCP; where there is a faster network, use the "
                   "site's MPI: docs/cluster.md")  # fmt: skip
    return Row(what, GOOD, finding)


def data(reports: list[dict[str, Any]]) -> Row:
    """Whether all hosts of a job see the same data sets, of the same sizes."""
    what = "data on the hosts"
    seen = {report["host"]: report["data"] for report in reports}
    folder = reports[0]["folder"]
    names = sorted(set().union(*seen.values()))
    wrong = [f"{host} has no {name}" for host, found in seen.items() for name in names if name not in found]
    sizes = {name: {found[name] for found in seen.values() if name in found} for name in names}
    wrong += [f"{name} is not of one size" for name, found in sizes.items() if len(found) > 1]
    if wrong:
        return Row(what, BAD, f"{folder}: {'; '.join(wrong)}", "export PMOM_DATA_DIR=FOLDER, one that all hosts share")
    finding = f"{', '.join(names) or 'no data set'} in {folder}, on {len(seen)} host(s)"
    if len(seen) == 1 and allocation() is None:
        return Row(what, GOOD, f"{finding}; of compute nodes: start pmom doctor inside a job")
    return Row(what, GOOD, finding)


def binding(reports: list[dict[str, Any]]) -> Row:
    """Which cores the ranks of a job may run on, on the host that has most of them."""
    by_host: dict[str, list[frozenset[int]]] = {}
    for report in reports:
        by_host.setdefault(report["host"], []).append(frozenset(report["cpus"]))
    masks = max(by_host.values(), key=len)
    together = frozenset().union(*masks)
    if not together:
        return Row("binding", NOTE, "this operating system does not say")
    if sum(map(len, masks)) == len(together):
        return Row(
            "binding", GOOD, f"each of {len(masks)} ranks is bound to {len(masks[0])} hardware thread(s) of its own"
        )
    if len(together) >= len(masks):
        return Row("binding", GOOD, f"{len(masks)} ranks share {len(together)} hardware threads freely")
    return Row(
        "binding", NOTE, f"{len(masks)} ranks share {len(together)} hardware thread(s); they will take turns",
        "ask for a core a rank (taskset, cgroup or the batch job limit this process)",
    )  # fmt: skip


def failures(mpirun: Mpirun) -> Row:
    """Whether a job can outlive one of its ranks (ULFM); tried with Open MPI, whose launcher must be told."""
    what = "survival (ULFM)"
    if mpirun.vendor != OPEN_MPI:
        return Row(what, NOTE, f"not tried with {mpirun.vendor}; a rank's death ends the job")
    answer = start(mpirun, 2, "survive", ("--with-ft", "ulfm"))
    if answer.reports == [{"left": 1}]:
        return Row(what, GOOD, "mpirun --with-ft ulfm: a rank was killed, the other went on")
    reason = answer.trouble or "the other rank noticed nothing"
    return Row(what, NOTE, f"not available ({reason}); a rank's death ends the job")


def _gist(text: str, length: int = 300) -> str:
    """The words of a launcher's message, without its frames and empty lines."""
    words = " ".join(line.strip() for line in text.splitlines() if line.strip(" -=*|"))
    return words if len(words) <= length else words[:length] + " ..."
