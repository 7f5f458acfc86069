"""A run that goes on, as a terminal's screen."""

from __future__ import annotations

import math

import numpy as np
from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.markup import escape
from rich.text import Text

from pmom_mpi.analysis import show
from pmom_mpi.analysis.braille import ASCII, chart
from pmom_mpi.analysis.concerns import straggler
from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.summary import SERVER_STATIONS, traffic
from pmom_mpi.campaign.states import RATED, duration, of_run
from pmom_mpi.words.report import STATIONS, Metric

LOG_RATIO = 20.0
"""What falls by more than this factor is drawn by its logarithm."""

LEFT = 11
"""Signs beside a chart: its highest and lowest value."""

COLORS = {
    "running": "cyan", "finished": "green", "diverged": "red", "killed": "red", "failed": "red", "interrupted": "yellow"
}  # fmt: skip
STATION_COLORS = ("blue", "white", "cyan", "magenta", "yellow", "green", "red", "bright_blue", "bright_magenta")
EVENTS = 3
NARROW = 60
"""Columns below which there is no bar."""
PLAIN = ASCII | {ord("━"): "=", ord("─"): "-", ord("…"): "~"}
"""What stands for our signs on terminals that know ASCII only."""


def screen(run: Run, width: int, height: int, plain: bool = False) -> RenderableType:
    """All that there is to see of a run, in so many columns and, where they suffice, lines; ``plain``: in ASCII."""
    below = [*_stations(run, width), *_told(run, width)]
    metrics = run.told[:2] if run.iterations else ()
    room = max(3, (height - 4 - len(below) - len(metrics)) // max(len(metrics), 1))
    lines = [*_head(run, width)]
    for place, metric in enumerate(metrics):
        lines += _chart(run, metric, width, min(room, 10), ("cyan", "green")[place])
    lines += below
    return Group(*map(_plain, lines)) if plain else Group(*lines)


def _plain(text: Text) -> Text:
    """Sign by sign what ASCII has for it, so that the colours stay where they are."""
    text.plain = text.plain.translate(PLAIN).encode("ascii", "replace").decode()
    return text


def told(run: Run) -> str:
    """The same in a line, for terminals on which nothing can be drawn over, and for files."""
    state, words = of_run(run), [run.status, f"{run.iterations}/{run.planned}"]
    words += [f"{metric.name.replace('_', ' ')} {_last(run, metric):.5g}" for metric in run.told[:2] if run.iterations]
    if not math.isnan(state.rate):
        words.append(f"{state.rate:.3g} it/s  ETA {duration(state.left)}")
    return "  ".join(words)


def _last(run: Run, metric: Metric) -> float:
    values = run.metrics[metric.name]
    return float(values[np.isfinite(values)][-1])


def _head(run: Run, width: int) -> list[Text]:
    color = COLORS.get(run.status.partition(" ")[0], "yellow")
    first = Text.assemble((run.status, color), "  ", (run.name, "bold"))
    done = run.iterations / max(run.planned, 1)
    room = width - 50 if width >= NARROW else 0
    filled = min(room, round(done * room))
    state = of_run(run)
    facts = f"{' ' if room else ''}{run.iterations}/{run.planned}"
    if not math.isnan(state.rate):
        facts += f"  {state.rate:.3g} it/s  ETA {duration(state.left)}"
    bar = Text.assemble(("━" * filled, color), ("─" * (room - filled), "bright_black"), facts)
    sent = traffic(run)
    seconds = float(run.metrics["time_total"].sum())
    bits = f"sent up {decimal(int(sent['up']))}, down {decimal(int(sent['down_once']))}, {duration(seconds)}"
    return [_cut(first, width), _cut(bar, width), _cut(Text(bits, "dim"), width)]


def _cut(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    return text


def _chart(run: Run, metric: Metric, width: int, height: int, color: str) -> list[Text]:
    values = run.metrics[metric.name]
    values = values[np.isfinite(values)]
    log = metric.rises is False and values.min() > 0 and values.max() > LOG_RATIO * values.min()
    words = f"{metric.name.replace('_', ' ')} {values[-1]:.5g}{', logarithmic' if log else ''}"
    lines = [_cut(Text(words, f"bold {color}"), width)]
    drawn = chart(np.log(values) if log else values, max(width - LEFT, 10), height)
    for place, signs in enumerate(drawn):
        side = values.max() if place == 0 else values.min() if place == height - 1 else None
        lines.append(Text.assemble((f"{'' if side is None else f'{side:.4g}':>{LEFT - 1}} ", "dim"), (signs, color)))
    return lines


def _stations(run: Run, width: int) -> list[Text]:
    """Where the time of the last iterations went: the server's, and the slowest worker's."""
    if not run.iterations:
        return []
    made = []
    for who, names in (("server", SERVER_STATIONS), ("slowest worker", STATIONS)):
        spent = {name: float(run.metrics[f"time_{name}"][-RATED:].mean()) for name in names}
        whole = max(float(run.metrics["time_total"][-RATED:].mean()), sum(spent.values())) or 1.0
        line = Text(f"{who}: ", "dim")
        for name, color in zip(names, STATION_COLORS, strict=False):
            if spent[name] >= whole / 100:
                line.append(f"{name} {100 * spent[name] / whole:.0f} %  ", color)
        made.append(_cut(line, width))
    return made


def _told(run: Run, width: int) -> list[Text]:
    """Stragglers, the last events, and how to go on with a run that ended too early."""
    lines = []
    slow = straggler(run, RATED)
    if slow is not None:
        lines.append(Text(f"straggler: rank {slow[0]} is busy {slow[1]:.2g} times as long as the median", "yellow"))
    lines += [Text(f"{event.iteration}: {event.what}", "yellow") for event in run.events[-EVENTS:]]
    if "message" in run.attributes:
        lines.append(Text(str(run.attributes["message"]), "red"))
    if run.resumable and run.status != "running or killed":
        lines.append(Text(f"go on: {show.resumption(run)}"))
    return [_cut(line, width) for line in lines]


def waiting(place: str) -> RenderableType:
    """Before there is anything to see."""
    return Text.from_markup(f"waiting for [bold]{escape(place)}[/]  (q or Ctrl-C ends)")
