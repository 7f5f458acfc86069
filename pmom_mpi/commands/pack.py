"""``pmom pack``."""

from __future__ import annotations

from pathlib import Path

import click
from rich.filesize import decimal

from pmom_mpi.commands.options import overwrite_option
from pmom_mpi.words.errors import UserError


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path())
@click.argument("file", type=click.Path())
@overwrite_option
def pack(directory: str, file: str, overwrite: bool) -> None:
    """Make one FILE of all run files below DIR, to keep, to send, or to publish beside a paper.

    show, plot, compare and status take FILE where they take a folder, and FILE::NAME for one of its runs, as theory and
    pmom_mpi.load do. The run files stay where they are; checkpoints are left out.

    \b
    pmom pack results/tune tune.h5
    pmom compare tune.h5
    pmom show tune.h5::top10-step_size0.5-seed0-1b0c7e5f
    """
    from pmom_mpi.analysis import read
    from pmom_mpi.record import pack as packing

    folder = Path(directory)
    if not folder.is_dir():
        raise UserError(f"{directory}: no such folder")
    if Path(file).resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{file}: lies in {directory}, whose runs would then be there twice; choose a place outside")
    runs = {_name(path, folder): path for path in read.run_files([folder])}
    packing.pack(runs, file, overwrite)
    click.echo(f"{file}: {len(runs)} runs, {decimal(Path(file).stat().st_size)}")


def _name(path: Path, folder: Path) -> str:
    """``tune/top10-seed0`` of ``FOLDER/tune/top10-seed0.h5``; of a run that is packed already with its file's name."""
    return str(path.relative_to(folder)).replace(".h5::", "/").removesuffix(".h5")
