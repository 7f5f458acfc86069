"""How pictures look: colours, line styles, axes. Figures are made without pyplot's global state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pmom_mpi.words.errors import UserError

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, distinguishable with any colour vision; without its yellow, which white paper swallows."""

DASHES: tuple[Any, ...] = (
    "solid", (0, (5, 2)), (0, (1, 1.3)), (0, (6, 2, 1, 2)), (0, (6, 2, 1, 2, 1, 2)), (0, (10, 3))
)  # fmt: skip
"""Line styles that can be told apart in print."""

MARKERS = ("", "o", "s", "^", "D", "v")
"""For what colours and line styles together are too few."""


@dataclass(frozen=True)
class Look:
    """How a curve is drawn."""

    color: str
    dashes: Any = "solid"
    marker: str = ""


def look(place: int) -> Look:
    """The look of the curve at a place; no two are alike but after hundreds.

    Examples
    --------
    >>> look(0).color == look(7).color, look(0).dashes == look(7).dashes
    (True, False)
    """
    dashes, marker = place // len(COLORS), place // (len(COLORS) * len(DASHES))
    return Look(COLORS[place % len(COLORS)], DASHES[dashes % len(DASHES)], MARKERS[marker % len(MARKERS)])


def panels(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Figure, Any]:
    """A figure of so many inches, and its axes, an array of shape (rows, columns)."""
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def dress(axis: Axes) -> None:
    """A pale grid behind the curves, and no box around them."""
    axis.grid(True, color="0.9", linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def save(figure: Figure, output: str | Path) -> Path:
    """Write a picture, as PNG where the name has no ending; returns the name that was written.

    Raises
    ------
    UserError
        When that cannot be done.
    """
    output = Path(output)
    path = output if output.suffix else output.with_name(f"{output.name}.png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150, bbox_inches="tight")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise UserError(f"-o {output}: cannot write the picture: {reason or error}") from None
    return path
