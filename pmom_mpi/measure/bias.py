"""What operators do to real gradients: how much they drop, which way they turn, what they cost in bits."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pmom_mpi.bias.base import Feedback, Stage
from pmom_mpi.bias.clipping import ClipPerSample
from pmom_mpi.bias.compose import theory_of
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.bias.promise import bound, drifts, exceeds
from pmom_mpi.bias.theory import Theory
from pmom_mpi.measure import catalogue
from pmom_mpi.measure.bits import theory
from pmom_mpi.runtime import experiment
from pmom_mpi.runtime.setting import ready
from pmom_mpi.wire import codec
from pmom_mpi.words import registry
from pmom_mpi.words.layout import Layout

Raw = str | Path | Mapping[str, Any]


@dataclass
class Measured:
    """One operator on the gradients of several nodes.

    Attributes
    ----------
    label, kind, known : str
        Its name, its class, and the constant that theory has for it.
    errors, cosines : list of float
        |Q(g) - g|^2 / |g|^2 and cos(Q(g), g), a value a node (for random operators the mean of their draws).
    biases, noises : list of float
        |mean of Q(g) - g| / |g| a node, and what it would be for an unbiased operator of this variance: the root of
        error / draws. Without randomness the noise is 0.
    theory_bits, bits : list of float
        A coordinate.
    broken : str
        What theory promises and the gradients do not show, beyond the noise of the draws; empty where all is well.
    """

    label: str
    kind: str
    known: str
    errors: list[float] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)
    biases: list[float] = field(default_factory=list)
    noises: list[float] = field(default_factory=list)
    theory_bits: list[float] = field(default_factory=list)
    bits: list[float] = field(default_factory=list)
    broken: str = ""


class Probe:
    """Applies a pipeline to gradients as if each were the first, again and again where it is random."""

    def __init__(
        self,
        stages: Sequence[Stage],
        label: str,
        layout: Layout,
        dtype: np.dtype,
        seed: int,
        samples: Callable[[int, int], int] | None = None,
    ) -> None:
        self._pipeline = Pipeline(stages, layout, dtype, seed, samples=samples)
        stages = self._pipeline.stages
        feedback = any(isinstance(stage, Feedback) for stage in stages)
        self._theory = Theory("composition") if feedback else theory_of(stages, layout)
        self._random = any(stage.stream is not None for stage in stages)
        self._errors = np.empty(0)
        self.found = Measured(label, self._theory.family, self._theory.known())
        self._vector, self._seen = np.empty((2, layout.dimension), dtype)
        self._buffer = np.empty(self._pipeline.max_bytes(), np.uint8)

    def take(self, gradient: np.ndarray, node: int, repetitions: int) -> None:
        """Add a node's gradient (left as it is) to what has been found; zero gradients say nothing and are skipped."""
        length = float(np.linalg.norm(gradient))
        if length == 0.0:
            return
        total, first = np.zeros(gradient.size), None
        draws: list[tuple[float, ...]] = []
        random = False
        while len(draws) < repetitions:
            draws.append(self._draw(gradient, length, node, len(draws)))
            total += self._seen
            if first is None:
                first = self._seen.copy()
            elif not np.array_equal(first, self._seen):
                random = True
            elif len(draws) == 2 and not self._random:
                break  # nothing random about it
        error, cosine, nominal, bits = np.mean(draws, axis=0).tolist()
        self.found.errors.append(error)
        self.found.cosines.append(cosine)
        self.found.biases.append(float(np.linalg.norm(total / len(draws) - gradient)) / length)
        self.found.noises.append(float(np.sqrt(error / len(draws))) if random else 0.0)
        self.found.theory_bits.append(nominal)
        self.found.bits.append(bits)
        self._judge(np.array(draws)[:, 0], self.found.biases[-1])

    def _judge(self, errors: np.ndarray, away: float) -> None:
        """Hold a node's draws, and those of all nodes so far, against theory."""
        most = bound(self._theory)
        if most is None or self.found.broken:
            return
        self._errors = np.append(self._errors, errors)
        for drawn in (errors, self._errors):
            if exceeds(most, drawn):
                self.found.broken = f"an error of {np.mean(drawn):.4g} where theory allows {most:.4g}"
                return
        if self._theory.family == "unbiased" and drifts(max(most, float(np.mean(errors))), away, errors.size):
            self.found.broken = f"its mean over {errors.size} draws is {away:.3g} |g| from g, and it is to be unbiased"

    def _draw(self, gradient: np.ndarray, length: float, node: int, draw: int) -> tuple[float, float, float, float]:
        """Error, cosine, bits in theory and of the payload, of the draw of this number."""
        self._pipeline.forget()
        self._vector[:] = gradient
        message, _ = self._pipeline.apply(self._vector, node, draw)
        nominal, sent = theory(message), 8 * codec.encode(message, self._buffer)
        codec.to_dense(message, self._seen)
        error = float(np.linalg.norm(self._seen - gradient)) / length
        size = float(np.linalg.norm(self._seen))
        cosine = float(np.dot(self._seen / (size or 1.0), gradient / length))
        return error**2, cosine, nominal / gradient.size, sent / gradient.size


def measure(
    config: Raw,
    overrides: Iterable[str] = (),
    everything: bool = False,
    iterations: int = 0,
    nodes: int | None = None,
    repetitions: int = 16,
) -> list[Measured]:
    """The operators of a config, stage by stage and together, or all of them, on its problem's gradients.

    Parameters
    ----------
    config, overrides
        As `pmom_mpi.runtime.experiment.run` takes them.
    everything : bool
        all operators instead of the config's pipeline.
    iterations : int
        Gradients are taken at the x that a run of so many iterations ends with; 0: at x^0.
    nodes : int, optional
        Only this many nodes, the first ones.
    repetitions : int
        Draws of a random operator, for each node.
    """
    x = _point(config, overrides, iterations)
    setting = ready(config, overrides)
    problem, seed = setting.problem, setting.config.seed
    x = problem.initial_point() if x is None else x
    hosted = range(setting.config.nodes if nodes is None else min(nodes, setting.config.nodes))
    gradient = np.empty_like(x)
    problem.gradient(x, 0, iterations, gradient)
    pipelines = (
        _operators(gradient) if everything else _pipelines(setting.pipeline.stages, setting.source.raw.get("bias"))
    )
    sizes = setting.pipeline.samples
    samples = None if sizes is None else lambda node, draw: sizes(node, iterations)
    probes = [Probe(stages, label, problem.layout, x.dtype, seed, samples) for label, stages in pipelines]
    for node in hosted:
        problem.gradient(x, node, iterations, gradient)
        for probe in probes:
            probe.take(gradient, node, repetitions)
    return [probe.found for probe in probes]


def _point(config: Raw, overrides: Iterable[str], iterations: int) -> np.ndarray | None:
    """The model after so many iterations of the config's own method."""
    if iterations == 0:
        return None
    shorter = [*overrides, f"iterations={iterations}", "evaluate.every=0"]
    with tempfile.TemporaryDirectory() as folder:
        return experiment.run(config, shorter, output=Path(folder) / "run.h5").x


def _operators(gradient: np.ndarray) -> Iterator[tuple[str, list[Stage]]]:
    for stages in [*catalogue.compressors(gradient), *catalogue.clips(gradient)]:
        yield catalogue.label(stages), [registry.build(registry.BIAS, "bias", stage) for stage in stages]


def _pipelines(stages: Sequence[Stage], raw: Any) -> Iterator[tuple[str, Sequence[Stage]]]:
    """Each stage on its own where that says something, then all together."""
    described = raw if isinstance(raw, list) else [raw or "none"]
    sections = [section if isinstance(section, dict) else {"kind": section} for section in described]
    for stage, section in zip(stages, sections, strict=False):
        alone = not isinstance(stage, Feedback) and not isinstance(stage, ClipPerSample)
        if alone and len(stages) > 1:
            yield catalogue.label([section]), [stage]
    yield catalogue.label(sections), stages


def render(found: Sequence[Measured]) -> RenderableType:
    """What `pmom bias` prints: a row an operator, in red where a promise is broken, and below what is broken."""
    table = Table(
        title="error, max: |Q(g) - g|^2 / |g|^2; bias: of the mean; theory, sent: bits each",
        title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for head in ("operator", "promise"):
        table.add_column(head, overflow="fold", min_width=8)
    for head in ("error", "max", "cosine", "bias", "noise", "theory", "sent"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in found:
        if not row.errors:
            continue
        noise = np.mean(row.noises)
        numbers = (np.mean(row.errors), np.max(row.errors), np.mean(row.cosines), np.mean(row.biases))
        table.add_row(
            f"! {row.label}" if row.broken else row.label, " ".join(filter(None, (row.kind, row.known))),
            *(f"{number:.3g}" for number in numbers), f"{noise:.3g}" if noise else "",
            f"{np.mean(row.theory_bits):.3g}", f"{np.mean(row.bits):.3g}", style="bold red" if row.broken else None,
        )  # fmt: skip
    broken = [Text(f"! {row.label}: {row.broken}", "bold red") for row in found if row.broken]
    return Group(table, *broken)
