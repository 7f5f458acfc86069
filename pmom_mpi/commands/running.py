"""``pmom run``, ``launch`` and ``validate``."""

from __future__ import annotations

import shutil
import sys
import textwrap

import click

from pmom_mpi.commands.options import (
    config_argument,
    json_option,
    output_option,
    overwrite_option,
    print_json,
    print_lines,
    quiet_option,
    set_option,
)
from pmom_mpi.words.errors import UserError


@click.command()
@config_argument
@set_option
@output_option
@overwrite_option
@click.option("--resume", is_flag=True, help="Where the run file exists already, go on with its run.")
@click.option(
    "--check-determinism", is_flag=True, help="First make the first two iterations twice and compare their bits."
)
@click.option("--payoff", is_flag=True, help="Say at the end whether compression paid; else only where it did not.")
@quiet_option
def run(
    config: str, overrides: tuple[str, ...], output: str | None, overwrite: bool, resume: bool,
    check_determinism: bool, payoff: bool, quiet: bool,
) -> None:  # fmt: skip
    """Run the experiment CONFIG, a YAML file or a ready config's name.

    Under mpirun rank 0 is the server, the others are workers; alone one process does it all, with the same bits.

    Exit status: 0 finished, 2 bad input, 3 diverged, 4 a deadline passed, 128 + signal when interrupted, 1 anything
    else.

    \b
    pmom run quickstart
    mpirun -n 3 pmom run quickstart -s momentum.beta=1 -o results/sgd.h5
    """
    from pmom_mpi.analysis import payoff as paying
    from pmom_mpi.analysis import read
    from pmom_mpi.runtime import experiment
    from pmom_mpi.runtime.progress import Narrator

    result = experiment.run(
        config, overrides, output, overwrite, None if quiet else Narrator(), resume, check_determinism
    )
    if result.over:
        click.echo(f"{result.path}: {result.status} already; nothing is left to do", err=True)
    if result.x is not None and result.status != "failed" and (payoff or not quiet):
        found = read.load(result.path)
        if found.iterations and (payoff or paying.wasteful(paying.payoff(found))):
            click.echo((paying.sentence if payoff else paying.short)(paying.payoff(found)), err=True)
    sys.exit(result.exit_code)


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("-n", "--ranks", type=click.IntRange(1), required=True, help="MPI ranks: one server and the workers.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="BLAS threads a rank.")
@click.option("--fault-tolerant", is_flag=True, help="Go on when a worker dies (Open MPI with ULFM).")
@click.option("--dry-run", is_flag=True, help="Print the whole command, do not run it.")
@click.option("-v", "--verbose", is_flag=True, help="Print the whole command, and run it.")
@config_argument
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def launch(
    ranks: int, threads: int, fault_tolerant: bool, dry_run: bool, verbose: bool, config: str,
    arguments: tuple[str, ...],
) -> None:  # fmt: skip
    """Start `pmom run CONFIG` on -n ranks of this machine or allocation, with mpirun's flags chosen for you.

    Finds the mpirun that belongs to this Python's MPI (Open MPI, MPICH, Intel MPI; PMOM_MPIRUN overrides), sets
    threads, binding, oversubscription and root flags, and says which. ARGUMENTS go to `pmom run`.

    \b
    pmom launch -n 3 quickstart --overwrite
    pmom launch -n 5 --dry-run mnist-top10 -s seed=1
    """
    from pmom_mpi.cluster import launch as launching

    if fault_tolerant:
        arguments = (*arguments, "-s", "transport.fault_tolerant=true")
    words = launching.pmom("run", config, *arguments)
    command = launching.launch_command(ranks, words, threads, fault_tolerant=fault_tolerant)
    try:
        survives = _check(config, arguments)
    except (UserError, click.ClickException) as error:  # it may lie on the machine that the command is meant for
        if not dry_run:
            raise
        survives = fault_tolerant
        click.echo(f"note: not read, so as if transport.fault_tolerant were {str(survives).lower()}: {error}", err=True)
    if survives != fault_tolerant:
        command = launching.launch_command(ranks, words, threads, fault_tolerant=survives)
    if dry_run:
        click.echo(str(command))
    else:
        click.echo(_folded(str(command)) if verbose else f"{command.told}; -v says more", err=True)
        launching.execute(command)


def _folded(command: str) -> str:
    """A shell line in several where it would not fit on the terminal; it can be typed as it stands."""
    if not sys.stderr.isatty():
        return command
    width = shutil.get_terminal_size().columns - len(" \\")
    lines = textwrap.wrap(command, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return " \\\n".join(lines)


def _check(config: str, arguments: tuple[str, ...]) -> bool:
    """What `pmom run` would say of its arguments and of the config, before any rank is started.

    Returns whether the run is to survive lost ranks.
    """
    from pmom_mpi.runtime.source import Source

    given = run.make_context("pmom run", [config, *arguments]).params
    return Source.read(config, given["overrides"], given["output"]).config().transport.fault_tolerant


@click.command()
@config_argument
@set_option
@json_option
def validate(config: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check CONFIG and its data completely, without running it.

    \b
    pmom validate quickstart -s bias.0.k=100
    """
    from pmom_mpi import config as configs
    from pmom_mpi.runtime import setting as preparation

    if not as_json:
        print_lines(preparation.validate(config, overrides))
        return
    setting = preparation.ready(config, overrides)
    checked = setting.config
    print_json({
        "config": setting.source.name, "name": checked.name, "iterations": checked.iterations, "nodes": checked.nodes,
        "dimension": setting.problem.layout.dimension, "dtype": checked.dtype, "bias": list(map(str, checked.bias)),
        "momentum": str(checked.momentum), "output": checked.output, "data": setting.facts,
        "code": configs.own_code(checked), "warnings": setting.warnings,
    })  # fmt: skip
