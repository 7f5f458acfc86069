"""``pmom data list``, ``get`` and ``import``."""

from __future__ import annotations

from pathlib import Path

import click

from pmom_mpi.commands import completion
from pmom_mpi.commands.options import print_table


@click.group()
def data() -> None:
    """The data sets that a config can name."""


@data.command("list", short_help="the known data sets, and where they are")
def data_list() -> None:
    """List the known data sets and where they are."""
    from pmom_mpi.data import library

    print_table(library.render())


@data.command("get", short_help="download one into the cache")
@click.argument("name", shell_complete=completion.datasets)
def data_get(name: str) -> None:
    """Download the data set NAME into the cache (PMOM_DATA_DIR), checksums verified."""
    from pmom_mpi.data import get_dataset

    click.echo(get_dataset(name))


@data.command("import", short_help="bring files of yours into the cache")
@click.argument("name")
@click.argument("path", type=click.Path())
def data_import(name: str, path: str) -> None:
    """Bring the files at PATH into the cache as the data set NAME.

    PATH is a folder of IDX files (gzip or not), an .npz, .h5 or svmlight file. Files of a known NAME must have its
    checksums.

    \b
    pmom data import mnist ~/Downloads/mnist
    """
    from pmom_mpi.data import import_dataset

    click.echo(import_dataset(name, Path(path)))
