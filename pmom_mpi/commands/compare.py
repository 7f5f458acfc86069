"""``pmom compare``."""

from __future__ import annotations

import click

from pmom_mpi.commands.options import print_table


@click.command()
@click.argument("places", nargs=-1, required=True, metavar="FILE|DIR...", type=click.Path())
@click.option("--target", metavar="METRIC=VALUE", help="Also what it took to get there: test_accuracy=0.95")
@click.option("--shared-seconds", is_flag=True, help="Compare also seconds of runs that shared their machine.")
def compare(places: tuple[str, ...], target: str | None, shared_seconds: bool) -> None:
    """Compare run FILES, or all below a folder: metrics, bytes, seconds, speed-ups over the first, what differs.

    Runs that differ in their seed only are one row, with mean and standard deviation.

    \b
    pmom compare results/top10-0.h5 results/dense-0.h5
    pmom compare results/tune --target test_accuracy=0.95
    """
    from pmom_mpi.campaign import compare as comparing
    from pmom_mpi.campaign.outcome import Target, shared_note
    from pmom_mpi.commands.tables import on_terminal

    aim = Target.parse(target) if target else None
    tables = comparing.compare(comparing.load(places), aim, shared_seconds)
    print_table(on_terminal([*tables, *shared_note(tables[0])]))
