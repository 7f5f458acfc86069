"""``pmom bias``."""

from __future__ import annotations

import click

from pmom_mpi.commands.options import config_argument, json_option, print_json, print_table, set_option


@click.command()
@config_argument
@set_option
@click.option("--all", "everything", is_flag=True, help="Every operator there is, not only the config's.")
@click.option("--iterations", type=click.IntRange(0), default=0, show_default=True, help="Train so long first.")
@click.option("--nodes", type=click.IntRange(1), help="Only this many nodes.  [default: all]")
@click.option("--repeats", type=click.IntRange(3), default=16, show_default=True, help="Draws of random operators.")
@json_option
def bias(
    config: str, overrides: tuple[str, ...], everything: bool, iterations: int, nodes: int | None, repeats: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Measure what the operators of CONFIG do to its problem's real gradients.

    Shows what each drops, the angle it turns, the bias of its mean (beside the noise that an unbiased operator would
    show with so few draws), bits a coordinate in theory and in real payloads, and the constant that theory has for it:
    contractive operators promise an error of at most 1 - alpha, unbiased ones of at most omega in the mean. A row that
    breaks its promise, beyond the noise of the draws, is red, begins with !, and is explained below the table.

    \b
    pmom bias quickstart
    pmom bias quickstart --all --iterations 100
    """
    from pmom_mpi.measure import bias as measuring

    found = measuring.measure(config, overrides, everything, iterations, nodes, repeats)
    if as_json:
        print_json(found)
    else:
        print_table(measuring.render(found))
