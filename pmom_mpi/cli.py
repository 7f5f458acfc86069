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


class _Main(click.Group):
    """Turns a `UserError` of any command into its one line and exit status 2."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            started = launcher()
            if started is not None and started.rank > 0:
                time.sleep(PRECEDENCE_SECONDS)
            click.echo(f"pmom: error: {error}", err=True)
            context.exit(2)


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pmom")
def main() -> None:
    """Parallel momentum methods under biased gradient estimation, over MPI.

    \b
    pmom run quickstart              one process, a config of the package
    pmom launch -n 3 quickstart      three MPI ranks: a server and two workers
    pmom init                        write a commented config into this folder
    """


IN_A_LINE = {
    "advise": "propose a step size for a config, with reasons",
    "bench": "measure this machine",
    "bias": "measure what operators do to a config's gradients",
    "check-operator": "check an operator, also your own",
    "check-problem": "check a config's problem, also your own",
    "compare": "what came of runs, side by side",
    "configs": "list the ready configs",
    "data": "data sets that a config can name",
    "doctor": "what this machine lacks, with a remedy a row",
    "explain": "what a kind does, and its keys",
    "export": "runs as CSV, JSON lines, Parquet, for TensorBoard",
    "init": "write a commented config into this folder",
    "launch": "start a run on ranks of this machine or allocation",
    "pack": "put many runs into one file",
    "plot": "draw learning curves",
    "repair": "let killed runs be opened by any HDF5 program",
    "report": "runs as one web page",
    "reproduce": "run published settings beside their curves",
    "resume": "go on with a run, bit for bit",
    "run": "run an experiment",
    "show": "what a run file holds",
    "status": "how far the runs of a folder are",
    "submit": "run or sweep as a batch job (Slurm)",
    "sweep": "many runs from one file",
    "theory": "bounds beside a diagnosed run",
    "trace": "when every rank did what, for Perfetto",
    "validate": "check a config and its data without running",
    "watch": "see a run while it goes on",
}
"""Each command in the list of all; no longer than fits there at 80 columns."""

for command in (
    running.run, resuming.resume, running.launch, running.validate, looking.show, looking.plot, data.data,
    sweeping.sweep, submitting.submit, states.status, comparing.compare, reproduce.reproduce, ready.configs, ready.init,
    explain.explain, doctor.doctor, check_problem.check_problem, check_operator.check_operator, bias.bias,
    bench.bench, repair.repair, pack.pack, theory.theory, reporting.report, watch.watch, trace.trace, advise.advise,
    export.export,
):  # fmt: skip
    command.short_help = IN_A_LINE[str(command.name)]
    main.add_command(command)
