"""``pmom advise``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict

import click

from pmom_mpi.commands.options import (
    config_argument,
    folder_for,
    json_option,
    print_json,
    print_table,
    set_option,
    write_text,
)


@click.command()
@config_argument
@set_option
@click.option(
    "--iterations", type=click.IntRange(2), help="Of every trial.  [default: a quarter, at least 50; then all]"
)
@click.option("-o", "--output", type=click.Path(), help="Also write the config with the proposed step size.")
@json_option
def advise(config: str, overrides: tuple[str, ...], iterations: int | None, output: str | None, as_json: bool) -> None:
    """Propose a step size for CONFIG, with reasons: L, B and C measured, the largest with a bound, the best of trials.

    Runs CONFIG for a few iterations with several step sizes, in this process, and looks at the exact f.

    \b
    pmom advise ridge -o ridge-advised.yaml
    """
    from pmom_mpi import config as configs
    from pmom_mpi.analysis.tables import Table
    from pmom_mpi.commands.tables import on_terminal
    from pmom_mpi.measure import advise as measuring
    from pmom_mpi.runtime.source import Source

    if output is not None:
        folder_for(output)
    found = measuring.advise(config, overrides, iterations)
    source = Source.read(config, overrides)
    checked = source.config()
    key = measuring.step_key(checked.step_size)
    if output is not None:
        raw = configs.amend(source.raw, [f"{key}={found.step_size!r}"], None)
        write_text(output, configs.to_yaml(raw))
    tried = _command(config, overrides, f"{key}={found.step_size:.4g}")
    other = _other_beta(checked.momentum, found.beta)
    untried = _command(config, overrides, f"{key}={found.step_size:.4g}", other) if other else None
    if as_json:
        print_json(asdict(found) | {"command": tried})
        return
    rows = tuple((f"{one.step_size:.4g}", str(one.iterations), f"{one.value:.6g}") for one in found.trials)
    betas = tuple(
        (f"{one.beta:g}", f"{one.step_size:.3g}", f"{one.floor:.3g}", "" if one.gap is None else f"{one.gap:.3g}",
         f"{one.bound:.3g}", f"{one.sgd:.3g}")
        for one in found.momenta
    )  # fmt: skip
    kinds = tuple((one.label, f"{one.bits:.3g}", f"{one.error:.3g}", f"{one.floor:.3g}") for one in found.operators)
    heads = ("beta", "step size", "floor", "floor of f - f*", "bound", "floor with beta 1")
    print_table(on_terminal([
        Table("trials: f at the end, nan where it grew", ("step size", "iterations", "f"), rows),
        Table("beta, and half of its largest step size with a bound on mean |grad f|^2", heads, betas),
        Table("operators alone: what they drop, and the floor promised", ("operator", "bits", "error", "floor"), kinds),
        *found.reasons,
        f"step_size: {found.step_size:.4g}",
    ]))  # fmt: skip
    click.echo(f"\nto run what was tried:\n    {tried}")
    if untried:
        click.echo(f"the same with the beta that the bounds prefer, which was not tried:\n    {untried}")
    if output is not None:
        click.echo(f"written as a config:\n    {shlex.join(['pmom', 'run', output])}")


def _command(config: str, overrides: Sequence[str], *proposed: str) -> str:
    """`pmom run` with the user's own overrides, but for the keys that are proposed, and the proposal."""
    keys = {entry.partition("=")[0] for entry in proposed}
    kept = [entry for entry in overrides if entry.partition("=")[0].strip() not in keys]
    words = ["pmom", "run", config]
    for entry in [*kept, *proposed]:
        words += ["-s", entry]
    return shlex.join(words)


def _other_beta(rule: object, beta: float) -> str | None:
    """What sets the beta that is preferred, where the momentum is an average and has another one."""
    from pmom_mpi.method.momentum import EMA, SGD

    if isinstance(rule, EMA):
        return f"momentum.beta={beta:g}" if beta != rule.beta else None
    return f"momentum={{kind: ema, beta: {beta:g}}}" if isinstance(rule, SGD) and beta != 1 else None
