"""``pmom status``."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pmom_mpi.commands.options import print_table

if TYPE_CHECKING:
    from pmom_mpi.campaign.states import Folder, State

WATCH_SECONDS = 2.0


@click.command()
@click.argument("directory", metavar="[DIR]", default="results", type=click.Path())
@click.option("--watch", is_flag=True, help="Look again every two seconds, until no run goes on or Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, an object a run.")
def status(directory: str, watch: bool, as_json: bool) -> None:
    """Say of every run below DIR (results) how far it is.

    States: waiting (planned by a sweep), queued (in Slurm), running with its rate and the time it needs, interrupted
    or killed (pmom sweep or pmom resume goes on), finished, diverged, failed with why; job failed, with what Slurm says
    of the newest job of a folder whose runs are not over (cancelled, out of memory, out of time, ...).

    \b
    pmom status results/tune
    pmom status results/tune --watch
    pmom status --json | jq '.[] | select(.state == "failed")'
    """
    from rich.console import Console
    from rich.live import Live

    from pmom_mpi.campaign import states
    from pmom_mpi.commands.tables import on_terminal

    folder = states.Folder(directory)
    if not watch:
        found = _all(folder)
        if as_json:
            click.echo(json.dumps([_plain(state) for state in found], indent=2))
        else:
            print_table(on_terminal([states.table(found, folder.folder)]))
            click.echo(states.counted(found) or f"no run in {directory}")
        return
    with Live(console=Console(file=sys.stdout), auto_refresh=False) as live:
        while True:
            found = _all(folder)
            live.update(on_terminal([states.table(found, folder.folder), states.counted(found)]), refresh=True)
            if not any(state.state in ("running", "running or killed", "queued") for state in found):
                return
            try:
                time.sleep(WATCH_SECONDS)
            except KeyboardInterrupt:
                return


def _all(folder: Folder) -> list[State]:
    """Of the runs, and of their jobs in Slurm: those that wait, and, while runs are left to do, those that failed."""
    from pmom_mpi.campaign import slurm
    from pmom_mpi.campaign.states import OVER, State

    found = folder.states()
    over = {state.path.resolve() for state in found if state.state in OVER}
    left = {state.path for state in found if state.state not in OVER}
    for place in sorted(folder.folder.rglob(slurm.JOBS)):
        jobs = slurm.jobs(place.parent)
        for job in slurm.queued(jobs):
            found.append(State(place.parent / f"job {job.id}", "queued", message=job.reason))
        scripts = {job.id: Path(job.script) for job in jobs}
        for ended in slurm.ended_badly(jobs):
            number, part, _ = ended.id.partition("_")
            own = place.parent / f"{scripts[number].stem}.h5"
            if any(path.is_relative_to(place.parent) for path in left) if part else own.resolve() not in over:
                found.append(State(place.parent / f"job {ended.id}", "job failed", message=ended.told))
    return found


def _plain(state: State) -> dict[str, object]:
    """What JSON can hold."""
    fields = dataclasses.asdict(state) | {"path": str(state.path)}
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in fields.items()
    }
