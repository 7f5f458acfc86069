"""A run file as tables: what ``pmom show`` prints."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone

import numpy as np
from rich.filesize import decimal

from pmom_mpi.analysis.payoff import payoff, sentence, wasteful
from pmom_mpi.analysis.read import Run, one_line, stages
from pmom_mpi.analysis.summary import percent, results, server, traffic, workers
from pmom_mpi.analysis.tables import Table
from pmom_mpi.record.checkpoint import newest


def show(run: Run, everything: bool = False, verdict: bool = False) -> list[Table | str]:
    """Tables and sentences.

    Parameters
    ----------
    run : Run
    everything : bool
        Also list every data set.
    verdict : bool
        Say whether the compression pays also where it does.
    """
    parts: list[Table | str] = [_head(run), results_table(run), traffic_table(run), _server(run), _workers(run)]
    if run.events:
        parts.append(events_table(run))
    if run.iterations and (verdict or wasteful(payoff(run))):
        parts.append(sentence(payoff(run)))
    if everything:
        parts.append(_data_sets(run))
    return parts


def overview(runs: Sequence[Run]) -> Table:
    """A line a run: how it ended, its last loss and what is looked at beside it, bytes, seconds."""
    told = [[metric.name for metric in run.told[:2]] for run in runs]
    alike = all(names == told[0] for names in told)
    rows = []
    for run, names in zip(runs, told, strict=True):
        found = results(run)
        last = [f"{found[name]['last']:.5g}" for name in names]
        cells = last if alike else [", ".join(f"{name} {value}" for name, value in zip(names, last, strict=True))]
        sent, seconds = decimal(int(traffic(run)["both_once"])), float(run.metrics["time_total"].sum())
        rows.append((run.stem, _brief(run), *cells, sent, f"{seconds:.4g}"))
    heads = [name.replace("_", " ") for name in told[0]] if alike else ["last"]
    return Table("", ("run", "status", *heads, "sent", "seconds"), tuple(rows), texts=2 if alike else 3)


def _brief(run: Run) -> str:
    """How far a run came, in few words."""
    return f"{run.status.partition(' after')[0]} {run.iterations}/{run.planned}"


def _status(run: Run) -> str:
    return run.status if "after" in run.status else f"{run.status}, {run.iterations} of {run.planned} iterations"


def _head(run: Run) -> Table:
    config, facts, made = run.config, run.facts, run.provenance
    rows = [
        ("run", f"{run.name}  ({_status(run)})"),
        ("created", f"{run.attributes.get('created')}, ended {run.attributes.get('ended', 'not')}"),
        ("method", f"momentum {one_line(config.get('momentum', 'sgd'))}, step size {config.get('step_size')}"),
        ("problem", f"{one_line(config.get('problem'))}, d = {int(facts.get('dimension', 0)):,}"),
        ("data", one_line(config.get("data"))),
        ("bias", "  ->  ".join(map(one_line, stages(config, "bias"))) or "none"),
    ]
    if config.get("downlink"):
        rows.append(("downlink", "  ->  ".join(map(one_line, stages(config, "downlink")))))
    library = str(made.get("mpi_library")).partition(", ")[0]  # Open MPI says who built it besides
    rows.append(("ranks", f"{facts.get('ranks')} on {_hosts(str(made.get('hosts')))}; {library}"))
    if "warm_up_seconds" in facts:
        told = f"{facts['setup_seconds']:.2f} s for data and f*, {facts['warm_up_seconds']:.2f} s for kernels"
        rows.append(("start-up", told))
    if "message" in run.attributes:
        rows.append(("message", str(run.attributes["message"])))
    if run.resumable:
        rows.append(("go on", resumption(run)))
    return Table(str(run.path), (), tuple(rows))


def _hosts(ranks: str) -> str:
    """Hosts and how many ranks each has.

    Examples
    --------
    >>> _hosts("alpha, alpha, beta")
    'alpha (2), beta (1)'
    >>> _hosts("alpha, alpha")
    'alpha'
    """
    found = Counter(ranks.split(", "))
    return next(iter(found)) if len(found) == 1 else ", ".join(f"{host} ({many})" for host, many in found.items())


def resumption(run: Run) -> str:
    """The command that goes on with a run that ended too early, and where it would begin."""
    command = f"pmom resume {shlex.quote(str(run.path))}"
    found, passed = newest(run.path, str(run.attributes["run_id"]), run.iterations)
    where = f"from iteration {found.iteration}" if found else "no checkpoint: starts again"
    return f"{command}  ({where}{f'; newer ones passed over: {len(passed)}' if passed else ''})"


def results_table(run: Run) -> Table:
    rows = []
    for name, found in results(run).items():
        words = name if found["unit"] in ("1", "") else f"{name} [{found['unit']}]"
        best = "" if found["best"] is None else f"{found['best']:.6g}"
        rows.append((words, f"{found['first']:.6g}", f"{found['last']:.6g}", best))
    return Table("results", ("metric", "first", "last", "best"), tuple(rows))


def traffic_table(run: Run) -> Table:
    found, rows, nodes = traffic(run), max(run.iterations, 1), run.nodes
    scale = 8 / rows / (int(run.facts.get("dimension", 0)) or 1)
    named = (
        ("up, all nodes", "up", scale / nodes),
        ("down, counted once", "down_once", scale),
        (f"down, a copy a node (x {nodes})", "down_copies", 0.0),
        ("both, down counted once", "both_once", 0.0),
        ("both, down a copy a node", "both_copies", 0.0),
        ("telemetry", "telemetry", 0.0),
    )
    cells = []
    for words, key, per in named:
        size = found[key]
        cells.append((words, decimal(int(size)), decimal(int(size / rows)), f"{size * per:.4g}" if per else ""))
    return Table("traffic", ("sent", "total", "an iteration", "bits a coordinate"), tuple(cells))


def _server(run: Run) -> Table:
    found = server(run)
    total = sum(float(station["total"] or 0) for station in found.values())
    shares = percent([float(station["share"] or 0) for station in found.values()])
    rows = tuple(
        (name, _ms(station["median"]), f"{station['total']:.3f}", share)
        for (name, station), share in zip(found.items(), shares, strict=True)
    )
    each = 1e3 * total / max(run.iterations, 1)
    title = f"time of the server: {total:.4g} s, {each:.4g} ms an iteration"
    return Table(title, ("station", "median ms", "total s", "share"), rows)


def _workers(run: Run) -> Table:
    found = workers(run)
    if run.workers and run.iterations:
        rows = [
            (name, _ms(times["min"]), _ms(times["mean"]), _ms(times["max"]), str(times["slowest"]))
            for name, times in found.items()
        ]
        title = "time of the workers, beside the server's wait: median ms over workers"
        return Table(title, ("station", "min", "mean", "max", "slowest rank"), tuple(rows))
    slowest = tuple((name, _ms(times["median"]), f"{times['total']:.3f}") for name, times in found.items())
    title = "time of the slowest worker, beside the server's wait"
    return Table(title, ("station", "median ms", "total s"), slowest)


def _ms(seconds: float | None) -> str:
    return "" if seconds is None or math.isnan(seconds) else f"{1e3 * seconds:.3f}"


def events_table(run: Run) -> Table:
    rows = tuple(
        (datetime.fromtimestamp(event.time, timezone.utc).isoformat(" ", "seconds").removesuffix("+00:00"),
         str(event.iteration), event.what, f"rank {event.rank} {event.host}".strip() if event.rank >= 0 else "")
        for event in run.events
    )  # fmt: skip
    return Table("events", ("time (UTC)", "iteration", "what", "where"), rows, texts=4)


def _data_sets(run: Run) -> Table:
    better = {True: "higher", False: "lower", None: ""}
    rows = tuple(
        (name, f"{np.dtype(metric.dtype)}", metric.unit, better[metric.rises], metric.description)
        for name, metric in run.described.items()
    )
    title = f"/metrics, {run.iterations} rows"
    return Table(title, ("data set", "type", "unit", "better", "description"), rows, texts=5)
