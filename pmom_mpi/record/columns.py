"""What every metric of a run file is: its type, its unit, and one sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A metric's type (a numpy type's name), unit and description, as they are written into run files."""

    dtype: str
    unit: str
    description: str


KNOWN: dict[str, Column] = {
    "iteration": Column("int64", "1", "k: the row is about the step from x^k to x^{k+1}"),
    "train_loss": Column("float64", "1", "mean over nodes of the loss of the node's batch at x^k"),
    "train_accuracy": Column("float64", "1", "mean over nodes of the accuracy on the node's batch at x^k"),
    "train_samples_clipped": Column(
        "float64", "1", "mean over nodes of the fraction of the batch's samples whose gradient was clipped"
    ),
    "test_loss": Column("float64", "1", "loss on the test set at x^{k+1}; NaN where not evaluated"),
    "test_accuracy": Column("float64", "1", "accuracy on the test set at x^{k+1}; NaN where not evaluated"),
    "train_cut": Column("float64", "1", "mean over nodes of the fraction of episodes that the horizon cut off"),
    "train_bias_norm": Column("float64", "1", "mean over nodes of the 2-norm of the gradient estimate's exact bias"),
    "test_return": Column("float64", "step", "mean steps of CartPole-v1 episodes at x^{k+1}; NaN where not evaluated"),
    "test_return_nodes": Column("float64", "step", "the same for episodes of the nodes' own cart-poles"),
    "train_suboptimality": Column("float64", "1", "f(x^k) - f*, from the known minimum f*"),
    "gradient_norm": Column("float64", "1", "2-norm of g^k, the average that the server takes its step with"),
    "clip_active": Column("float64", "1", "fraction of nodes whose clip changed the gradient"),
    "clip_threshold": Column("float64", "1", "mean over nodes of the norm above which gradients were clipped"),
    "kept": Column("float64", "coordinates", "mean over nodes of the number of coordinates that were sent"),
    "uplink_bits": Column("int64", "bit", "length of all nodes' payloads"),
    "downlink_bits": Column("int64", "bit", "length of the model's broadcast, counted once"),
    "overhead_bits": Column("int64", "bit", "telemetry beside the payloads: metrics, statistics and times of workers"),
    "time_total": Column("float64", "s", "wall time of the iteration, until its row was complete"),
    "time_gradient": Column("float64", "s", "computing gradients, of the worker that took longest"),
    "time_bias": Column("float64", "s", "bias pipeline, of the worker that took longest"),
    "time_encode": Column("float64", "s", "messages to bytes, of the worker that took longest"),
    "time_send": Column("float64", "s", "sending payloads, of the worker that took longest"),
    "time_evaluate": Column("float64", "s", "evaluation of x^k, of the worker that took longest"),
    "time_broadcast": Column("float64", "s", "server: broadcasting x^k"),
    "time_wait": Column("float64", "s", "server: waiting for and receiving payloads and reports"),
    "time_decode": Column("float64", "s", "server: decoding and adding payloads"),
    "time_momentum": Column("float64", "s", "server: the momentum step"),
    "time_record": Column("float64", "s", "server: recording the previous row"),
}


def column(name: str) -> Column:
    """The column of a metric; names nobody described get a plain one.

    Examples
    --------
    >>> column("uplink_bits").unit
    'bit'
    """
    if name in KNOWN:
        return KNOWN[name]
    if adapted := re.fullmatch(r"test_(\w+)_after_(\d+)", name):
        what, steps = adapted.groups()
        words = (
            f"{what} on unseen tasks, each after {steps} steps of adaptation from x^{{k+1}}; NaN where not evaluated"
        )
        return Column("float64", "1", words)
    for prefix, words in (
        ("train_", "mean over nodes, at x^k"),
        ("test_", "evaluation at x^{k+1}; NaN where not done"),
    ):
        if name.startswith(prefix):
            return Column("float64", "1", f"{name.removeprefix(prefix)}: {words}")
    base = name.rstrip("0123456789").rstrip("_")
    return KNOWN.get(base, Column("float64", "1", "statistic of the bias pipeline, mean over nodes"))


def node_column(name: str) -> Column:
    """The column of a metric's per-node rows.

    Examples
    --------
    >>> node_column("train_loss").description
    'train_loss of every node; what /metrics holds is made of these'
    """
    return Column(column(name).dtype, column(name).unit, f"{name} of every node; what /metrics holds is made of these")
