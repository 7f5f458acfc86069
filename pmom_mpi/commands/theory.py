"""``pmom theory``."""

from __future__ import annotations

from dataclasses import replace

import click

from pmom_mpi.commands.options import print_table


@click.command()
@click.argument("file", type=click.Path(), required=False)
@click.option("-o", "--output", type=click.Path(), help="Also draw it (.png, .pdf, .svg).")
@click.option(
    "-L", "--smoothness", type=click.FloatRange(0, min_open=True), help="L, instead of what the problem knows of it."
)
@click.option("--lanczos", is_flag=True, help="Where no L is known, also look at the Hessian: loads FILE's problem.")
@click.option("--tight", is_flag=True, help="The exact worst case beside the bounds instead; FILE is then optional.")
@click.option("--mu", type=click.FloatRange(0, min_open=True), help="--tight: of the PL inequality, or convexity.")
@click.option("--beta", type=click.FloatRange(0, 1, min_open=True), help="--tight: of the momentum.")
@click.option("--step-size", type=click.FloatRange(0, min_open=True), help="--tight: gamma.")
@click.option("-B", "b", type=click.FloatRange(0), help="--tight: B of the bias, |eta|^2 <= B |grad f|^2 + C.")
@click.option("-C", "c", type=click.FloatRange(0), help="--tight: C of the bias.")
@click.option("--sigma2", type=click.FloatRange(0), help="--tight: of noise that is apart from B and C.")
@click.option("--gap", type=click.FloatRange(0, min_open=True), help="--tight: f(x^0) - f*; without FILE 1.")
@click.option("-K", "--iterations", type=click.IntRange(1, 30), default=5, show_default=True, help="--tight: steps.")
@click.option("--best", is_flag=True, help="--tight: also seek the beta and the gamma with the least worst case.")
def theory(
    file: str | None, output: str | None, smoothness: float | None, lanczos: bool, tight: bool, mu: float | None,
    beta: float | None, step_size: float | None, b: float | None, c: float | None, sigma2: float | None,
    gap: float | None, iterations: int, best: bool,
) -> None:  # fmt: skip
    """Hold the bounds of docs/theory.md beside the run FILE: which assumptions held, what was promised, what happened.

    The run must have been diagnosed; of every iteration where the certificate is wanted. With --tight the worst case
    itself (docs/tight.md) beside the bounds, for FILE's constants and what options change of them; needs the extra pep.

    \b
    pmom run ridge -s diagnostics.every=1
    pmom theory results/ridge-0.h5 -o ridge.png
    pmom theory --tight -L 1 --beta 0.5 --step-size 0.3 -B 0.5 -K 8 -o worst.png
    """
    from pmom_mpi.analysis.style import save
    from pmom_mpi.commands.tables import on_terminal

    if tight:
        from pmom_mpi.analysis import worst, worst_figure

        told = worst.Constants(smoothness, mu, step_size, beta, b, c, gap, sigma2)
        seen = None if file is None else worst.diagnosed(file, told)
        constants = told if seen is None else worst.known(seen, told)
        print_table(on_terminal(worst.tables(constants, iterations, best)))
        if output is not None:
            click.echo(str(save(worst_figure.figure(constants, iterations, seen), output)))
        return
    if file is None:
        raise click.MissingParameter(param_hint="FILE", param_type="argument")
    from pmom_mpi.analysis import bounds, read
    from pmom_mpi.theory.live import examine

    run = read.load(file)
    found = bounds.diagnosed(run, smoothness)
    if lanczos and found.smoothness is None:
        from pmom_mpi.measure.constants import along
        from pmom_mpi.runtime.setting import ready

        found = replace(found, lanczos=along(ready(run.config), run.model()))
    promise = examine(found)
    print_table(on_terminal(bounds.tables(run, found, promise)))
    if output is not None:
        click.echo(str(save(bounds.figure(run, found, promise), output)))
