"""How pictures look: colours, line styles, axes. Figures are made without pyplot's global state."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

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
class Size:
    """Of a figure: inches wide, how many panels beside each other, height of letters and width of lines in points."""

    width: float
    columns: int
    letters: float
    line: float


SIZES = {
    "screen": Size(13.0, 3, 10.0, 1.6),
    "one-column": Size(3.5, 1, 8.0, 1.1),
    "two-column": Size(7.16, 3, 8.0, 1.1),
    "slide": Size(12.0, 3, 16.0, 2.4),
}
"""Columns as in IEEE's two-column journals."""


@contextmanager
def applied(size: str = "screen", style: str | Path | None = None) -> Iterator[None]:
    """Within, figures are made and saved in a size, and by a style file of matplotlib's, which has the last word.

    Raises
    ------
    UserError
        When the style file cannot be read, or has a value that matplotlib does not take.
    """
    chosen, dots = SIZES[size], 150 if size == "screen" else 300
    said: dict[str, Any] = {
        "font.size": chosen.letters, "legend.fontsize": 0.9 * chosen.letters, "lines.linewidth": chosen.line,
        "lines.markersize": 2.5 * chosen.line, "axes.grid": True, "grid.color": "0.9", "axes.axisbelow": True,
        "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "savefig.dpi": dots,
        "pdf.fonttype": 42, "ps.fonttype": 42, "axes.prop_cycle": cycler(color=COLORS),
    }  # fmt: skip
    with matplotlib.rc_context():
        matplotlib.rcParams.update(said)  # type: ignore[arg-type]
        if style:
            matplotlib.rcParams.update(_read(Path(style)))
        yield


def _read(style: Path) -> matplotlib.RcParams:
    try:
        return matplotlib.rc_params_from_file(style, fail_on_error=True, use_default_template=False)
    except FileNotFoundError:
        raise UserError(f"--style {style}: no such file") from None
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"--style {style}: {str(error).splitlines()[0]}") from None


def palette() -> list[str]:
    """The colours of curves, in their order: ours, or a style file's."""
    return list(matplotlib.rcParams["axes.prop_cycle"].by_key().get("color", COLORS))


@dataclass(frozen=True)
class Look:
    """How a curve is drawn; the colour is a place in the `palette`."""

    color: int
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
    return Look(place % len(COLORS), DASHES[dashes % len(DASHES)], MARKERS[marker % len(MARKERS)])


def panels(
    rows: int, columns: int, size: tuple[float, float], fitted: bool = False, **options: Any
) -> tuple[Figure, Any]:
    """A figure of so many inches, and its axes, an array of shape (rows, columns); ``fitted`` leaves labels room."""
    figure = Figure(figsize=size, layout="constrained" if fitted else None)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def plain_powers(axis: Axis) -> None:
    """Label a logarithmic axis: 0.1, 1, 10 as such, 10^-5 as a power; over less than two decades 2 and 5 as well."""

    def between(value: float, _: int | None = None) -> str:
        low, high = axis.get_view_interval()
        leading = round(value / 10 ** math.floor(math.log10(value) + 1e-9))
        return _power(value) if leading in (2, 5) and high < 100 * low else ""

    axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
    axis.set_minor_formatter(FuncFormatter(between))


def _power(value: float) -> str:
    """A label.

    Examples
    --------
    >>> _power(0.2), _power(100.0), _power(1e6), _power(2e-4)
    ('0.2', '100', '$10^{6}$', '$2 \\\\times 10^{-4}$')
    """
    power = math.floor(math.log10(value) + 1e-9)
    if -4 < power < 4:
        return f"{value:g}"
    leading = round(value / 10**power)
    return f"$10^{{{power}}}$" if leading == 1 else f"${leading} \\times 10^{{{power}}}$"


def dress(axis: Axes) -> None:
    """A pale grid behind the curves, and no box around them."""
    axis.grid(True, color="0.9", linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def save(figure: Figure, output: str | Path, exact: bool = False) -> Path:
    """Write a picture, as PNG where the name has no ending; returns the name that was written.

    An ``exact`` one has the figure's own size and the style's dots an inch; others are cut to what is drawn.

    Raises
    ------
    UserError
        When that cannot be done.
    """
    output = Path(output)
    path = output if output.suffix else output.with_name(f"{output.name}.png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if exact:
            figure.savefig(path)
        else:
            figure.savefig(path, dpi=150, bbox_inches="tight")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise UserError(f"-o {output}: cannot write the picture: {reason or error}") from None
    return path
