"""``pmom check-operator``."""

from __future__ import annotations

import sys

import click
from click.shell_completion import CompletionItem as Item

from pmom_mpi.commands.options import ConfigName, print_table, set_option


class _KindOrConfig(ConfigName):
    name = "kind|config"

    def shell_complete(self, context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Item]:
        from pmom_mpi.words import registry

        kinds = [Item(kind, help="bias") for kind in registry.BIAS if kind.startswith(incomplete)]
        return kinds + super().shell_complete(context, parameter, incomplete)


@click.command("check-operator")
@click.argument("target", metavar="KIND|CONFIG", type=_KindOrConfig())
@set_option
def check_operator(target: str, overrides: tuple[str, ...]) -> None:
    """Check an operator: theory against measurement, what it writes, draws, remembers and sends; also your own.

    KIND is a name or my_module:MyClass, with its keys behind -s, on a small model; of a CONFIG every stage of the bias
    and the downlink, alone and together, on its problem's tensors. Random and awkward vectors (zeros, one-hot, ties,
    huge and tiny ones), float32 and float64. Exit status 1 when something is wrong.

    \b
    pmom check-operator rand_k -s fraction=0.1 -s scale=unbiased
    pmom check-operator quickstart
    """
    from pmom_mpi.check.finding import BAD, render
    from pmom_mpi.check.operator import check

    findings = check(target, overrides)
    print_table(render(findings))
    sys.exit(1 if any(finding.state == BAD for finding in findings) else 0)
