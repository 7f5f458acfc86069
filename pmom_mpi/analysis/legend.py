"""The key of a figure of curves, and what is to be said of them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pmom_mpi.analysis.curves import Curve
from pmom_mpi.analysis.runs import Runs
from pmom_mpi.analysis.style import palette

MOST_COLUMNS = 4
ROOM = 0.95
"""Of the figure's width that a key may take; as a picture its letters may be a little wider than on the screen."""
LETTERS = 2.1
"""How many small letters are as wide as a line is high."""


def legend(figure: Figure, found: Sequence[Curve], parts: Mapping[str, Runs]) -> None:
    """A key above the panels: of colours and line styles apart where they mean two things, else a key a curve.

    Where a key means several curves, what is to be said of one of them stands below, with its panel. The figure grows
    by what both take, so that the panels keep their size.
    """
    colors, notes = palette(), [_note(curve, parts) for curve in found if curve.told(curve.label) != curve.label]

    def key(text: str, color: str, dashes: Any = "solid", marker: str = "") -> Line2D:
        return Line2D([], [], color=color, linestyle=dashes, marker=marker, label=text)

    if all(curve.method and curve.rest for curve in found):
        methods = {", ".join(curve.method): curve.look for curve in found}
        others = {", ".join(curve.rest): curve.look for curve in found}
        keys = [key(text, colors[look.color % len(colors)]) for text, look in methods.items()]
        keys += [key(text, "0.3", look.dashes) for text, look in others.items()]
    else:
        looks = {curve.label if len(parts) > 1 else curve.title: curve.look for curve in found}
        keys = [key(text, colors[look.color % len(colors)], look.dashes, look.marker) for text, look in looks.items()]
        notes = notes if len(parts) > 1 else []
    many = {len(curve.runs) for curve in found}
    title = f"mean of {many.pop()} seeds, band: lowest to highest" if len(many) == 1 and many != {1} else None
    size = matplotlib.rcParams["font.size"]
    taken = _put(figure, keys, title)
    if notes:
        told = [
            line for note in notes for line in textwrap.wrap(note, int(LETTERS * 72 * figure.get_figwidth() / size))
        ]
        taken += len(told) * size / 72
        figure.supxlabel("\n".join(told), fontsize="small", color="0.3")
    figure.set_figheight(figure.get_figheight() + taken)


def _put(figure: Figure, keys: Sequence[Line2D], title: str | None) -> float:
    """The key in as many columns as the figure has room for; returns its height in inches."""
    pen = FigureCanvasAgg(figure).get_renderer()
    for columns in range(min(MOST_COLUMNS, len(keys)), 0, -1):
        made = figure.legend(handles=keys, title=title, title_fontsize="small", loc="outside upper center",
                             ncols=columns, handlelength=3.2)  # fmt: skip
        box = made.get_window_extent(pen)
        if box.width <= ROOM * figure.bbox.width:
            break
        if columns > 1:
            made.remove()
    return float(box.height / figure.dpi)


def _note(curve: Curve, parts: Mapping[str, Runs]) -> str:
    """What is not as it should be with a curve, and in which panel where there are several."""
    panel = next(title for title, runs in parts.items() if curve.runs[0] in runs.runs)
    return f"{panel}: {curve.title}" if panel else curve.title
