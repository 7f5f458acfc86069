"""The ``pmom`` command: parse, call, print."""

from __future__ import annotations

import os
import time
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # a rank is one thread; must be set before numpy is imported

import click  # noqa: E402

from pmom_mpi import __version__  # noqa: E402
from pmom_mpi.cluster.environment import launcher  # noqa: E402
from pmom_mpi.commands import (  # noqa: E402
    advise,
    bench,
    bias,
    check_operator,
    check_problem,
    data,
    doctor,
    explain,
    export,
    looking,
    pack,
    ready,
    repair,
    reproduce,
    resuming,
    running,
    theory,
    trace,
    watch,
)
from pmom_mpi.commands import compare as comparing  # noqa: E402
from pmom_mpi.commands import report as reporting  # noqa: E402
from pmom_mpi.commands import status as states  # noqa: E402
from pmom_mpi.commands import submit as submitting  # noqa: E402
from pmom_mpi.commands import sweep as sweeping  # noqa: E402
from pmom_mpi.words.errors import UserError  # noqa: E402

PRECEDENCE_SECONDS = 2.0
"""How long other ranks leave it to rank 0 to say what is wrong; its exit ends the job, and the line appears once."""


SECTIONS = {
    "To begin": {
        "run": "run an experiment",
        "launch": "start a run on ranks of this machine or allocation",
        "configs": "list the ready configs",
        "init": "write a commented config into this folder",
        "explain": "what a kind does, and its keys",
        "validate": "check a config and its data without running",
    },
    "To look at runs": {
        "show": "what a run file holds",
        "plot": "draw learning curves",
        "compare": "what came of runs, side by side",
        "report": "runs as one web page",
        "watch": "see a run while it goes on",
        "theory": "bounds beside a diagnosed run",
        "trace": "when every rank did what, for Perfetto",
        "export": "runs as CSV, JSON lines, Parquet, for TensorBoard",
    },
    "Many runs, and long ones": {
        "sweep": "many runs from one file",
        "status": "how far the runs of a folder are",
        "resume": "go on with a run, bit for bit",
        "submit": "run or sweep as a batch job (Slurm)",
        "pack": "put many runs into one file",
        "repair": "let killed runs be opened by any HDF5 program",
    },
    "To measure and check": {
        "bias": "measure what operators do to a config's gradients",
        "advise": "propose a step size for a config, with reasons",
        "bench": "time operators on this machine",
        "check-operator": "check an operator, also your own",
        "check-problem": "check a config's problem, also your own",
        "doctor": "what this machine lacks, with a remedy a row",
    },
    "Data, and the paper": {
        "data": "data sets that a config can name",
        "reproduce": "run published settings beside their curves",
    },
}
"""All commands in the list of `pmom -h`; each line fits there at 80 columns."""
IN_A_LINE = {name: words for section in SECTIONS.values() for name, words in section.items()}


class _Main(click.Group):
    """What is wrong in a command or config is one line and exit status 2; commands are listed by what they are for."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        wide = max(map(len, IN_A_LINE))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{wide}}", words) for name, words in commands.items()])

    def make_context(self, *given: Any, **extra: Any) -> click.Context:
        try:
            return super().make_context(*given, **extra)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            _say(_usage(error))
            raise click.exceptions.Exit(2) from None

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            line = f"pmom: error: {error}"
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            line = _usage(error)
        _say(line)
        context.exit(2)


def _usage(error: click.UsageError) -> str:
    """What is wrong with the command line, in a line."""
    where = error.ctx.command_path if error.ctx else "pmom"
    told = " ".join(error.format_message().split())
    return f"{where}: error: {told[:1].lower()}{told[1:].rstrip('.')} ({where} -h says more)"


def _say(line: str) -> None:
    """Print it, on ranks of a job once."""
    started = launcher()
    if started is not None and started.rank > 0:
        time.sleep(PRECEDENCE_SECONDS)
    click.echo(line, err=True)


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pmom")
def main() -> None:
    """Parallel momentum methods under biased gradient estimation, over MPI.

    \b
    pmom run quickstart              one process, a config of the package
    pmom launch -n 3 quickstart      three MPI ranks: a server and two workers
    pmom init                        write a commented config into this folder
    """


for command in (
    running.run, resuming.resume, running.launch, running.validate, looking.show, looking.plot, data.data,
    sweeping.sweep, submitting.submit, states.status, comparing.compare, reproduce.reproduce, ready.configs, ready.init,
    explain.explain, doctor.doctor, check_problem.check_problem, check_operator.check_operator, bias.bias,
    bench.bench, repair.repair, pack.pack, theory.theory, reporting.report, watch.watch, trace.trace, advise.advise,
    export.export,
):  # fmt: skip
    command.short_help = IN_A_LINE[str(command.name)]
    main.add_command(command)
