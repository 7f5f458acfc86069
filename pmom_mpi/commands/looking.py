"""``pmom show`` and ``plot``."""

from __future__ import annotations

import click

from pmom_mpi.commands import completion
from pmom_mpi.commands.options import print_table


@click.command()
@click.argument("file", type=click.Path())
@click.option("--all", "everything", is_flag=True, help="Also list every data set with its unit.")
def show(file: str, everything: bool) -> None:
    """Say what the run FILE holds: how it ended, its last metrics, its bits and where the time went.

    \b
    pmom show results/quickstart-0.h5
    """
    from pmom_mpi.analysis import read
    from pmom_mpi.analysis import show as showing

    print_table(showing.render(read.load(file), everything=everything))


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="The picture (.png, .pdf, .svg).")
@click.option(
    "-m",
    "--metric",
    "metrics",
    multiple=True,
    shell_complete=completion.metrics,
    help="What to draw: a name of show --all; repeatable.",
)
@click.option("--log", is_flag=True, help="Logarithmic axes throughout; else only for what falls far.")
def plot(files: tuple[str, ...], output: str, metrics: tuple[str, ...], log: bool) -> None:
    """Draw learning curves of FILES against iterations, bits sent and seconds.

    Runs that differ in their seed only become one curve, their mean, with a band from the lowest to the highest.

    \b
    pmom plot results/top10-*.h5 results/dense-0.h5 -o curves.png
    pmom plot results/maml-sines-0.h5 -m test_loss_after_1 -m gradient_norm -o adapted.png
    """
    from pmom_mpi.analysis import plot as plotting
    from pmom_mpi.analysis import read

    plotting.plot([read.load(file) for file in files], output, metrics, log)
    click.echo(output)
