"""The options of `pmom plot`, on real runs."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

import pmom_mpi
from pmom_mpi.analysis import plot
from pmom_mpi.analysis.curves import curves
from pmom_mpi.analysis.thin import thinned
from pmom_mpi.campaign import sweep_file
from pmom_mpi.campaign.opening import open_runs
from pmom_mpi.cli import main
from pmom_mpi.record import choices

BASE = {
    "name": "drawn", "iterations": 6, "step_size": 0.3, "momentum": {"kind": "ema", "beta": 0.5},
    "problem": {"kind": "softmax_regression"}, "data": {"name": "digits", "nodes": 2},
    "gradient": {"batch": 90},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two betas, two step sizes."""
    place = tmp_path_factory.mktemp("drawn")
    for beta in (0.5, 1.0):
        for step in (0.01, 0.3):
            raw = BASE | {"momentum": {"kind": "ema", "beta": beta}, "step_size": step}
            pmom_mpi.run(raw, output=place / f"{beta}-{step}.h5")
    return place


@pytest.fixture
def runs(folder):
    return open_runs(folder)


def drawn(*words: object) -> None:
    done = CliRunner().invoke(main, ["plot", *map(str, words)])
    assert done.exit_code == 0, done.output


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_facet_has_a_panel_a_value_and_its_key_nowhere_else(runs):
    figure = plot.plot(runs.runs, ["train_loss"], ["iteration"], facet="momentum.beta")
    assert [axis.get_title() for axis in figure.axes] == ["beta = 0.5", "beta = 1.0"]
    assert legend(figure) == ["step_size = 0.01", "step_size = 0.3"]
    one, other = ([line.get_color() for line in axis.lines] for axis in figure.axes)
    assert one == other and len(set(one)) == 2
    for axis, run in zip(figure.axes, runs.select({"step_size": 0.3}), strict=True):
        assert axis.lines[1].get_ydata().tolist() == run.metrics["train_loss"].tolist()
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    with pytest.raises(pmom_mpi.UserError, match="no key of these runs"):
        plot.plot(runs.runs, facet="momentum.gamma")


def test_best_leaves_one_value_of_the_key_a_method(folder, runs, tmp_path, monkeypatch):
    best = runs.best("step_size", "train_loss")
    assert len(best) == 2
    for run in best:
        beta = run.config["momentum"]["beta"]
        rivals = runs.select({"momentum.beta": beta})
        assert run.metrics["train_loss"][-1] == min(rival.metrics["train_loss"][-1] for rival in rivals)
    output = tmp_path / "best.svg"
    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")  # letters as letters
    drawn(folder, "-o", output, "--best", "step_size", "-x", "bits")
    text = output.read_text()
    assert "beta = 0.5" in text and "beta = 1.0" in text and "step_size = 0.01" not in text


def test_a_target_is_a_line_and_a_point_where_it_is_reached(runs):
    loss = runs[1].metrics["train_loss"]
    figure = plot.plot(runs.runs[:2], ["train_loss"], ["iteration"], target=("train_loss", float(loss[3])))
    (axis,) = figure.axes
    points = [line for line in axis.lines if line.get_marker() == "o"]
    assert [tuple(map(len, point.get_data())) for point in points] == [(0, 0), (1, 1)]
    assert points[1].get_xdata() == [3] and points[1].get_ydata() == [loss[3]]
    assert any(set(line.get_ydata()) == {loss[3]} and len(line.get_ydata()) == 2 for line in axis.lines)


def test_points_of_a_target_at_one_place_are_all_seen(runs):
    figure = plot.plot(runs.runs, ["train_loss"], ["iteration"], target=("train_loss", 1e9))
    points = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [point.get_xdata().tolist() for point in points] == [[0]] * 4
    sizes = [point.get_markersize() for point in points]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 4


@pytest.mark.parametrize("size, inches", [("one-column", 3.5), ("two-column", 7.16), ("slide", 12.0)])
def test_a_picture_is_as_wide_as_it_says(folder, tmp_path, size, inches):
    folder /= "0.5-0.3.h5"
    drawn(folder, "-o", tmp_path / "x.png", "--size", size, "-m", "train_loss")
    assert imread(tmp_path / "x.png").shape[1] == pytest.approx(300 * inches, abs=1)
    drawn(folder, "-o", tmp_path / "x.pdf", "--size", size, "-m", "train_loss")
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ", (tmp_path / "x.pdf").read_bytes())
    assert float(box[1]) == pytest.approx(72 * inches, abs=0.1)


@pytest.mark.parametrize("size", ["one-column", "two-column"])
def test_nothing_is_cut_at_the_edges(folder, tmp_path, size):
    drawn(folder, "-o", tmp_path / "x.png", "--size", size)
    image = imread(tmp_path / "x.png")
    assert image[:, :2].min() == image[:, -2:].min() == image[:2].min() == image[-2:].min() == 1.0


def test_metrics_against_one_thing_stand_beside_each_other_where_there_is_room(runs):
    wide, narrow = (
        plot.plot(runs.runs, ["train_loss", "train_accuracy"], ["bits"], size=size) for size in ("slide", "one-column")
    )
    assert [axis.get_ylabel() for axis in wide.axes] == ["training loss", "training accuracy"]
    assert [len({axis.get_subplotspec().rowspan.start for axis in one.axes}) for one in (wide, narrow)] == [1, 2]
    assert wide.axes[0].get_ylim() != wide.axes[1].get_ylim()
    assert wide.get_figheight() < wide.get_figwidth()


def test_labels_of_a_logarithmic_axis_are_numbers(runs):
    axis = plot.plot(runs.runs, ["train_loss"], ["bits"], log=True, log_x=True).axes[0]
    axis.set(xlim=(1e5, 1e7), ylim=(0.15, 2.5))
    axis.figure.canvas.draw()
    told = {text.get_text() for text in axis.yaxis.get_ticklabels(which="both")}
    assert {"0.2", "0.5", "1", "2"} <= told and not {"0.3", "0.6"} & told and not any("times" in one for one in told)
    assert "$10^{6}$" in {text.get_text() for text in axis.xaxis.get_ticklabels()}


def test_the_style_file_has_the_last_word(folder, tmp_path):
    style, plain, styled = (tmp_path / name for name in ("own.mplstyle", "plain.svg", "styled.svg"))
    style.write_text("axes.prop_cycle: cycler('color', ['123456', '654321'])\nfigure.facecolor: abcdef\n")
    drawn(folder, "-o", plain, "-x", "iteration", "-m", "train_loss")
    drawn(folder, "-o", styled, "--style", style, "-x", "iteration", "-m", "train_loss")
    assert all(color in styled.read_text() for color in ("#123456", "#654321", "#abcdef"))
    assert not any(color in plain.read_text() for color in ("#123456", "#654321", "#abcdef"))
    style.write_text("lines.linewidth: wide\n")
    done = CliRunner().invoke(main, ["plot", str(folder), "-o", str(plain), "--style", str(style)])
    assert done.exit_code == 2 and f"--style {style}" in done.output


def test_against_epochs(runs):
    figure = plot.plot(runs.runs[:1], ["train_loss"], ["epoch"])
    assert figure.axes[0].get_xlabel() == "epoch"
    assert figure.axes[0].lines[0].get_xdata() == pytest.approx(np.arange(6) / 9)  # 750 samples a node, 90 a batch


@pytest.mark.parametrize("ending, begins", [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_vector_picture_has_its_curves(folder, tmp_path, ending, begins):
    drawn(folder, "-o", tmp_path / f"all.{ending}", "-x", "seconds")
    drawn(folder / "0.5-0.3.h5", "-o", tmp_path / f"one.{ending}", "-x", "seconds")
    whole, one = ((tmp_path / f"{name}.{ending}").read_bytes() for name in ("all", "one"))
    assert whole.startswith(begins) and len(whole) > len(one) > 5000


def test_variants_come_in_the_order_of_the_sweep_file(tmp_path):
    sweep = {
        "name": "tiny", "base": BASE | {"iterations": 2}, "output": str(tmp_path / "out"),
        "variants": {"method": {"plain": None, "aimed": {"bias": [{"kind": "top_k", "k": 9}]}}},
        "grid": {"momentum.beta": [1.0, 0.5]},
    }  # fmt: skip
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(sweep, sort_keys=False))
    for planned in sweep_file.load(path).runs:
        pmom_mpi.run(planned.raw)
    found = [curve.label for curve in curves(open_runs(path).runs)]
    assert found == ["plain, beta = 1.0", "plain, beta = 0.5", "aimed, beta = 1.0", "aimed, beta = 0.5"]


def test_two_sweeps_that_use_one_name_are_told_apart_by_their_folders(tmp_path):
    for place, size in (("first", 0.1), ("second", 0.2)):
        for method, bias in (("plain", []), ("aimed", [{"kind": "top_k", "k": 9}])):
            raw = BASE | {"iterations": 1, "step_size": size, "bias": bias}
            pmom_mpi.run(raw, output=tmp_path / place / f"{method}.h5")
        choices.write(tmp_path / place, {method: {"method": method} for method in ("plain", "aimed")})
    named = ["first: plain", "first: aimed", "second: plain", "second: aimed"]
    assert [curve.label for curve in curves(open_runs(tmp_path).runs)] == named
    assert [curve.label for curve in curves(open_runs(tmp_path / "second").runs)] == ["plain", "aimed"]


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=400), st.integers(1, 50), st.booleans(), st.integers(0, 2**32)
)
def test_a_thinned_curve_has_every_peak(values, bins, log, seed):
    lines = np.array(values)
    places = np.cumsum(np.random.default_rng(seed).random(len(lines)))
    kept = thinned(places, lines, log=log, bins=bins)
    assert (np.diff(kept) > 0).all() and kept[0] == 0 and kept[-1] == len(lines) - 1
    assert lines[kept].min() == lines.min() and lines[kept].max() == lines.max()
    assert len(kept) <= 2 * bins + 2
