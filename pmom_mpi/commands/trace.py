"""``pmom trace``."""

from __future__ import annotations

import json

import click

from pmom_mpi.commands.options import write_text


@click.command()
@click.argument("file", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="The trace file (.json).")
def trace(file: str, output: str) -> None:
    """Write when every rank of the run FILE did what, for ui.perfetto.dev or chrome://tracing.

    The run must have been traced: with record.trace=true its first iterations are.

    \b
    pmom launch -n 3 quickstart -s record.trace=true -o results/traced.h5
    pmom trace results/traced.h5 -o trace.json
    """
    from pmom_mpi.analysis import read
    from pmom_mpi.analysis.trace import chrome

    found = chrome(read.load(file))
    write_text(output, json.dumps(found))
    count = sum(event["ph"] == "X" for event in found["traceEvents"])
    accuracy = found["otherData"]["clocks_agree_within_seconds"]
    click.echo(f"{output}: {count} intervals" + (f"; clocks agree within {accuracy:.1g} s" if accuracy else ""))
