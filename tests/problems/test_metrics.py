"""Problems declare what they measure; what is no `Metric` is refused with one line."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import numpy as np
import pytest

from pmom_mpi.problems import metrics
from pmom_mpi.problems.metrics import ACCURACY, LOSS
from pmom_mpi.runtime import setting
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.registry import PROBLEMS
from pmom_mpi.words.report import Metric, Schema, told


@dataclass
class Tiny:
    """f(x) = x^2 / 2 in one dimension, which names its metrics."""

    metrics = ("loss",)
    evaluation = ()

    def setup(self, context):
        self.layout, self.chunks = Layout(("x",), ((1,),)), 0

    def initial_point(self):
        return np.ones(1)

    def gradient(self, x, node, iteration, out):
        out[:] = x
        return (float(0.5 * x @ x),)


@dataclass
class Right(Tiny):
    metrics = (LOSS,)


@dataclass
class Listed(Tiny):
    metrics = [LOSS]


@dataclass
class Nothing(Tiny):
    metrics = ()


@dataclass
class NamesEvaluation(Right):
    evaluation = ("distance",)


def prepare(kind: type):
    return setting.ready(
        {
            "name": "x",
            "output": "x.h5",
            "iterations": 1,
            "step_size": 0.1,
            "nodes": 2,
            "problem": {"kind": f"{__name__}:{kind.__name__}"},
        }
    )


@pytest.mark.parametrize(
    "kind, words",
    [
        (Tiny, r"problem: Tiny.metrics is \('loss',\); it must be a tuple of pmom_mpi.words.report.Metric"),
        (Listed, "problem: Listed.metrics is .*must be a tuple"),
        (Nothing, "problem: Nothing.metrics is empty"),
        (NamesEvaluation, r"problem: NamesEvaluation.evaluation is \('distance',\)"),
    ],
)
def test_names_are_refused_with_one_line(kind, words):
    with pytest.raises(UserError, match=words) as raised:
        prepare(kind)
    assert len(str(raised.value).splitlines()) == 1
    prepare(Right)


@pytest.mark.parametrize("kind", PROBLEMS)
def test_every_problem_declares_a_loss_that_should_fall(kind):
    if kind == "torch":
        pytest.importorskip("torch")
    module, _, name = PROBLEMS[kind].partition(":")
    declared = getattr(getattr(import_module(module), name), "metrics")  # noqa: B009
    if isinstance(declared, property):
        pytest.skip("depends on the config; the type checker sees to it")
    assert all(isinstance(metric, Metric) and metric.description for metric in declared)
    assert declared[0].name == "loss" and declared[0].rises is False


def test_columns_say_where_they_were_measured():
    schema = Schema(
        (LOSS,), (Metric("kept", "coordinates that were sent", "coordinates"),), (LOSS, ACCURACY), point="w"
    )
    named = {column.name: column for column in schema.columns()}
    assert list(named) == ["train_loss", "test_loss", "test_accuracy", "kept"]
    assert named["train_loss"].description == "loss; mean over nodes, at w^k"
    assert "at w^{k+1}" in named["test_loss"].description
    assert [column.role for column in schema.columns()] == ["train", "test", "test", "statistic"]
    assert (named["kept"].unit, named["test_accuracy"].rises) == ("coordinates", True)
    assert [column.name for column in schema.node_columns()] == ["train_loss", "kept"]


@pytest.mark.parametrize(
    "trained, tested, name",
    [
        ((LOSS, ACCURACY), (LOSS, ACCURACY), "test_accuracy"),
        ((LOSS, metrics.SUBOPTIMALITY), (LOSS,), "train_suboptimality"),
        ((LOSS, metrics.SUBOPTIMALITY), (LOSS, ACCURACY), "test_accuracy"),
        (
            (LOSS,),
            tuple(metrics.after(kind, k) for kind in (LOSS, ACCURACY) for k in (0, 1, 5)),
            "test_accuracy_after_1",
        ),
        ((LOSS,), (LOSS, Metric("speed", "speed")), "test_speed"),
    ],
)
def test_what_is_told_first(trained, tested, name):
    assert told(Schema(trained, (), tested).columns())[0].name == name
