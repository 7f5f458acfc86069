"""``pmom bench operators``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pmom_mpi.commands.options import json_option, print_json, print_table

if TYPE_CHECKING:
    import numpy as np

SIZES = (669_706, 11_181_642)
"""The paper's MLP and ResNet-18."""


@click.group()
def bench() -> None:
    """Measure this machine."""


@bench.command(short_help="time every operator, and say on which links it pays")
@click.option(
    "--size", "sizes", type=click.IntRange(1024), multiple=True, help="d; repeatable.  [default: 669706, 11181642]"
)
@click.option("--repeats", type=click.IntRange(1), default=9, show_default=True, help="Calls, the fastest counts.")
@click.option("--link", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, help="Gbit/s.")
@json_option
def operators(sizes: tuple[int, ...], repeats: int, link: float, as_json: bool) -> None:
    """Time every operator: compress, encode, decode and add, in GB/s of gradient, and say on which links it pays.

    One core, one process. "exchange" is what a node's gradient takes from compressing to the server's sum, its way over
    a link of --link Gbit/s included; "pays below": on slower links that beats sending the gradient whole.

    \b
    pmom bench operators --size 669706 --link 1
    """
    from pmom_mpi.measure import speed

    if as_json:
        print_json([_numbers(speed.gradient_of(size), repeats) for size in sizes or SIZES])
        return
    for size in sizes or SIZES:
        gradient = speed.gradient_of(size)
        print_table(speed.render_operators(size, speed.operators(gradient, repeats), link * 1e9 / 8))
        print_table(speed.render_references(size, speed.references(gradient, repeats)))


def _numbers(gradient: np.ndarray, repeats: int) -> dict[str, object]:
    """What `operators` finds, in bytes and seconds."""
    from pmom_mpi.measure import speed

    return {
        "dimension": gradient.size,
        "operators": list(speed.operators(gradient, repeats)),
        "references": [{"name": name, "seconds": spent} for name, spent in speed.references(gradient, repeats)],
    }
