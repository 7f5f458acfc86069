"""The columns of a run file: what the server measures by itself, beside what problems and the bias declare."""

from __future__ import annotations

from pmom_mpi.words.report import Metric, Schema

ITERATION = Metric("iteration", "k: the row is about the step from x^k to x^{k+1}", dtype="int64")
UPLINK = Metric("uplink_bits", "length of all nodes' payloads", "bit", dtype="int64", role="bits")
STEP = (
    Metric("gradient_norm", "2-norm of g^k, the average that the server takes its step with", rises=False, role="step"),
    UPLINK,
    Metric("downlink_bits", "length of the model's broadcast, counted once", "bit", dtype="int64", role="bits"),
    Metric(
        "overhead_bits", "telemetry beside the payloads: metrics, statistics and times of workers", "bit",
        dtype="int64", role="bits",
    ),
)  # fmt: skip
TIMES = tuple(
    Metric(f"time_{name}", words, "s", role="time")
    for name, words in (
        ("total", "wall time of the iteration, until its row was complete"),
        ("evaluate", "evaluation of x^k, of the worker that took longest"),
        ("gradient", "computing gradients, of the worker that took longest"),
        ("bias", "bias pipeline, of the worker that took longest"),
        ("encode", "messages to bytes, of the worker that took longest"),
        ("send", "sending payloads, of the worker that took longest"),
        ("broadcast", "server: broadcasting x^k"),
        ("wait", "server: waiting for and receiving payloads and reports"),
        ("decode", "server: decoding and adding payloads"),
        ("momentum", "server: the momentum step"),
        ("record", "server: recording the previous row"),
    )
)
STATISTICS = (
    Metric("clip_active", "fraction of nodes whose clip changed the gradient"),
    Metric("clip_threshold", "norm above which gradients were clipped"),
    Metric("kept", "number of coordinates that were sent", "coordinates"),
)


def columns(schema: Schema) -> tuple[Metric, ...]:
    """A run's columns in the order of its rows."""
    return (ITERATION, *schema.columns(), *STEP, *TIMES)


def node_columns(schema: Schema) -> tuple[Metric, ...]:
    """The columns of /nodes."""
    words = "length of every node's payload; /metrics holds the sum"
    return (*schema.node_columns(), UPLINK.named("uplink_bits", words))


def statistic(name: str) -> Metric:
    """What a statistic of the bias is; a second one of a pipeline is numbered.

    Examples
    --------
    >>> statistic("clip_active_2").name, statistic("clip_active_2").unit
    ('clip_active_2', '1')
    """
    base = name.rstrip("0123456789").rstrip("_")
    known = {metric.name: metric for metric in STATISTICS}.get(base, Metric(base, "statistic of the bias pipeline"))
    return known.named(name, known.description)
