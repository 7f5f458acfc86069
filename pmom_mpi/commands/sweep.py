"""``pmom sweep``."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from pmom_mpi.commands.options import print_table
from pmom_mpi.words.errors import UserError

if TYPE_CHECKING:
    from pmom_mpi.campaign.outcome import Target
    from pmom_mpi.campaign.pool import Options, Pool
    from pmom_mpi.campaign.sweep_file import Sweep


@click.command()
@click.argument("file", metavar="SWEEP", type=click.Path())
@click.option("--dry-run", is_flag=True, help="List the runs and how far each is; run nothing.")
@click.option(
    "-j", "--at-once", type=click.IntRange(1), help="Runs at a time.  [default: as many as there are cores for]"
)
@click.option("-n", "--ranks", type=click.IntRange(1), default=1, show_default=True, help="MPI ranks of each run.")
@click.option("-o", "--output", type=click.Path(), help="The folder of the run files, instead of the file's output.")
@click.option("--keep-going/--stop-first", default=True, show_default=True, help="What to do when a run fails.")
@click.option("--retry-failed", is_flag=True, help="Run again what has failed before.")
@click.option(
    "--wait/--no-wait", default=True, show_default=True, help="Wait for runs that another pmom sweep is running."
)
@click.option("--best", metavar="METRIC", help="Name the setting whose last METRIC is best, and write its config.")
@click.option("--target", metavar="METRIC=VALUE", help="Also tell bits and seconds to a value: test_accuracy=0.95")
@click.option("--shared-seconds", is_flag=True, help="Show also seconds of runs that shared their machine.")
def sweep(
    file: str, dry_run: bool, at_once: int | None, ranks: int, output: str | None, keep_going: bool,
    retry_failed: bool, wait: bool, best: str | None, target: str | None, shared_seconds: bool,
) -> None:  # fmt: skip
    """Run all that SWEEP (YAML, or a ready one's name) means, and print what came of it.

    Complete runs are skipped and interrupted ones go on, so a sweep that was stopped is started again in the same way.
    Exit status: 0 when all runs are complete, 1 when some failed or are missing, 128 + signal when interrupted.

    \b
    pmom sweep tune.yaml --dry-run
    pmom sweep tune.yaml -j 2 --best test_accuracy
    pmom sweep paper-mnist -n 3 --target test_accuracy=0.95
    """
    from pmom_mpi.campaign import outcome, sweep_file
    from pmom_mpi.campaign.pool import Options
    from pmom_mpi.cluster.cores import cores

    aim = outcome.Target.parse(target) if target else None
    found = sweep_file.load(file, output)
    if dry_run:
        listed(found)
        return
    at_once = at_once or max(1, cores().usable // ranks)
    pool = started(found, Options(min(at_once, len(found.runs)), ranks, not keep_going, retry_failed, wait))
    _tell(found, pool, aim, best, shared_seconds)
    sys.exit(pool.exit_code)


def listed(found: Sweep) -> None:
    """Print the runs of a sweep and how far each is."""
    from pmom_mpi.campaign import states
    from pmom_mpi.commands.tables import on_terminal

    known = [states.of_file(found.file(run)) for run in found.runs]
    print_table(on_terminal([states.table(known, found.folder)]))
    click.echo(f"{many(found)} -> {found.folder}: {states.counted(known)}")


def many(found: Sweep) -> str:
    """How many runs it means."""
    return "1 run" if len(found.runs) == 1 else f"{len(found.runs)} runs"


def started(found: Sweep, options: Options) -> Pool:
    """Run what is not complete of a sweep, and say on stderr how it goes."""
    from rich.console import Console

    from pmom_mpi.campaign.pool import Pool
    from pmom_mpi.commands.live import Lines, LiveTable

    console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
    pool = Pool(found, options)
    console.print(
        f"{found.name}: {many(found)}, {options.at_once} at a time"
        + (f" of {options.ranks} ranks" if options.ranks > 1 else "") + f" -> {found.folder}"
    )  # fmt: skip
    watcher = LiveTable(console) if console.is_terminal else Lines(console)
    with watcher if isinstance(watcher, LiveTable) else nullcontext():
        pool.run(watcher)
    return pool


def _tell(found: Sweep, pool: Pool, aim: Target | None, best: str | None, shared: bool) -> None:
    from pmom_mpi.campaign import outcome, winners
    from pmom_mpi.commands.live import headline
    from pmom_mpi.commands.tables import on_terminal

    groups = winners.groups(found)
    if groups:
        table = outcome.table(groups, aim, shared)
        print_table(on_terminal([table, *outcome.shared_note(table)]))
    for stem, reason in pool.failed.items():
        click.echo(f"failed: {stem}: {reason}", err=True)
    click.echo(headline(pool), err=True)
    if best and not groups:
        raise UserError(f"--best {best}: no run is complete")
    for line in winners.name(found, groups, best) if best else ():
        click.echo(line)
