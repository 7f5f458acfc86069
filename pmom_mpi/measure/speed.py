"""How fast operators are on this machine, on one core, beside a plain copy and beside PyTorch; and whether that pays.

GB/s are of float32 gradient. The gradient is made of normal numbers whose scales vary over three orders of magnitude,
as those of layers do.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from rich import box
from rich.table import Table

from pmom_mpi.analysis.payoff import Payoff, bandwidth
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.measure import catalogue
from pmom_mpi.wire.codec import add, encode
from pmom_mpi.wire.message import Everything
from pmom_mpi.words import registry
from pmom_mpi.words.layout import Layout

COLUMNS = 512
WARM_UP = 2
"""Calls that compile and touch memory."""


@dataclass(frozen=True)
class Timing:
    """One operator's times.

    Attributes
    ----------
    label : str
    compress, encode, decode : float
        Seconds; decode includes adding to the server's sum.
    size : int
        The payload's bytes.
    pairs : int
        Coordinates with a value; 0 where all have one.
    """

    label: str
    compress: float
    encode: float
    decode: float
    size: int
    pairs: int


def gradient_of(size: int) -> np.ndarray:
    """float32, shape (size,), the same every time."""
    rng = np.random.default_rng(0)
    return rng.standard_normal(size, np.float32) * np.exp(1.5 * rng.standard_normal(size, np.float32))


def layout_of(size: int) -> Layout:
    """Two matrices of 512 columns, and the rest as a vector."""
    rows, rest = divmod(size, COLUMNS)
    return Layout(("one", "two", "rest"), ((rows // 2, COLUMNS), (rows - rows // 2, COLUMNS), (rest,)))


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The fastest of some calls: the others had to share the machine."""
    times = []
    for _ in range(repeats + WARM_UP):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return min(times[WARM_UP:])


def operators(gradient: np.ndarray, repeats: int) -> Iterator[Timing]:
    """Every compressor of the catalogue, the dense exchange (none) first."""
    for stages in catalogue.compressors(gradient):
        built = [registry.build(registry.BIAS, "bias", stage) for stage in stages]
        pipeline = Pipeline(built, layout_of(gradient.size), gradient.dtype)
        yield timing(catalogue.label(stages), pipeline, gradient, repeats)


def timing(label: str, pipeline: Pipeline, gradient: np.ndarray, repeats: int) -> Timing:
    """One operator on one gradient."""
    buffer = np.empty(pipeline.max_bytes(), np.uint8)
    total = np.zeros_like(gradient)
    compressing = seconds(lambda: pipeline.apply(gradient, 0, 0), repeats)
    message, _ = pipeline.apply(gradient, 0, 0)
    size = encode(message, buffer)
    encoding = seconds(lambda: encode(message, buffer), repeats)
    adding = seconds(lambda: add(buffer[:size], total), repeats)
    pairs = 0 if isinstance(message.support, Everything) else message.values.count
    return Timing(label, compressing, encoding, adding, size, pairs)


def references(gradient: np.ndarray, repeats: int) -> Iterator[tuple[str, float]]:
    """What a copy takes, and numpy's and PyTorch's own operators: names and seconds."""
    k, copy = gradient.size // 100, np.empty_like(gradient)
    calls: dict[str, Callable[[], object]] = {
        "copy": lambda: np.copyto(copy, gradient),
        "np.argpartition 1 %": lambda: np.argpartition(np.abs(gradient), gradient.size - k),
    }
    if importlib.util.find_spec("torch") is not None:
        calls |= _torch(gradient, k)
    for name, call in calls.items():
        yield name, seconds(call, repeats)


def _torch(gradient: np.ndarray, k: int) -> dict[str, Callable[[], object]]:
    import torch

    torch.set_num_threads(1)
    tensor = torch.from_numpy(gradient)
    kept = torch.topk(tensor.abs(), k).indices
    values, total = tensor[kept], torch.zeros_like(tensor)
    return {
        "torch.topk 1 %": lambda: tensor[torch.topk(tensor.abs(), k).indices],
        "torch.index_add_ 1 %": lambda: total.index_add_(0, kept, values),
        "torch.sign": lambda: torch.sign(tensor),
        "torch float16": lambda: tensor.to(torch.float16),
        "torch bfloat16": lambda: tensor.to(torch.bfloat16),
        "torch float8_e4m3fn": lambda: tensor.to(torch.float8_e4m3fn),
    }


def pays(found: Timing, dense: Timing, link: float) -> Payoff:
    """One node's exchange over a link of so many bytes a second, and the dense one."""
    stations = {"compress": found.compress, "encode": found.encode, "decode": found.decode}
    return Payoff(found.size, dense.size, stations, dense.encode + dense.decode, link)


def render_operators(size: int, found: Iterable[Timing], link: float) -> Table:
    """Times and speeds, and what a node's exchange takes over the link."""
    title = f"d = {size:,}, float32, one core; exchange of a node over {8e-9 * link:g} Gbit/s"
    heads = (
        "compress ms",
        "encode ms",
        "GB/s",
        "decode+add ms",
        "GB/s",
        "M pairs/s",
        "bits",
        "exchange ms",
        "pays below",
    )
    table = _of_numbers("operator", *heads, title=title)
    dense: Timing | None = None
    for row in found:
        dense = dense or row
        both, payoff = row.compress + row.encode, pays(row, dense, link)
        table.add_row(
            row.label, f"{1e3 * row.compress:.3f}", f"{1e3 * row.encode:.3f}", _speed(size, both),
            f"{1e3 * row.decode:.3f}", _speed(size, row.decode),
            f"{1e-6 * row.pairs / row.decode:.0f}" if row.pairs else "", f"{8 * row.size / size:.3f}",
            f"{1e3 * payoff.exchange:.2f}", "" if row is dense else _below(payoff),
        )  # fmt: skip
    return table


def _below(payoff: Payoff) -> str:
    """The speed of the links on which an operator wins."""
    if math.isinf(payoff.break_even):
        return "any"
    return bandwidth(payoff.break_even) if payoff.break_even else "none"


def render_references(size: int, found: Iterable[tuple[str, float]]) -> Table:
    """The same size by other means."""
    table = _of_numbers("beside them", "ms", "GB/s")
    for name, spent in found:
        table.add_row(name, f"{1e3 * spent:.3f}", _speed(size, spent))
    return table


def _of_numbers(name: str, *heads: str, title: str | None = None) -> Table:
    """A table of names on the left and numbers on the right."""
    table = Table(name, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for head in heads:
        table.add_column(head, justify="right")
    return table


def _speed(size: int, spent: float) -> str:
    return f"{4e-9 * size / spent:.2f}"
