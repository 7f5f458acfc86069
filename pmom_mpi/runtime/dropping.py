"""Whether a run can do without the nodes of lost workers (``transport.on_loss: drop``)."""

from __future__ import annotations

from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.config import Config
from pmom_mpi.problems.base import Problem, Stateful
from pmom_mpi.words.errors import UserError


def check_policy(config: Config, problem: Problem, pipeline: Pipeline) -> None:
    """Raise `UserError` where ``drop`` is asked for and the rest of the nodes would not be enough.

    EF21's average holds what every node has sent so far, and nobody could take out the share of a node that is gone.
    """
    if config.transport.on_loss != "drop":
        return
    if not config.transport.fault_tolerant:
        raise UserError("transport.on_loss: drop needs transport.fault_tolerant: true; without it a loss ends the job")
    if pipeline.integrates:
        why = "ef21 (the average holds what lost nodes have sent)"
    elif isinstance(problem, Stateful):
        why = f"problem {type(problem).__name__} (its state is made of all nodes' shares)"
    elif config.diagnostics.every:
        why = "diagnostics.every (it compares with all nodes' gradients)"
    else:
        return
    raise UserError(f"transport.on_loss: drop does not go with {why}; use reassign")
