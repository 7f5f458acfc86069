"""``pmom reproduce``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from pmom_mpi.commands.options import print_table
from pmom_mpi.commands.paper import listed_numbers, paper, run_all
from pmom_mpi.words.errors import UserError


@click.group()
def reproduce() -> None:
    """Run the paper's settings and hold them against its published curves."""


reproduce.add_command(paper)
Command = Callable[..., None]
OPTIONS: tuple[Callable[[Command], Command], ...] = (
    click.option("--setting", "settings", multiple=True,
                 help="A published setting or a pattern: 'clip_norm-*-beta0.1', '*'. Repeatable.  "
                      "[default: top_k-67000-beta0.1; fashion: top_k-111816-beta0.1]"),
    click.option("--seeds", default="0", show_default=True, help="Published seeds, 0 to 4: 0,1,2"),
    click.option("--iterations", type=click.IntRange(1), help="At most, and by default, 200; fashion: 300."),
    click.option("-o", "--output", type=click.Path(), default="results/reproduce", show_default=True,
                 help="The folder of the run files; complete ones are not run again, begun ones go on."),
    click.option("--plot", "picture", type=click.Path(), help="Also draw the runs over the published curves."),
    click.option("-j", "--at-once", type=click.IntRange(1), default=1, show_default=True, help="Runs at a time."),
    click.option("-n", "--ranks", type=click.IntRange(1), default=1, show_default=True,
                 help="MPI ranks of each run."),
)  # fmt: skip


def _with_options(command: Command) -> Command:
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@reproduce.command(short_help="an MLP on MNIST, whose curves are published")
@_with_options
def mnist(
    settings: tuple[str, ...], seeds: str, iterations: int | None, output: str, picture: str | None, at_once: int,
    ranks: int,
) -> None:  # fmt: skip
    """An MLP, whose curves of every seed are published; printed are the largest differences.

    \b
    pmom reproduce mnist -n 3
    pmom reproduce mnist -n 3 --setting 'top_k-*-beta0.1' --seeds 0,1
    """
    _reproduce("mnist", settings, seeds, iterations, output, picture, at_once, ranks)


@reproduce.command(short_help="ResNet-18 on Fashion-MNIST (needs PyTorch)")
@_with_options
@click.option(
    "--test-images", "images", type=click.Choice(["flipped", "plain", "both"]), default="flipped", show_default=True,
    help="Flip them at random, as the published runs did, or take them as they are; both: a run of each.",
)  # fmt: skip
def fashion(
    settings: tuple[str, ...], seeds: str, iterations: int | None, output: str, picture: str | None, at_once: int,
    ranks: int, images: str,
) -> None:  # fmt: skip
    """ResNet-18 on Fashion-MNIST (needs PyTorch), of which mean and deviation over the seeds are published.

    Printed are the largest distances from the mean in standard deviations, and whether all are within two.

    \b
    pmom reproduce fashion -n 3 --setting clip_norm-1-beta0.1 --iterations 3
    pmom reproduce fashion --iterations 3 --test-images both
    """
    _reproduce("fashion", settings, seeds, iterations, output, picture, at_once, ranks, images)


def _reproduce(
    what: str, settings: tuple[str, ...], seeds: str, iterations: int | None, output: str, picture: str | None,
    at_once: int, ranks: int, images: str = "flipped",
) -> None:  # fmt: skip
    from pmom_mpi.analysis.published import FIGURES
    from pmom_mpi.campaign import reproduce as reproducing

    numbers = listed_numbers("--seeds", seeds, int)
    figure = FIGURES[what]
    iterations = figure.iterations if iterations is None else iterations
    if iterations > figure.iterations:
        raise UserError(f"--iterations: {iterations} is more than the {figure.iterations} that were published")
    wanted = reproducing.Wanted.of(settings or (figure.default,), numbers, iterations, Path(output), what, images)
    missing = wanted.missing()
    code = run_all(missing, at_once, ranks) if missing.runs else 0
    found = wanted.comparisons()
    if found:
        print_table(reproducing.table(found))
    if found and picture:
        reproducing.plot(found, picture)
        click.echo(picture)
    sys.exit(code)
