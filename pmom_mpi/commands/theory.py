"""``pmom theory``."""

from __future__ import annotations

import click

from pmom_mpi.commands.options import print_table


@click.command()
@click.argument("file", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="Also draw it (.png, .pdf, .svg).")
@click.option(
    "-L", "--smoothness", type=click.FloatRange(0, min_open=True), help="L, instead of what the problem knows of it."
)
def theory(file: str, output: str | None, smoothness: float | None) -> None:
    """Hold the bounds of docs/theory.md beside the run FILE: which assumptions held, what was promised, what happened.

    The run must have been diagnosed; of every iteration where the certificate is wanted.

    \b
    pmom run configs/problems/ridge.yaml -s diagnostics.every=1
    pmom theory results/ridge-0.h5 -o ridge.png
    """
    from pmom_mpi.analysis import bounds, read
    from pmom_mpi.analysis.style import save
    from pmom_mpi.commands.tables import on_terminal
    from pmom_mpi.theory.live import examine

    run = read.load(file)
    found = bounds.diagnosed(run, smoothness)
    promise = examine(found)
    print_table(on_terminal(bounds.tables(run, found, promise)))
    if output is not None:
        click.echo(str(save(bounds.figure(run, found, promise), output)))
