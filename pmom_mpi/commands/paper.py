"""``pmom reproduce paper``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

import click

from pmom_mpi.commands.options import print_lines
from pmom_mpi.words.errors import UserError

if TYPE_CHECKING:
    from pmom_mpi.campaign.paper import PaperFigure, Part
    from pmom_mpi.campaign.sweep_file import Sweep

Number = TypeVar("Number", int, float)


def listed_numbers(option: str, text: str, kind: Callable[[str], Number]) -> list[Number]:
    """The numbers of a list such as ``0,1,2``; raises `UserError` when it is none, or one is negative."""
    try:
        found = [kind(word) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(number >= 0 for number in found):
        raise UserError(f"{option}: {text!r} is no list of numbers such as 0,1,2")
    return list(dict.fromkeys(found))


@click.command(short_help="run and draw the figures of the paper")
@click.option(
    "--figure", "figures", multiple=True, default=("*",), help="Its name or a pattern. Repeatable.  [default: all]"
)
@click.option("--list", "named", is_flag=True, help="Name the figures; run nothing.")
@click.option("--methods", help="Of them only these: clip1,top10")
@click.option("--betas", help="Of them only these: 1,0.1")
@click.option("--seeds", default="0,1,2,3,4", show_default=True, help="Seeds to run: 0,1")
@click.option("--iterations", type=click.IntRange(1), help="At most, and by default, the paper's: 200; fashion: 300.")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    default="results/paper",
    show_default=True,
    help="The folder of the run files, such as a sweep's; those already there are not run again.",
)
@click.option("--dry-run", is_flag=True, help="List the runs and how far each is; run nothing.")
@click.option("--only-draw", is_flag=True, help="Draw what the folder holds; run nothing.")
@click.option("-j", "--at-once", type=click.IntRange(1), default=1, show_default=True, help="Runs at a time.")
@click.option("-n", "--ranks", type=click.IntRange(1), default=1, show_default=True, help="MPI ranks of each run.")
def paper(
    figures: tuple[str, ...], named: bool, methods: str | None, betas: str | None, seeds: str, iterations: int | None,
    output: str, dry_run: bool, only_draw: bool, at_once: int, ranks: int,
) -> None:  # fmt: skip
    """Run what the paper's figures show, and draw them: ours beside the published curves where there are any.

    A figure is a data set and a step size: a panel a method, momentum beside SGD. All of them take days on a few cores;
    stopped, it goes on when started again. A shorter horizon, or fewer seeds, is said in the title.

    \b
    pmom reproduce paper --list
    pmom reproduce paper --figure mnist-0.5 --methods top10 --iterations 20 -n 3
    pmom reproduce paper --figure mnist-0.5 -o results/paper-mnist --only-draw
    """
    from pmom_mpi.campaign import paper as papers

    if named:
        print_lines(_line(figure) for figure in papers.FIGURES.values())
        return
    part = papers.Part(
        methods.split(",") if methods else (),
        listed_numbers("--betas", betas, float) if betas else (),
        listed_numbers("--seeds", seeds, int),
        iterations,
    )
    wanted, folder, worst = papers.chosen(figures), Path(output), 0
    if dry_run:
        _list(wanted, part, folder)
        return
    for figure, sweep in [(figure, papers.prepare(figure, part, folder)) for figure in wanted]:
        worst = max(worst, 0 if only_draw else run_all(sweep, at_once, ranks))
        click.echo(_draw(figure, sweep))
    sys.exit(worst)


def _line(figure: PaperFigure) -> str:
    beside = "beside the published curves" if figure.published else "ours alone: its curves were not published"
    return f"{figure.name:14}{figure.words}, step size {figure.step_size:g}; {beside}"


def _list(figures: Sequence[PaperFigure], part: Part, folder: Path) -> None:
    """Say what would be run; leaves nothing behind."""
    from pmom_mpi.campaign.paper import prepare
    from pmom_mpi.commands.sweep import listed

    with TemporaryDirectory() as aside:
        for figure in figures:
            click.echo(_line(figure))
            listed(prepare(figure, part, folder, Path(aside)))


def run_all(sweep: Sweep, at_once: int, ranks: int) -> int:
    """Run what is not complete, and return the exit status; a signal ends everything."""
    from pmom_mpi.campaign.pool import Options
    from pmom_mpi.cluster.environment import launcher
    from pmom_mpi.commands.sweep import started

    if (by := launcher()) is not None and by.size > 1:  # each of them would start all runs
        raise UserError(f"pmom reproduce starts the ranks of its runs by itself: -n {by.size} instead of {by.name}")
    pool = started(sweep, Options(at_once, ranks, stop_first=True, retry=True))
    for stem, reason in pool.failed.items():
        click.echo(f"failed: {stem}: {reason}", err=True)
    if pool.arrived:
        sys.exit(pool.exit_code)
    return pool.exit_code


def _draw(figure: PaperFigure, sweep: Sweep) -> Path:
    from pmom_mpi.analysis import style
    from pmom_mpi.analysis.beside import draw
    from pmom_mpi.campaign.paper import beside

    with style.applied():
        return style.save(draw(beside(figure, sweep)), sweep.folder / f"{figure.name}.png")
