"""``pmom advise``."""

from __future__ import annotations

from pathlib import Path

import click

from pmom_mpi.commands.options import config_argument, json_option, print_json, print_table, set_option


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
    pmom advise configs/problems/ridge.yaml -o ridge-advised.yaml
    """
    from pmom_mpi import config as configs
    from pmom_mpi.analysis.tables import Table
    from pmom_mpi.commands.tables import on_terminal
    from pmom_mpi.measure import advise as measuring
    from pmom_mpi.runtime.source import Source

    found = measuring.advise(config, overrides, iterations)
    if output is not None:
        source = Source.read(config, overrides)
        key = measuring.step_key(source.config().step_size)
        raw = configs.amend(source.raw, [f"{key}={found.step_size!r}"], None)
        Path(output).write_text(configs.to_yaml(raw), encoding="utf-8")
    if as_json:
        print_json(found)
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
        Table("beta: half of its largest step size with a bound; the bound is of the mean of |grad f|^2", heads, betas),
        Table("operators alone: what they drop, and the floor promised", ("operator", "bits", "error", "floor"), kinds),
        *found.reasons,
        f"step_size: {found.step_size:.4g}",
    ]))  # fmt: skip
