"""``pmom export``."""

from __future__ import annotations

import click


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="The file, or TensorBoard's folder.")
@click.option(
    "--format", "form",
    type=click.Choice(["csv", "jsonl", "parquet", "tensorboard"]),
    help="Else what the name ends with: .csv, .jsonl, .parquet.",
)  # fmt: skip
def export(files: tuple[str, ...], output: str, form: str | None) -> None:
    """Write the metrics of FILES, of all below a folder, or of a sweep, for other programs.

    A row an iteration, a column a metric; of several runs with a name and what varies among them. What was not measured
    is left out: an empty field in CSV, null in Parquet, nothing in JSON lines and event files.

    \b
    pmom export results/quickstart-0.h5 -o quickstart.csv
    pmom export results/tune -o tune.parquet
    pmom export results/tune --format tensorboard -o logs
    """
    from pmom_mpi.analysis import export as exporting
    from pmom_mpi.campaign.opening import open_runs

    runs = open_runs(*files)
    path = exporting.export(runs, output, form)
    many = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    click.echo(f"{path}: {sum(run.iterations for run in runs)} iterations of {many}")
