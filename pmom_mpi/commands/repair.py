"""``pmom repair``."""

from __future__ import annotations

import click


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
def repair(files: tuple[str, ...]) -> None:
    """Let the run FILES of killed runs be opened by any HDF5 program, and for writing.

    pmom itself reads them as they are. What was recorded is not changed.

    \b
    pmom repair results/quickstart-0.h5
    """
    from pmom_mpi.record.repair import repair as mend

    for file in files:
        click.echo(f"{file}: {'repaired' if mend(file) else 'needs no repair'}")
