"""Any PyTorch model as a problem: a module, a loss and a data set become f_i and its flat gradient."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from pmom_mpi.problems.base import Context
from pmom_mpi.problems.finite_sum import FiniteSum, Learns
from pmom_mpi.problems.metrics import ACCURACY, LOSS
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.registry import imported
from pmom_mpi.words.report import Metric
from pmom_mpi.words.streams import Stream, generator, key

try:
    import torch
except ImportError:
    raise UserError("problem.kind: torch needs PyTorch, not installed here: pip install 'pmom-mpi[torch]'") from None

from pmom_mpi.problems.torch_rehearsal import Loss, ambiguous, materialise, rehearse, squared_error
from pmom_mpi.problems.torch_statistics import RunningStatistics

Positive = Annotated[int, Field(gt=0)]
REHEARSED = 4
"""Samples that go through the module at set-up, or the smallest batch if it has fewer."""
Augment = Callable[[torch.Tensor, np.random.Generator], torch.Tensor]


@dataclass
class TorchModel(FiniteSum):
    """f_i(x) = mean loss of a module over node i's batch; x holds its trainable parameters in ``parameters()`` order.

    On the CPU nothing is copied: parameters are views of x, their gradients views of the gradient vector. The module is
    in training mode for gradients and in evaluation mode for the test set, where batch norms use running statistics
    that have moved on batch by batch in node order (`pmom_mpi.problems.torch_statistics`). Dropout and the like draw
    from a stream of their own, so that answers depend on (seed, node, iteration) only.

    Parameters
    ----------
    model : str
        ``module:factory``, which returns a ``torch.nn.Module``; called after ``torch.manual_seed(seed)``, so x^0 is
        what the factory makes of the seed.
    arguments : dict
        What the factory is called with, by name.
    loss : str
        ``cross_entropy`` (also reports the accuracy), ``mse_loss`` (targets are the file's numbers, and outputs of
        another shape with as many numbers are taken), or ``module:function``, which makes the batch's mean loss, a
        scalar tensor, of what the module returns and the targets (indices of classes where the data has labels).
    input_shape : tuple of int, optional
        Of one sample, channels first; else samples are vectors.
    augment : str, optional
        ``flip``, or ``module:function``, which makes new inputs of a training batch and a ``numpy.random.Generator``.
    augment_evaluation : bool
        Whether test samples are augmented as well, anew at every point that is evaluated, as in the paper's runs.
    device : str
        ``cpu``, ``cuda``, ``cuda:1``, ...
    """

    model: str
    arguments: dict[str, Any] = field(default_factory=dict)
    loss: str = "cross_entropy"
    input_shape: tuple[Positive, ...] | None = None
    augment: str | None = None
    augment_evaluation: bool = False
    device: str = "cpu"

    @property
    def learns(self) -> Learns:  # type: ignore[override]
        return LEARNS.get(self.loss, "either")

    def shape(self, features: int, classes: int | None) -> Layout:
        if self.input_shape is not None and int(np.prod(self.input_shape)) != features:
            raise UserError(f"problem.input_shape: {list(self.input_shape)} is not made of {features} features")
        if self.input_shape is not None and len(self.input_shape) == 3:
            self.context.data.image_shape()  # refuses channels that seem to be last
        self._classes = classes if self.loss == "cross_entropy" else None
        named = [(name, tuple(parameter.shape)) for name, parameter in self._trainable.items()]
        return Layout(tuple(name for name, _ in named), tuple(shape for _, shape in named))

    @property
    def metrics(self) -> tuple[Metric, ...]:  # type: ignore[override]
        return (LOSS, ACCURACY) if self.loss == "cross_entropy" else (LOSS,)

    @property
    def evaluation(self) -> tuple[Metric, ...]:  # type: ignore[override]
        return self.metrics

    def setup(self, context: Context) -> None:
        self._loss: Loss = chosen("problem.loss", self.loss, LOSSES)
        augment = self.augment
        self._augment: Augment | None = None if augment is None else chosen("problem.augment", augment, AUGMENTS)
        if self.augment_evaluation and augment is None:
            raise UserError("problem.augment_evaluation: there is nothing to augment with; set problem.augment too")
        # A server that hosts no node needs x^0 only.
        self._device = usable(self.device) if len(context.hosted) else torch.device("cpu")
        self._module = self._make(context).to(self._device)
        self._trainable = {name: tensor for name, tensor in self._module.named_parameters() if tensor.requires_grad}
        self._start = torch.cat([tensor.detach().flatten().cpu() for tensor in self._trainable.values()]).numpy()
        self._statistics = RunningStatistics(self._module)
        self.state, self.share = self._statistics.state, self._statistics.share
        self._gradients = torch.empty(self._start.size, dtype=torch.from_numpy(self._start).dtype, device=self._device)
        super().setup(context)
        self._writes = True  # what a rank without nodes does not find out costs it a copy
        self.ambiguous = "" if augment is None else "augment changes its samples"
        if len(context.hosted):
            self._rehearse()

    def initial_point(self) -> np.ndarray:
        """The parameters that the factory made."""
        return self._start.copy()

    def gradient(self, x: np.ndarray, node: int, iteration: int, out: np.ndarray) -> tuple[float, ...]:
        inputs, targets = self._tensors(*self.batch(node, iteration))
        if self._writes:
            inputs = inputs.clone()
        if self._augment:
            inputs = self._augment(inputs, generator(self.context.seed, Stream.AUGMENTATION, node, iteration))
        torch.manual_seed(int(key(self.context.seed, Stream.DROPOUT, node, iteration)))
        return self._differentiate(x, inputs, targets, out)

    def full_gradient(self, x: np.ndarray, node: int, out: np.ndarray) -> float:
        """The gradient of the mean loss over the whole shard, where that means something: see `ambiguous`."""
        inputs, targets = self._tensors(*self._shards[node])
        return self._differentiate(x, inputs.clone() if self._writes else inputs, targets, out)[0]

    def _differentiate(
        self, x: np.ndarray, inputs: torch.Tensor, targets: torch.Tensor, out: np.ndarray
    ) -> tuple[float, ...]:
        gradients = torch.from_numpy(out) if self._device.type == "cpu" else self._gradients
        gradients.zero_()
        self._place(x, gradients)
        self._module.train()
        with self._statistics.training():
            outputs = self._module(inputs)
            loss = self._loss(outputs, targets)
            loss.backward()
        if self._device.type != "cpu":
            torch.from_numpy(out).copy_(gradients)
        return tuple(value / len(targets) for value in self._sums(loss, outputs, targets))

    def advance(self, shares: np.ndarray) -> None:
        """The running statistics after the batches of all nodes, one after the other."""
        self._statistics.advance(shares)

    def evaluate(self, x: np.ndarray, chunk: int) -> tuple[float, ...]:
        """Sums over one chunk of the test split, and the number of its samples."""
        if self._augment is None or not self.augment_evaluation:
            return super().evaluate(x, chunk)
        inputs, targets = self._evaluation_chunk(chunk)
        # Evaluation knows no iteration; x, which is the same bits on every rank, stands for it.
        random = generator(self.context.seed, Stream.EVALUATION, chunk, zlib.crc32(x.data))
        images = torch.from_numpy(inputs).view(-1, *(self.input_shape or inputs.shape[1:]))
        changed = self._augment(images.clone() if self._writes else images, random).contiguous().numpy()
        return (*self.batch_evaluate(x, changed, targets), float(len(targets)))

    @torch.no_grad()
    def batch_evaluate(self, x: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> tuple[float, ...]:
        features, wanted = self._tensors(inputs, targets)
        if self._writes:
            features = features.clone()
        self._place(x)
        self._module.eval()
        with self._statistics.evaluating():
            outputs = self._module(features)
        return self._sums(self._loss(outputs, wanted), outputs, wanted)

    def _rehearse(self) -> None:
        """A few samples through a copy of the module and back: what is wrong with it comes out here.

        Also finds out whether the module writes into its inputs, which are views of the shard.
        """
        sizes = {node: self.context.batch.smallest(len(self.context.shards[node])) for node in self.context.hosted}
        node = min(sizes, key=lambda node: sizes[node])
        rows = self.context.shards[node][: min(sizes[node], REHEARSED)]
        inputs, targets = self._tensors(*self._load(self.context.data.train, rows))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self._writes = rehearse(self.loss, self._loss, copy.deepcopy(self._module), inputs, targets, self._classes)
            self.ambiguous = self.ambiguous or ambiguous(copy.deepcopy(self._module), inputs)

    def _make(self, context: Context) -> torch.nn.Module:
        factory = chosen("problem.model", self.model, {})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            try:
                module = factory(**self.arguments)
            except TypeError as error:
                raise UserError(f"problem.arguments: {self.model} cannot be called with them: {error}") from None
            if isinstance(module, torch.nn.Module) and context.data is not None:
                materialise(module, self.input_shape or (context.data.train.features,))
        if not isinstance(module, torch.nn.Module):
            raise UserError(f"problem.model: {self.model} makes a {type(module).__name__}, not a torch.nn.Module")
        if not any(tensor.requires_grad for tensor in module.parameters()):
            raise UserError(f"problem.model: {self.model} makes a module without trainable parameters")
        return module.to(torch.float64 if context.dtype == np.float64 else torch.float32)

    def _place(self, x: np.ndarray, gradients: torch.Tensor | None = None) -> None:
        """Let parameters be views of x, and their gradients views of ``gradients``, into which autograd adds."""
        flat, bounds = torch.from_numpy(x).to(self._device), self.layout.offsets.tolist()
        for place, tensor in enumerate(self._trainable.values()):
            part = slice(bounds[place], bounds[place + 1])
            tensor.data = flat[part].view(tensor.shape)
            tensor.grad = None if gradients is None else gradients[part].view(tensor.shape)

    def _tensors(self, inputs: np.ndarray, targets: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        shape = self.input_shape or inputs.shape[1:]
        return (
            torch.from_numpy(inputs).view(-1, *shape).to(self._device),
            torch.from_numpy(targets).to(self._device),
        )

    def _sums(self, loss: torch.Tensor, outputs: torch.Tensor, targets: torch.Tensor) -> tuple[float, ...]:
        total = loss.item() * len(targets)
        if len(self.metrics) == 1:
            return (total,)
        return total, float((outputs.argmax(dim=1) == targets).sum().item())


def flip(inputs: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Every image (the last axis is its width) turned left to right with probability 1/2."""
    chosen = torch.from_numpy(random.random(len(inputs)) < 0.5).to(inputs.device)
    return torch.where(chosen.view(-1, *[1] * (inputs.dim() - 1)), inputs.flip(-1), inputs)


LOSSES: dict[str, Loss] = {"cross_entropy": torch.nn.functional.cross_entropy, "mse_loss": squared_error}
LEARNS: dict[str, Learns] = {"cross_entropy": "classes", "mse_loss": "numbers"}
AUGMENTS: dict[str, Augment] = {"flip": flip}


def chosen(where: str, name: str, known: dict[str, Any]) -> Callable[..., Any]:
    """One of ``known``, or the user's own ``module:name``; raises `UserError` when there is none that can be called."""
    if name in known:
        return known[name]
    module, colon, _ = name.partition(":")
    if not colon or not module or module.startswith("."):
        raise UserError(f"{where}: needs {''.join(f'{other}, ' for other in known)}'module:name', not {name!r}")
    found = imported(where, name, name)
    if not callable(found):
        raise UserError(f"{where}: {name!r} is a {type(found).__name__}, which cannot be called")
    return found


def usable(device: str) -> torch.device:
    """The device, once it has held a number; raises `UserError` where it cannot."""
    try:
        return torch.zeros(1, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"problem.device: {device!r} cannot be used here: {reason}") from None
