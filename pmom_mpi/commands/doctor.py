"""``pmom doctor``."""

from __future__ import annotations

import sys

import click

from pmom_mpi.commands.options import json_option, print_json, print_table


@click.command()
@click.argument("folder", type=click.Path(), default=".")
@json_option
def doctor(folder: str, as_json: bool) -> None:
    """Check this machine: MPI, launcher, cores, threads, caches, HDF5 in FOLDER, SLURM; a remedy a row.

    \b
    pmom doctor results/
    """
    from pmom_mpi.doctor import checkup, render

    rows = checkup(folder)
    if as_json:
        print_json(rows)
    else:
        print_table(render(rows))
    sys.exit(1 if any(row.state == "bad" for row in rows) else 0)
