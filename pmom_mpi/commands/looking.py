"""``pmom show`` and ``plot``."""

from __future__ import annotations

import json

import click

from pmom_mpi.commands import completion
from pmom_mpi.commands.options import print_table


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--all", "everything", is_flag=True, help="Also list every data set with its unit.")
@click.option("--payoff", is_flag=True, help="Say whether compression pays; else only where it does not.")
@click.option("--json", "as_json", is_flag=True, help="Print numbers as JSON: an object, of several FILES a list.")
def show(files: tuple[str, ...], everything: bool, payoff: bool, as_json: bool) -> None:
    """Say what the run FILE holds: how it ended, its last metrics, its bytes and where the time went.

    Of several FILES, or of all below a folder, a line each.

    \b
    pmom show results/quickstart-0.h5
    pmom show results/*.h5
    pmom show results/quickstart-0.h5 --json | jq .results.train_loss.last
    """
    from pmom_mpi.analysis import read
    from pmom_mpi.analysis import show as showing
    from pmom_mpi.analysis.summary import summary
    from pmom_mpi.commands.tables import on_terminal

    runs = [read.load(file) for file in read.run_files(files)]
    if as_json:
        found = [summary(run) for run in runs]
        click.echo(json.dumps(found if len(found) > 1 else found[0], indent=2, default=str))
    elif len(runs) > 1:
        print_table(on_terminal([showing.overview(runs)]))
    else:
        print_table(on_terminal(showing.show(runs[0], everything, payoff)))


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="The picture (.png, .pdf, .svg).")
@click.option(
    "-m",
    "--metric",
    "metrics",
    multiple=True,
    shell_complete=completion.metrics,
    help="What to draw: a name of show --all; repeatable.",
)
@click.option(
    "-x", "--x", "against", multiple=True,
    type=click.Choice(["iteration", "epoch", "bits", "uplink", "downlink", "seconds"]),
    help="What to draw it against; repeatable. Default: iteration, bits (up and down), seconds.",
)  # fmt: skip
@click.option("--log", is_flag=True, help="Logarithmic axes throughout; else only for what falls far.")
@click.option("--log-x", is_flag=True, help="Logarithmic also in what it is drawn against.")
@click.option("--best", metavar="KEY", help="Of every method draw only the best value of this key, as step_size.")
@click.option("--facet", metavar="KEY", default="", help="A panel for every value of this key of the configs.")
@click.option("--target", metavar="METRIC=VALUE", help="Draw this value as a line, and where it is reached.")
@click.option(
    "--size",
    type=click.Choice(["screen", "one-column", "two-column", "slide"]),
    default="screen",
    help="For a column of a paper, both, or a slide; then a figure against iteration unless -x says more.",
)
@click.option("--style", type=click.Path(), help="A style file of matplotlib, which has the last word.")
def plot(
    files: tuple[str, ...],
    output: str,
    metrics: tuple[str, ...],
    against: tuple[str, ...],
    log: bool,
    log_x: bool,
    best: str | None,
    facet: str,
    target: str | None,
    size: str,
    style: str | None,
) -> None:
    """Draw learning curves of FILES, of all below a folder, or of a sweep, against iterations, bits sent and seconds.

    Runs that differ in their seed only become one curve, their mean, with a band from the lowest to the highest. The
    legend says which seeds diverged (they are left out of the mean), ended early or are missing. Seconds are those of
    the iterations, without setting up and compiling.

    \b
    pmom plot results/top10-*.h5 results/dense-0.h5 -o curves.png
    pmom plot results/maml-sines-0.h5 -m test_loss_after_1 -o adapted.png
    pmom plot results/*.h5 -m train_loss -x bits --size one-column -o bits.pdf
    pmom plot results/tune --best step_size --facet momentum.beta -o tuned.pdf
    """
    from pmom_mpi.analysis import plot as plotting
    from pmom_mpi.analysis.style import applied, save
    from pmom_mpi.campaign.opening import open_runs
    from pmom_mpi.campaign.outcome import Target

    runs, aim = open_runs(*files), Target.parse(target) if target else None
    if best:
        runs = runs.best(best, (*metrics, runs[0].told[0].name)[0])
    kinds = against or (plotting.DEFAULT_AXES if size == "screen" and not facet else plotting.DEFAULT_AXES[:1])
    line = (aim.metric, aim.value) if aim else None
    with applied(size, style):
        figure = plotting.plot(runs.runs, metrics, kinds, log, log_x, facet, line, size)
        click.echo(str(save(figure, output, exact=True)))
