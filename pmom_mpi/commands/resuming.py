"""``pmom resume``."""

from __future__ import annotations

import sys

import click

from pmom_mpi.commands.options import quiet_option


@click.command()
@click.argument("file", type=click.Path())
@click.option("--extend", type=click.IntRange(1), metavar="N", help="Let the run have N iterations in all instead.")
@click.option("-n", "--ranks", type=click.IntRange(1), help="Start this as a job of so many MPI ranks.")
@quiet_option
def resume(file: str, extend: int | None, ranks: int | None, quiet: bool) -> None:
    """Go on with the run of the run FILE, bit for bit as if it had never ended.

    It goes on from the newest whole checkpoint beside FILE, on any number of ranks; an interrupted run always has one,
    others where their config has a section checkpoint. Exit status as of `pmom run`.

    \b
    pmom resume results/long-0.h5
    pmom resume results/long-0.h5 -n 5
    pmom resume results/long-0.h5 --extend 2000
    mpirun -n 3 pmom resume results/long-0.h5
    """
    if ranks is not None:
        from pmom_mpi.cluster import launch

        words = [*(["--extend", str(extend)] if extend else []), *(["--quiet"] if quiet else [])]
        launch.execute(
            launch.launch_command(ranks, launch.pmom("resume", file, *words), fault_tolerant=_survives(file))
        )
    from pmom_mpi.runtime import experiment
    from pmom_mpi.runtime.progress import Narrator

    result = experiment.resume(file, extend, None if quiet else Narrator())
    if result.over:
        click.echo(f"{file}: {result.status} already; nothing is left to do", err=True)
    sys.exit(result.exit_code)


def _survives(file: str) -> bool:
    """Whether the run of a run file is to survive lost ranks."""
    from pmom_mpi.runtime.resume import resumed

    return resumed(file).source.config().transport.fault_tolerant
