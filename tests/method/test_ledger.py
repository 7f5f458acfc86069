"""Rows: what is counted beside payloads, whose the server's time was, and when a row is complete."""

from __future__ import annotations

import numpy as np
import pytest

from pmom_mpi.method.ledger import Ledger, columns, node_columns
from pmom_mpi.words.nodes import Hosting
from pmom_mpi.words.report import WORKER_TIMES, Metric, Report, Schema

LOSS, KEPT = Metric("loss", "loss", rises=False), Metric("kept", "coordinates that were sent", "coordinates")
SCHEMA = Schema((LOSS,), (KEPT,), (LOSS,), share=3)


@pytest.fixture
def written():
    return []


@pytest.fixture
def ledger(written):
    return Ledger(SCHEMA, written.append, each_node=True)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_overhead_is_every_number_that_is_reported_beside_the_payloads(ledger, workers):
    report = Report.blank(SCHEMA, Hosting(nodes=7, chunks=4, workers=workers))
    ledger.begin(0)
    ledger.note(report, np.full(7, 8))
    assert ledger.entry.row["overhead_bits"] == 64 * (7 * (1 + 1 + 3) + workers * len(WORKER_TIMES))
    packed = [report.pack(Hosting(7, 4, workers), worker).size for worker in range(workers)]
    assert 8 * sum(packed) == ledger.entry.row["overhead_bits"] + 64 * 4 * (1 + 1), "the evaluation comes on top"


def test_a_row_waits_for_what_its_step_led_to(ledger, written):
    report = Report.blank(SCHEMA, Hosting(2, 0, 1))
    for k in range(3):
        ledger.begin(k)
        report.metrics[:] = k
        ledger.note(report, np.array([8, 16]))
        ledger.complete({"test_loss": k + 0.5})
        assert len(written) == k
    ledger.close({"test_loss": 9.0})
    assert [(entry.row["train_loss"], entry.row["test_loss"]) for entry in written] == [(0, 1.5), (1, 2.5), (2, 9.0)]
    assert [entry.nodes["train_loss"].tolist() for entry in written] == [[0, 0], [1, 1], [2, 2]]
    assert all(entry.nodes["uplink_bits"].tolist() == [8, 16] for entry in written)


def test_the_servers_stations_are_all_of_its_time(ledger):
    ledger.begin(0)
    for station in ("broadcast", "wait", "decode", "wait", "record", "momentum"):
        ledger.lap(station)
    row = ledger.entry.row
    stations = [row[f"time_{name}"] for name in ("broadcast", "wait", "decode", "record", "momentum")]
    assert sum(stations) == pytest.approx(row["time_total"])


def test_columns_are_what_rows_have(ledger):
    ledger.begin(0)
    ledger.note(Report.blank(SCHEMA, Hosting(2, 0, 1)), np.zeros(2, np.int64))
    assert set(ledger.entry.row) <= {metric.name for metric in columns(SCHEMA)}
    assert set(ledger.entry.nodes) == {metric.name for metric in node_columns(SCHEMA)}
    assert "model_lag" in {metric.name for metric in columns(Schema((LOSS,), point="w"))}
