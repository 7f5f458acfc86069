"""The ``pmom`` command: parse, call, print."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # a rank is one thread; must be set before numpy is imported

import click  # noqa: E402

from pmom_mpi import __version__  # noqa: E402
from pmom_mpi.errors import UserError  # noqa: E402


class _Main(click.Group):
    """Turns a `UserError` of any command into its one line and exit status 2."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            click.echo(f"pmom: error: {error}", err=True)
            context.exit(2)


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pmom")
def main() -> None:
    """Parallel momentum methods under biased gradient estimation, over MPI.

    \b
    pmom run configs/quickstart.yaml                  one process
    mpirun -n 3 pmom run configs/quickstart.yaml      rank 0 serves, two workers
    pmom launch -n 3 configs/quickstart.yaml          the same, mpirun's flags chosen for you
    """


def _print(table: Any) -> None:
    """A table on the terminal, or at a width that cuts nothing where there is none."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    console.print(table)


_config = click.argument("config", type=click.Path())
_set = click.option(
    "-s", "--set", "overrides", multiple=True, metavar="KEY=VALUE",
    help="Change a key of the config: -s seed=3 -s momentum.beta=1 -s bias.0.k=100. Repeatable.",
)  # fmt: skip
_output = click.option("-o", "--output", type=click.Path(), help="The run file, instead of the config's output.")
_overwrite = click.option("--overwrite", is_flag=True, help="Replace an existing run file.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="No progress.")


@main.command()
@_config
@_set
@_output
@_overwrite
@_quiet
def run(config: str, overrides: tuple[str, ...], output: str | None, overwrite: bool, quiet: bool) -> None:
    """Run the experiment CONFIG (YAML); under mpirun rank 0 is the server, the others are workers.

    Exit status: 0 finished, 2 bad input, 3 diverged, 128 + signal when interrupted, 1 anything else.

    \b
    pmom run configs/quickstart.yaml
    mpirun -n 3 pmom run configs/quickstart.yaml -s momentum.beta=1 -o results/sgd.h5
    """
    from pmom_mpi import experiment
    from pmom_mpi.analysis import payoff, read
    from pmom_mpi.progress import Narrator

    result = experiment.run(config, overrides, output, overwrite, None if quiet else Narrator())
    if result.x is not None and result.status != "failed" and not quiet:
        found = read.load(result.path)
        if found.iterations:
            click.echo(payoff.sentence(payoff.payoff(found)), err=True)
    sys.exit(result.exit_code)


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("-n", "--ranks", type=click.IntRange(1), required=True, help="MPI ranks: one server and the workers.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="BLAS threads a rank.")
@click.option("--dry-run", is_flag=True, help="Print the command, do not run it.")
@_config
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def launch(ranks: int, threads: int, dry_run: bool, config: str, arguments: tuple[str, ...]) -> None:
    """Start `pmom run CONFIG` on -n ranks of this machine or allocation, with mpirun's flags chosen for you.

    Finds the mpirun that belongs to this Python's MPI (Open MPI, MPICH, Intel MPI; PMOM_MPIRUN overrides), sets
    threads, binding, oversubscription and root flags, and prints the command. ARGUMENTS go to `pmom run`.

    \b
    pmom launch -n 3 configs/quickstart.yaml --overwrite
    pmom launch -n 5 --dry-run configs/paper/mnist-top10.yaml -s seed=1
    """
    from pmom_mpi.cluster import launch as launching

    command = launching.launch_command(ranks, ["run", config, *arguments], threads=threads)
    click.echo(str(command), err=not dry_run)
    if not dry_run:
        sys.exit(launching.execute(command))


@main.command()
@_config
@_set
def validate(config: str, overrides: tuple[str, ...]) -> None:
    """Check CONFIG and its data completely, without running it.

    \b
    pmom validate configs/quickstart.yaml -s bias.0.k=1e9
    """
    from pmom_mpi import experiment

    for line in experiment.validate(config, overrides):
        click.echo(line)


@main.command()
@click.argument("file", type=click.Path())
@click.option("--all", "everything", is_flag=True, help="Also list every data set with its unit.")
def show(file: str, everything: bool) -> None:
    """Say what the run FILE holds: how it ended, its last metrics, its bits and where the time went.

    \b
    pmom show results/quickstart-0.h5
    """
    from pmom_mpi.analysis import read
    from pmom_mpi.analysis import show as showing

    _print(showing.render(read.load(file), everything=everything))


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="The picture (.png, .pdf, .svg).")
def plot(files: tuple[str, ...], output: str) -> None:
    """Draw learning curves of FILES against iterations, bits sent and seconds.

    Runs that differ in their seed only become one curve, their mean, with a band from the lowest to the highest.

    \b
    pmom plot results/top10-*.h5 results/dense-0.h5 -o curves.png
    """
    from pmom_mpi.analysis import plot as plotting
    from pmom_mpi.analysis import read

    plotting.plot([read.load(file) for file in files], output)
    click.echo(output)


@main.group()
def data() -> None:
    """The data sets that a config can name."""


@data.command("list")
def data_list() -> None:
    """List the known data sets and where they are."""
    from pmom_mpi.data import library

    _print(library.render())


@data.command("get")
@click.argument("name")
def data_get(name: str) -> None:
    """Download the data set NAME into the cache (PMOM_DATA_DIR), checksums verified."""
    from pmom_mpi.data import get_dataset

    click.echo(get_dataset(name))


@data.command("import")
@click.argument("name")
@click.argument("path", type=click.Path())
def data_import(name: str, path: str) -> None:
    """Bring the files at PATH into the cache as the data set NAME.

    PATH is a folder of IDX files (gzip or not), an .npz or an .h5 file. Files of a known NAME must have its checksums.

    \b
    pmom data import mnist ~/Downloads/mnist
    """
    from pmom_mpi.data import import_dataset

    click.echo(import_dataset(name, Path(path)))


@main.command()
@click.argument("folder", type=click.Path(), default=".")
def doctor(folder: str) -> None:
    """Check this machine: MPI, launcher, cores, threads, caches, HDF5 in FOLDER, SLURM; a remedy a row.

    \b
    pmom doctor results/
    """
    from pmom_mpi.cluster import doctor as checks

    rows = checks.checkup(folder)
    _print(checks.render(rows))
    sys.exit(1 if any(row.state == "bad" for row in rows) else 0)


@main.command()
@click.argument("what", type=click.Choice(["mnist"]))
@click.option("--setting", "settings", multiple=True, default=["top_k-67000-beta0.1"], show_default=True,
              help="A published setting or a pattern: 'clip_norm-*-beta0.1', '*'. Repeatable.")  # fmt: skip
@click.option("--seeds", default="0", show_default=True, help="Published seeds, 0 to 4: 0,1,2")
@click.option("--iterations", type=click.IntRange(1, 200), default=200, show_default=True)
@click.option("-o", "--output", type=click.Path(), default="results/reproduce", show_default=True,
              help="The folder of the run files; those already there are not run again.")  # fmt: skip
@click.option("--plot", "picture", type=click.Path(), help="Also draw the runs over the published curves.")
def reproduce(
    what: str, settings: tuple[str, ...], seeds: str, iterations: int, output: str, picture: str | None
) -> None:
    """Run published settings of the paper and print how far each run is from its published curve.

    \b
    mpirun -n 3 pmom reproduce mnist --setting 'top_k-*-beta0.1' --seeds 0,1 --iterations 60
    """
    from pmom_mpi import reproduce as reproducing
    from pmom_mpi.progress import Narrator

    if not all(seed.strip().isdecimal() for seed in seeds.split(",")):
        raise UserError(f"--seeds: {seeds!r} is no list of numbers such as 0,1,2")
    numbers = [int(seed) for seed in seeds.split(",")]
    found = reproducing.reproduce(settings, numbers, iterations, Path(output), Narrator())
    if found:
        _print(reproducing.table(found))
    if found and picture:
        reproducing.plot(found, picture)
        click.echo(picture)
