"""``pmom reproduce``."""

from __future__ import annotations

from pathlib import Path

import click

from pmom_mpi.commands.options import print_table
from pmom_mpi.errors import UserError


@click.command()
@click.argument("what", type=click.Choice(["mnist"]))
@click.option("--setting", "settings", multiple=True, default=["top_k-67000-beta0.1"], show_default=True,
              help="A published setting or a pattern: 'clip_norm-*-beta0.1', '*'. Repeatable.")  # fmt: skip
@click.option("--seeds", default="0", show_default=True, help="Published seeds, 0 to 4: 0,1,2")
@click.option("--iterations", type=click.IntRange(1, 200), default=200, show_default=True)
@click.option("-o", "--output", type=click.Path(), default="results/reproduce", show_default=True,
              help="The folder of the run files; those already there are not run again.")  # fmt: skip
@click.option("--plot", "picture", type=click.Path(), help="Also draw the runs over the published curves.")
@click.option("-n", "--ranks", type=click.IntRange(1), help="Start this as a job of so many MPI ranks.")
def reproduce(
    what: str, settings: tuple[str, ...], seeds: str, iterations: int, output: str, picture: str | None,
    ranks: int | None,
) -> None:  # fmt: skip
    """Run published settings of the paper and print how far each run is from its published curve.

    \b
    pmom reproduce mnist -n 3
    mpirun -n 3 pmom reproduce mnist --setting 'top_k-*-beta0.1' --seeds 0,1 --iterations 60
    """
    if ranks is not None:
        from pmom_mpi.cluster import launch

        chosen = [word for setting in settings for word in ("--setting", setting)]
        drawn = ["--plot", picture] if picture else []
        rest = ["--seeds", seeds, "--iterations", str(iterations), "-o", output, *drawn]
        launch.execute(launch.launch_command(ranks, launch.pmom("reproduce", what, *chosen, *rest)))
    from pmom_mpi import reproduce as reproducing
    from pmom_mpi.progress import Narrator

    if not all(seed.strip().isdecimal() for seed in seeds.split(",")):
        raise UserError(f"--seeds: {seeds!r} is no list of numbers such as 0,1,2")
    numbers = [int(seed) for seed in seeds.split(",")]
    found = reproducing.reproduce(settings, numbers, iterations, Path(output), Narrator())
    if found:
        print_table(reproducing.table(found))
    if found and picture:
        reproducing.plot(found, picture)
        click.echo(picture)
