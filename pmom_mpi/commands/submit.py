"""``pmom submit``."""

from __future__ import annotations

import re

import click

from pmom_mpi.commands.options import set_option
from pmom_mpi.words.errors import UserError

LIMIT = re.compile(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}|")


def _limit(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """A time limit that sbatch would refuse is refused here, where nothing is written yet."""
    if not LIMIT.fullmatch(value):
        raise UserError(f"--time {value}: write minutes, hours as 04:00:00, or days and hours as 2-12")
    return value


@click.command()
@click.argument("what", metavar="CONFIG|SWEEP", type=click.Path())
@set_option
@click.option("-o", "--output", type=click.Path(), help="The run file of a config, the folder of a sweep.")
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="Hosts of a run.")
@click.option("--ntasks-per-node", type=click.IntRange(1), default=1, show_default=True, help="MPI ranks on each.")
@click.option("--time", default="", callback=_limit, help="Time limit, as sbatch takes it: 04:00:00")
@click.option("--partition", default="", help="Slurm's partition.")
@click.option("--array-limit", type=click.IntRange(1), metavar="M", help="Tasks of a sweep's array at a time.")
@click.option("--requeue", is_flag=True, help="Go on in another job when the time is up or the job is preempted.")
@click.option(
    "--chain",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Submit N jobs, of which one begins when "
    "those before did not come to their end: where the cluster cancels what it preempts.",
)
@click.option("--option", "options", multiple=True, help="Another option of sbatch: --option=--account=physics")
@click.option("--template", default="", type=click.Path(), help="A jinja2 template instead of ours.")
@click.option("--dry-run", is_flag=True, help="Print the batch script; write and submit nothing.")
def submit(
    what: str, overrides: tuple[str, ...], output: str | None, nodes: int, ntasks_per_node: int, time: str,
    partition: str, array_limit: int | None, requeue: bool, chain: int, options: tuple[str, ...], template: str,
    dry_run: bool,
) -> None:  # fmt: skip
    """Write a batch script for a run or a sweep beside its run files, and submit it to Slurm.

    A sweep becomes an array job whose tasks take runs until none is left. A minute before the time is up runs save
    themselves; with --requeue they go on by themselves, with --chain in the next of N jobs, else when the script is
    submitted again. `pmom status` tells how far they are.

    \b
    pmom submit quickstart --ntasks-per-node 4 --time 01:00:00 --dry-run
    pmom submit tune.yaml --ntasks-per-node 5 --time 02:00:00 --requeue
    """
    from pmom_mpi.campaign import submission

    request = submission.Request(
        nodes, ntasks_per_node, time, partition, array_limit or 0, requeue, chain, options, template
    )  # fmt: skip
    made = submission.script(what, request, overrides, output)
    if dry_run:
        click.echo(made.text, nl=False)
        return
    jobs = made.submit()
    click.echo(f"job {', '.join(jobs)}: {made.path}; pmom status {made.path.parent} tells how far it is")
