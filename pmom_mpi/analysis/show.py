"""A run file as tables."""

from __future__ import annotations

import numpy as np
from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.table import Table

from pmom_mpi.analysis.payoff import payoff, sentence
from pmom_mpi.analysis.read import Run

WORKER_STATIONS = ("gradient", "bias", "encode", "send", "evaluate")
SERVER_STATIONS = ("broadcast", "wait", "decode", "momentum", "record")


def render(run: Run, everything: bool = False) -> RenderableType:
    """What `pmom show` prints."""
    parts: list[RenderableType] = [_head(run), _results(run), _traffic(run), _times(run)]
    if run.iterations:
        parts.append(sentence(payoff(run)))
    if everything:
        parts.append(_data_sets(run))
    return Group(*parts)


def _pairs(title: str, rows: list[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(*row)
    return table


def _head(run: Run) -> Table:
    config, facts, made = run.config, run.facts, run.provenance
    rows = [
        ("run", f"{run.name}  ({run.status}, {run.iterations} of {config.get('iterations')} iterations)"),
        ("created", f"{run.attributes.get('created')}, ended {run.attributes.get('ended', 'not')}"),
        ("method", f"momentum {_one_line(config.get('momentum', 'sgd'))}, step size {config.get('step_size')}"),
        ("problem", f"{_one_line(config.get('problem'))}, d = {int(facts.get('dimension', 0)):,}"),
        ("data", _one_line(config.get("data"))),
        ("bias", "  ->  ".join(_one_line(stage) for stage in _stages(config)) or "none"),
        ("ranks", f"{facts.get('ranks')} on {made.get('hosts')}; {made.get('mpi_library')}"),
    ]
    if "message" in run.attributes:
        rows.append(("message", str(run.attributes["message"])))
    return _pairs(str(run.path), rows)


def _stages(config: dict) -> list:
    stages = config.get("bias") or []
    return stages if isinstance(stages, list) else [stages]


def _one_line(section: object) -> str:
    if not isinstance(section, dict):
        return str(section)
    head = str(section.get("kind", section.get("name", "")))
    rest = ", ".join(f"{key} {value}" for key, value in section.items() if key not in ("kind", "name"))
    return f"{head} ({rest})" if rest else head


def _results(run: Run) -> Table:
    table = Table("metric", "first", "last", "best", title="results", title_justify="left")
    for name, values in run.metrics.items():
        known, metric = values[np.isfinite(values)], run.described[name]
        if metric.role in ("train", "test", "statistic", "step") and len(known):
            best = known.max() if metric.rises else known.min()
            shown = "" if metric.rises is None else f"{best:.6g}"
            table.add_row(name, f"{known[0]:.6g}", f"{known[-1]:.6g}", shown)
    return table


def _traffic(run: Run) -> Table:
    table = Table("traffic", "total", "an iteration", "bits a coordinate", title_justify="left")
    rows, nodes = max(run.iterations, 1), run.nodes
    dimension = int(run.facts.get("dimension", 0)) or 1
    for name, senders in (("uplink_bits", nodes), ("downlink_bits", 1), ("overhead_bits", 0)):
        total = int(run.metrics[name].sum())
        each = f"{total / rows / senders / dimension:.4g}" if senders else ""
        table.add_row(name.removesuffix("_bits"), decimal(total // 8), decimal(total // 8 // rows), each)
    return table


def _times(run: Run) -> Table:
    total = run.metrics["time_total"].sum()
    title = f"time: {total:.1f} s, {total / max(run.iterations, 1):.4g} s an iteration"
    table = Table("station", "seconds", "share of the run", title=title, title_justify="left")
    for who, stations in (("slowest worker", WORKER_STATIONS), ("server", SERVER_STATIONS)):
        for station in stations:
            seconds = run.metrics[f"time_{station}"].sum()
            table.add_row(f"{who}: {station}", f"{seconds:.3f}", f"{100 * seconds / max(total, 1e-12):.1f} %")
    return table


def _data_sets(run: Run) -> Table:
    table = Table("data set", "type", "unit", "description", title="/metrics", title_justify="left")
    for name, values in run.metrics.items():
        table.add_row(name, f"{values.dtype}[{len(values)}]", run.described[name].unit, run.described[name].description)
    return table
