"""Batch scripts as one would write them oneself, from a template; what is submitted is what is shown."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2

from pmom_mpi import config as configs
from pmom_mpi.campaign import folder, slurm, states, sweep_file
from pmom_mpi.config import places
from pmom_mpi.runtime.source import Source
from pmom_mpi.words.errors import UserError

MOST_TASKS = 1000
"""Of an array; Slurm's MaxArraySize is 1001 unless a cluster says otherwise. A task takes several runs if need be."""


@dataclass(frozen=True)
class Request:
    """What is asked of Slurm.

    Attributes
    ----------
    nodes, ntasks_per_node : int
        Hosts, and MPI ranks on each.
    time, partition : str
        As sbatch takes them; empty: the cluster's default.
    array_limit : int
        Tasks of a sweep's array at a time; 0: no limit.
    requeue : bool
        Whether the job is queued again when its time is up or it is preempted.
    chain : int
        Jobs in line, each of which begins only when those before it have not come to their end.
    options : tuple of str
        More of sbatch's: ``--account=physics``.
    template : str
        A file to take instead of ours; empty: ours.
    """

    nodes: int = 1
    ntasks_per_node: int = 1
    time: str = ""
    partition: str = ""
    array_limit: int = 0
    requeue: bool = False
    chain: int = 1
    options: tuple[str, ...] = ()
    template: str = ""

    @property
    def ranks(self) -> int:
        return self.nodes * self.ntasks_per_node


@dataclass(frozen=True)
class Script:
    """A batch script.

    Attributes
    ----------
    what : str
        The config or sweep file.
    path : Path
        Where it goes, beside the run files.
    text : str
    sweep : Sweep or None
    chain : int
        How often it is submitted.
    """

    what: str
    path: Path
    text: str
    sweep: sweep_file.Sweep | None = None
    chain: int = 1

    def submit(self) -> list[str]:
        """Write it, submit it, note the jobs' ids beside the run files, and return them; raises `UserError`."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(self.text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{self.path}: cannot write the script: {error.strerror}") from None
        if self.sweep is not None:
            folder.write_configs(self.sweep)
        submitted: list[str] = []
        for _ in range(self.chain):
            submitted.append(slurm.sbatch(self.path, submitted))
            slurm.remember(self.path.parent, submitted[-1], self.what, self.path)
        return submitted


def script(what: str, request: Request, overrides: Sequence[str] = (), output: str | None = None) -> Script:
    """The script for a config or a sweep file.

    Parameters
    ----------
    what : str
        The file; a sweep has a key ``base``.
    request : Request
    overrides : sequence of str
        ``key=value``, of a config.
    output : str, optional
        The run file of a config, the folder of a sweep.

    Raises
    ------
    UserError
        When file, overrides or template cannot be used, or nothing of a sweep is left to do.
    """
    if "base" in configs.load(places.find(what)):
        if overrides:
            raise UserError(f"-s {overrides[0]}: is for configs; a sweep says all in its file")
        return _of_sweep(what, request, output)
    return _of_config(what, request, overrides, output)


def _of_config(what: str, request: Request, overrides: Sequence[str], output: str | None) -> Script:
    source = Source.read(what, overrides, output)
    config = source.config()
    place = Path(config.output)
    words = [word for override in overrides for word in ("-s", override)]
    start = ["pmom", "run"] if request.ranks == 1 else ["pmom", "launch", "-n", "$SLURM_NTASKS"]
    command = _line([*start, what, "--resume", *words, "-o", config.output])
    path = place.with_suffix(".sbatch")
    text = _render(request, path, config.name, f"The run of {what}, on {_hosts(request)}.", command, 0, place.stem)
    return Script(what, path, text, chain=request.chain)


def _of_sweep(what: str, request: Request, output: str | None) -> Script:
    sweep = sweep_file.load(what, output)
    left = sum(not states.of_file(sweep.file(run)).complete for run in sweep.runs)
    if not left:
        raise UserError(f"{what}: all of its {len(sweep.runs)} runs are complete; nothing is left to submit")
    ranks = ["-n", "$SLURM_NTASKS"] if request.ranks > 1 else []
    command = _line(["pmom", "sweep", what, "-o", str(sweep.folder), "-j", "1", *ranks, "--no-wait"])
    path = sweep.folder / f"{sweep.name}.sbatch"
    title = f"The {left} runs of {what} that are not complete, each on {_hosts(request)}."
    text = _render(request, path, sweep.name, title, command, min(left, MOST_TASKS), sweep.name)
    return Script(what, path, text, sweep, request.chain)


def _hosts(request: Request) -> str:
    ranks = "1 rank" if request.ranks == 1 else f"{request.ranks} ranks"
    return f"{ranks} of one host" if request.nodes == 1 else f"{ranks} of {request.nodes} hosts"


def _line(words: Sequence[str]) -> str:
    """A shell line; variables of the shell stay such."""
    return " ".join(f'"{word}"' if word.startswith("$") else shlex.quote(word) for word in words)


def _render(request: Request, path: Path, name: str, title: str, command: str, tasks: int, log: str) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["quote"] = lambda value: shlex.quote(str(value))
    number = "%A-%a" if tasks else "%j"
    try:
        template = environment.from_string(_template(request.template))
        return template.render(
            name=re.sub(r"\s", "_", name), title=title, script=path, command=command, tasks=tasks,
            nodes=request.nodes, ntasks_per_node=request.ntasks_per_node, time=request.time,
            partition=request.partition, array_limit=request.array_limit, requeue=request.requeue,
            options=request.options, log=path.with_name(f"{log}-{number}.log"), directory=Path.cwd(),
            bin=Path(sys.executable).parent, data_dir=os.environ.get("PMOM_DATA_DIR", ""),
        )  # fmt: skip
    except jinja2.TemplateError as error:
        raise UserError(f"{request.template or 'the template'}: {' '.join(str(error).split())}") from None


def _template(file: str) -> str:
    """The text of the user's template, or of ours."""
    if not file:
        return (resources.files("pmom_mpi.campaign") / "templates" / "slurm.sbatch").read_text(encoding="utf-8")
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--template {file}: cannot read it: {str(error).splitlines()[0]}") from None
