"""Tables and pictures of real run files, and the published curves."""

from __future__ import annotations

import fcntl
import io
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from pmom_mpi import config as configs
from pmom_mpi.analysis import plot, published, read, show
from pmom_mpi.cli import main
from pmom_mpi.runtime import experiment
from pmom_mpi.words.errors import UserError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two seeds of one config, and another config; iterations few, evaluation every second."""
    folder = tmp_path_factory.mktemp("runs")
    raw = {
        "name": "small", "iterations": 5, "step_size": 0.3, "momentum": {"kind": "ema", "beta": 0.5},
        "problem": {"kind": "softmax_regression"}, "data": {"name": "digits", "nodes": 4}, "evaluate": {"every": 2},
        "bias": [{"kind": "top_k", "fraction": 0.2}],
    }  # fmt: skip
    changes = {"a0": {"seed": 0}, "a1": {"seed": 1}, "b": {"bias": [{"kind": "clip_norm", "tau": 0.1}]}}
    for name, change in changes.items():
        experiment.run(raw | change, output=folder / f"{name}.h5")
    return [folder / f"{name}.h5" for name in changes]


def test_show_names_what_matters(files):
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(show.render(read.load(files[0]), everything=True))
    text = console.export_text()
    for words in ("small", "finished, 5 of 5", "top_k", "uplink", "slowest worker: gradient", "/metrics", "bit"):
        assert words in text


def test_a_run_file_is_read_without_a_lock(files):
    """As on file systems that have none."""
    with open(files[0], "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert read.load(files[0]).iterations == 5 and np.isfinite(read.load(files[0]).model()).all()


def test_bits_are_the_bytes_of_the_payloads(files):
    run = read.load(files[2])
    dense = 32 * 650  # softmax regression of 64 features and 10 classes, in float32
    assert ((run.metrics["uplink_bits"] >= 4 * dense) & (run.metrics["uplink_bits"] < 4 * dense * 1.02)).all()
    assert (run.metrics["downlink_bits"] == dense).all()
    assert np.isfinite(run.metrics["test_loss"]).tolist() == [False, True, False, True, True]


def test_seeds_of_one_config_are_one_curve(files):
    curves = plot._curves([read.load(file) for file in files])
    assert [len(curve.runs) for curve in curves] == [2, 1]
    assert "2 seeds" in curves[0].label and "top_k" in curves[0].label


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_plot_writes_a_picture(files, tmp_path, ending):
    output = tmp_path / "new" / f"curves.{ending}"
    done = CliRunner().invoke(main, ["plot", *map(str, files), "-o", str(output)])
    assert done.exit_code == 0, done.output
    assert output.stat().st_size > 5000


def test_plot_draws_the_metrics_asked_for(files, tmp_path):
    """Every metric is a row of the picture, so more of them make it higher."""
    from matplotlib.image import imread

    heights = []
    for metrics in (["kept"], ["kept", "test_loss", "time_send"]):
        output = tmp_path / f"{len(metrics)}.png"
        options = [option for name in metrics for option in ("-m", name)]
        done = CliRunner().invoke(main, ["plot", str(files[0]), *options, "--log", "-o", str(output)])
        assert done.exit_code == 0, done.output
        heights.append(imread(output).shape[0])
    assert heights[1] > 2 * heights[0]
    done = CliRunner().invoke(main, ["plot", *map(str, files), "-m", "clip_active", "-o", str(tmp_path / "x.png")])
    assert done.exit_code == 2 and "clip_active: not a metric of all these runs" in done.output


def test_what_falls_far_has_a_logarithmic_axis(files):
    run = read.load(files[0])
    for name, values, scale in (
        ("train_suboptimality", np.geomspace(1, 1e-6, 5), "log"),
        ("test_loss_after_1", np.geomspace(4, 0.1, 5), "log"),
        ("train_loss", np.linspace(2, 1, 5), "linear"),
        ("train_loss", np.linspace(2, -1, 5), "linear"),
        ("test_accuracy_after_1", np.geomspace(0.01, 1, 5), "linear"),
    ):
        run.metrics[name] = values
        _, axis = plt.subplots()
        plot._dress(axis, name, "iteration", [run])
        assert axis.get_yscale() == scale, name
        plt.close()


def test_a_run_without_accuracy_shows_what_it_has(tmp_path):
    raw = {"name": "sines", "iterations": 4, "step_size": 0.01, "nodes": 2, "evaluate": {"every": 2}}
    problem = {"kind": "maml_sines", "tasks": 2, "evaluation_tasks": 10}
    experiment.run(raw | {"problem": problem}, output=tmp_path / "sines.h5")
    run = read.load(tmp_path / "sines.h5")
    assert plot._metrics([run], ()) == ["train_loss", "test_loss_after_1"]
    assert "after 1 steps of adaptation" in run.descriptions["test_loss_after_1"]
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(show.render(run))
    assert "test_loss_after_10" in console.export_text()
    output = tmp_path / "sines.png"
    assert CliRunner().invoke(main, ["plot", str(run.path), "-o", str(output)]).exit_code == 0
    assert output.stat().st_size > 5000


def test_plot_says_what_it_cannot_write(files, tmp_path):
    done = CliRunner().invoke(main, ["plot", str(files[0]), "-o", str(tmp_path / "x.nonsense")])
    assert done.exit_code == 2
    assert "nonsense" in done.output and "Traceback" not in done.output


def test_published_settings_and_curves():
    assert len(published.settings()) == 24
    curve = published.curve("top_k-67000-beta0.1", 0)
    assert curve["train_loss"].shape == (200,)
    assert curve["train_loss"][0] == pytest.approx(2.3009, abs=1e-3)
    with pytest.raises(UserError, match="no published setting"):
        published.settings(["top_q*"])


@pytest.mark.parametrize("setting", published.settings())
def test_a_published_setting_is_a_valid_config(setting):
    checked = configs.from_raw(published.config(setting, 3, 10, "x.h5"))
    assert (checked.seed, checked.nodes, checked.iterations) == (3, 100, 10)


def test_deviation_is_the_largest_difference():
    curve = published.curve("none-beta1", 2)
    ours = {name: values[:50].copy() for name, values in curve.items()}
    assert max(published.deviation(ours, "none-beta1", 2).values()) == 0
    ours["train_loss"][30] += 0.25
    assert published.deviation(ours, "none-beta1", 2)["train_loss"] == pytest.approx(0.25)
    ours["train_loss"][3] = np.nan
    assert published.deviation(ours, "none-beta1", 2)["train_loss"] == np.inf


def test_fashion_curves_are_means_and_deviations_are_in_standard_deviations():
    assert len(published.settings(what="fashion")) == 40
    curve = published.curve("clip_norm-1-beta0.1", 0, "fashion")
    assert set(curve) == {"train_loss", "train_accuracy", "test_loss", "test_accuracy"}
    assert curve["train_loss"].shape == (300,) and curve["train_loss"][0] == pytest.approx(2.548266)
    ours = {name: values[:5].copy() for name, values in curve.items()}
    ours["train_loss"][0] += 2 * 0.09762444
    away = published.deviation(ours, "clip_norm-1-beta0.1", 0, "fashion")
    assert away["train_loss"] == pytest.approx(2) and away["test_loss"] == 0


@pytest.mark.parametrize("method", ["none", "clip_norm-1", "normalize", "top_k-111816", "top_k-1118164"])
def test_fashion_configs_are_those_of_the_published_settings(method):
    pytest.importorskip("torch")
    folder = Path(__file__).parents[2] / "configs" / "paper"
    names = {
        "none": "none", "clip_norm-1": "clip1", "normalize": "normalize", "top_k-111816": "top1",
        "top_k-1118164": "top10",
    }  # fmt: skip
    raw = published.config(f"{method}-beta0.1", 0, 300, "x.h5", "fashion")
    ours = configs.load(folder / f"fashion-resnet18-{names[method]}.yaml")
    made = [configs.from_raw(config | {"output": "x.h5", "name": "x"}) for config in (raw, ours)]
    for key in ("step_size", "momentum", "problem", "data", "gradient"):
        assert getattr(made[0], key) == getattr(made[1], key), key
    assert [stage for stage in made[0].bias if type(stage).__name__ != "Identity"] == list(made[1].bias)
