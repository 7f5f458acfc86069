"""``pmom check-problem``."""

from __future__ import annotations

import sys

import click

from pmom_mpi.commands.options import config_argument, print_table, set_option


@click.command("check-problem")
@config_argument
@set_option
def check_problem(config: str, overrides: tuple[str, ...]) -> None:
    """Check CONFIG's problem: gradient against finite differences, shapes, types, determinism, evaluation.

    In float64, on the first three nodes, at a point near x^0; exit status 1 when something is wrong. A small batch
    makes it fast.

    \b
    pmom check-problem localization
    pmom check-problem quickstart -s gradient.batch=16
    """
    from pmom_mpi.check.examination import check
    from pmom_mpi.check.finding import BAD, render

    findings = check(config, overrides)
    print_table(render(findings))
    sys.exit(1 if any(finding.state == BAD for finding in findings) else 0)
