"""``pmom report``."""

from __future__ import annotations

import click


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="The page (.html).")
def report(files: tuple[str, ...], output: str) -> None:
    """Make one self-contained web page of run FILES, or of all below a folder.

    It holds the curves (against iterations, bits and seconds, with values under the pointer), results, the time by
    station, bits, theory where the run was diagnosed, events, settings, and what is to be minded. Runs that differ in
    their seed only become one curve with a band. The page needs no network and no server.

    \b
    pmom report results/quickstart-0.h5 -o report.html
    pmom report results/tune -o tune.html
    """
    from pmom_mpi.analysis import read
    from pmom_mpi.report import page

    paths = read.run_files(files)
    runs, unreadable = page.readable(paths)
    click.echo(str(page.write(page.page(runs, unreadable), output)))
