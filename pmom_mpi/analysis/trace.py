"""A traced run as a file for Perfetto (ui.perfetto.dev) and chrome://tracing: who worked and who waited, when."""

from __future__ import annotations

from typing import Any

import numpy as np

from pmom_mpi.analysis.read import Run
from pmom_mpi.record import trace
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.trace import SERVER, TRACED

MICRO = 1e6


def chrome(run: Run) -> dict[str, Any]:
    """The trace-event format: complete events, ``pid`` a host, ``tid`` 0 for the server and w + 1 for worker w.

    Raises
    ------
    UserError
        When the run was not traced, or no iteration of it is complete.

    References
    ----------
    "Trace Event Format", Google, the section on complete events.
    """
    found, clocks = trace.read(run.path)
    if not len(found):
        raise UserError(f"{run.path}: no iteration of it has been traced yet")
    hosts = str(run.provenance.get("hosts", "")).split(", ")
    first = found["start"].min()
    many = len(hosts) > 1
    events = [lane for worker in range(SERVER, len(clocks)) for lane in _named(worker, hosts, many)]
    for iteration, worker, node, station, start, stop in found.tolist():
        about = {"iteration": iteration} | ({"node": node} if node >= 0 else {})
        events.append({
            "name": TRACED[station], "cat": "server" if worker == SERVER else "worker", "ph": "X",
            "ts": MICRO * (start - first), "dur": MICRO * (stop - start), "pid": _host(worker, hosts),
            "tid": worker + 1, "args": about,
        })  # fmt: skip
    accuracy = float(np.max(clocks[:, 1], initial=0.0))
    told = {"run": run.name, "file": str(run.path), "clocks_agree_within_seconds": accuracy}
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": told}


def _host(worker: int, hosts: list[str]) -> int:
    """The number of the host that a worker, or the server, is on."""
    return hosts.index(hosts[worker + 1 if len(hosts) > 1 else 0])


def _named(worker: int, hosts: list[str], many: bool) -> list[dict[str, Any]]:
    """What the lanes are called."""
    who = "server" if worker == SERVER else "worker"
    host = _host(worker, hosts)
    lane = {"ph": "M", "pid": host, "tid": worker + 1}
    place = f"rank {worker + 1}: {who}" if many else f"{who}, in one process"
    return [
        {**lane, "name": "process_name", "args": {"name": hosts[host]}},
        {**lane, "name": "thread_name", "args": {"name": place}},
        {**lane, "name": "thread_sort_index", "args": {"sort_index": worker + 1}},
    ]
