"""A module tried out on a few samples before the first iteration, so that its errors are lines of `pmom validate`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from pmom_mpi.words.errors import UserError

Loss = Callable[[Any, torch.Tensor], torch.Tensor]

CLOSE = 1e-3
"""Two losses whose relative difference is smaller are the same."""


def squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean of squared differences; (N, 1) and (N,) are alike, what else would be broadcast is refused."""
    if outputs.shape != targets.shape and outputs.numel() != targets.numel():
        raise UserError(
            f"problem.loss: mse_loss needs an output a target, but the outputs are {tuple(outputs.shape)} and the "
            f"targets {tuple(targets.shape)}"
        )
    return torch.nn.functional.mse_loss(outputs, targets.view_as(outputs))


def materialise(module: torch.nn.Module, sample: tuple[int, ...]) -> None:
    """Give lazy layers their parameters, for samples of that shape; drawn as the module's first call would."""
    if any(torch.nn.parameter.is_lazy(tensor) for tensor in module.parameters()):
        training = module.training
        module.eval()
        with torch.no_grad():
            _called(lambda: module(torch.zeros(2, *sample)))
        module.train(training)


def rehearse(
    name: str, loss: Loss, module: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor, classes: int | None
) -> bool:
    """Forward and back in training mode, forward in evaluation mode; ``module`` is a copy that nobody needs.

    Parameters
    ----------
    name : str
        The loss's name in the config.
    classes : int, optional
        So many logits are needed.

    Returns
    -------
    bool
        Whether the module writes into its inputs.

    Raises
    ------
    UserError
        When the module or the loss raises, the outputs do not suit the loss, or the loss is not a mean.
    """
    module.train()
    given = inputs.clone()
    outputs = _called(lambda: module(given))
    _check_outputs(name, outputs, classes)
    value = _valued(name, loss, outputs, targets)
    _called(value.backward)
    writes = not torch.equal(given, inputs)
    module.eval()
    with torch.no_grad():
        again = inputs.clone()
        outputs = _called(lambda: module(again))
        _check_sum(name, loss, outputs, targets)
    return writes or not torch.equal(again, inputs)


def ambiguous(module: torch.nn.Module, inputs: torch.Tensor) -> str:
    """Why a shard has no gradient of its own, or ""; ``module`` is a copy that nobody needs.

    There is one where a sample's output depends on that sample only, and is the same in training and in evaluation.
    """
    dropouts = torch.nn.modules.dropout._DropoutNd
    if any(isinstance(part, dropouts) and part.p > 0 for part in module.modules()):
        return "its model has dropout"
    with torch.no_grad():
        module.train()
        trained = _called(lambda: module(inputs.clone()))
        module.eval()
        whole = _called(lambda: module(inputs.clone()))
        part = _called(lambda: module(inputs[: (len(inputs) + 1) // 2].clone()))
    if not all(isinstance(outputs, torch.Tensor) for outputs in (trained, whole, part)):
        return "its model does not return one tensor, so what it depends on cannot be checked"
    if not torch.allclose(trained, whole, rtol=CLOSE, atol=CLOSE * float(whole.abs().max())):
        return "its model gives other outputs in training than in evaluation, as with batch normalisation or dropout"
    if not torch.allclose(part, whole[: len(part)], rtol=CLOSE, atol=CLOSE * float(whole.abs().max())):
        return "its model's outputs depend on the other samples of a batch"
    return ""


def _called(call: Callable[[], Any]) -> Any:
    """What it returns; what it raises as a user's error."""
    try:
        return call()
    except UserError:
        raise
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0]
        hint = ""
        if "indices" in line and "Long" in line:
            hint = " (inputs are real numbers: call .long() on them in forward)"
        raise UserError(f"problem.model: {type(error).__name__} on the first samples: {line}{hint}") from None


def _check_outputs(name: str, outputs: Any, classes: int | None) -> None:
    if name in ("cross_entropy", "mse_loss") and not isinstance(outputs, torch.Tensor):
        raise UserError(
            f"problem.loss: {name} takes one tensor, but the module returns a {type(outputs).__name__}; write "
            "loss: module:function, which takes what it returns"
        )
    if classes is not None and (outputs.dim() != 2 or outputs.shape[1] < classes):
        raise UserError(
            f"problem.model: cross_entropy needs outputs (samples, {classes}), a column a class, not "
            f"{tuple(outputs.shape)}"
        )


def _valued(name: str, loss: Loss, outputs: Any, targets: torch.Tensor) -> torch.Tensor:
    value = _called(lambda: loss(outputs, targets))
    if not isinstance(value, torch.Tensor) or value.dim() != 0:
        found = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise UserError(f"problem.loss: {name} must return the batch's mean, a tensor with one number, not {found}")
    return value


def _check_sum(name: str, loss: Loss, outputs: Any, targets: torch.Tensor) -> None:
    """The mean over every sample taken twice is the mean, a sum is twice the sum."""
    if not isinstance(outputs, torch.Tensor) or outputs.shape[:1] != targets.shape[:1]:
        return
    once = _valued(name, loss, outputs, targets).item()
    twice = _valued(name, loss, torch.cat([outputs, outputs]), torch.cat([targets, targets])).item()
    if abs(twice - 2 * once) < CLOSE * abs(once) and once != 0:
        raise UserError(f"problem.loss: {name} adds the samples' losses up; it must return their mean")
