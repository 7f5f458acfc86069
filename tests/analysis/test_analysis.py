"""Tables and pictures of real run files, and the published curves."""

from __future__ import annotations

import fcntl
import io
import json
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pmom_mpi import config as configs
from pmom_mpi.analysis import bands, curves, plot, published, read, show, summary
from pmom_mpi.analysis.places import AXES
from pmom_mpi.cli import main
from pmom_mpi.commands.tables import on_terminal
from pmom_mpi.record.checkpoint import generations
from pmom_mpi.runtime import experiment
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.report import Metric


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


def shown(run, *options, width=140):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(on_terminal(show.show(run, *options)))
    return console.export_text()


def test_show_names_what_matters(files):
    text = shown(read.load(files[0]), True)
    for words in ("small", "finished, 5 of 5", "top_k", "counted once", "a copy a node (x 4)", "slowest worker",
                  "median ms", "/metrics", "bit"):  # fmt: skip
        assert words in text


def test_a_run_that_ended_too_early_says_how_it_goes_on(tmp_path):
    """A killed and an interrupted run, with and without a checkpoint, and one whose newest checkpoint is damaged."""
    raw = {
        "name": "early", "iterations": 7, "step_size": 0.1, "problem": {"kind": "softmax_regression"},
        "data": {"name": "digits", "nodes": 2}, "checkpoint": {"every": 3},
    }  # fmt: skip
    path = tmp_path / "an early run.h5"
    experiment.run(raw, output=path)
    assert "pmom resume" not in shown(read.load(path))
    for status, words in (("interrupted", "interrupted, 7 of 7"), ("running", "killed after 7 of 7")):
        with h5py.File(path, "r+") as file:
            file.attrs["status"] = status
        text = shown(read.load(path), width=250)
        assert words in text and f"pmom resume '{path}'  (from iteration 7)" in text
    newest, *_ = generations(path)
    newest.write_bytes(b"")
    assert "(from iteration 6; newer ones passed over: 1)" in shown(read.load(path), width=250)
    for file in generations(path):
        file.unlink()
    assert f"pmom resume '{path}'  (no checkpoint: starts again)" in shown(read.load(path), width=250)


def test_what_is_shown_fits_80_columns(files):
    run = read.load(files[0])
    text = shown(run, width=80)
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    for name in run.described:
        if not name.startswith("time_") and not name.endswith("_bits") and name != "iteration":
            assert name in text


def test_shares_of_the_servers_time_add_up(files):
    found = summary.server(read.load(files[0]))
    assert list(found) == ["broadcast", "wait", "decode", "momentum", "record", "other"]
    assert sum(station["share"] for station in found.values()) == pytest.approx(1)
    written = summary.percent([station["share"] for station in found.values()])
    assert sum(Decimal(text.removesuffix(" %")) for text in written) == 100


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(lambda parts: sum(parts) > 1e-6))
def test_percent_adds_up_to_a_hundred(parts):
    written = summary.percent([part / sum(parts) for part in parts])
    assert sum(Decimal(text.removesuffix(" %")) for text in written) == 100


def test_traffic_counts_the_broadcast_in_both_ways(files):
    run = read.load(files[0])
    found = summary.traffic(run)
    assert found["down_copies"] == 4 * found["down_once"] == 4 * 5 * 2600
    assert found["both_once"] == found["up"] + found["down_once"]
    assert found["both_copies"] == found["up"] + found["down_copies"]
    assert found["up"] == run.metrics["uplink_bits"].sum() / 8


def test_every_worker_is_shown_where_the_file_has_them(files):
    seconds = np.array([[1.0, 3.0], [2.0, 5.0], [1.0, 3.0], [1.0, 3.0], [9.0, 3.0]])
    run = replace(read.load(files[0]), workers={"gradient": seconds})
    assert summary.workers(run) == {"gradient": {"min": 1, "mean": 2, "max": 3, "slowest": 2}}
    assert "slowest rank" in shown(run) and "2000.000" in shown(run)


def test_show_as_json(files):
    one = CliRunner().invoke(main, ["show", "--json", str(files[0])])
    found = json.loads(one.output, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (found["status"], found["iterations"], found["facts"]["dimension"]) == ("finished", 5, 650)
    assert found["results"]["test_accuracy"]["better"] == "higher"
    assert found["facts"]["link_bytes_per_second"] is None  # one process
    assert found["results"]["train_loss"]["last"] == read.load(files[0]).metrics["train_loss"][-1]
    both = CliRunner().invoke(main, ["show", "--json", *map(str, files[:2])])
    assert [run["path"] for run in json.loads(both.output)] == [str(file) for file in files[:2]]


def test_several_runs_are_a_line_each(files):
    done = CliRunner().invoke(main, ["show", *map(str, files)])
    lines = [line for line in done.output.splitlines() if "finished 5/5" in line]
    assert [line.split()[0] for line in lines] == ["a0", "a1", "b"]
    assert "test accuracy" in done.output


def test_the_verdict_is_given_where_asked_for_or_where_compression_does_not_pay(files):
    run = read.load(files[0])
    run.facts["link_bytes_per_second"] = 1.0  # a byte a second: whatever saves bytes saves time
    assert "pays on" not in shown(run) and "pays on" in shown(run, False, True)
    run.facts["link_bytes_per_second"] = 1e15
    run.facts["dense_seconds"] = 0.0
    assert "pays on links slower than" in shown(run) and "costs" in shown(run)
    dense = read.load(files[2])
    assert "pays on" not in shown(dense), "nothing was compressed"


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
    found = curves.curves([read.load(file) for file in files])
    assert [len(curve.runs) for curve in found] == [1, 2]
    assert found[1].title == "top_k (fraction 0.2) (2 seeds)" and found[0].title == "clip_norm (tau 0.1)"


def variants(files, changes):
    """The first run, with other keys in its config."""
    run = read.load(files[0])
    return [replace(run, config=run.config | change) for change in changes]


def test_a_diverged_seed_is_said_and_left_out(files):
    runs = variants(files, [{"seed": seed} for seed in range(3)])
    broken = dict(runs[1].metrics, train_loss=np.array([1.0, 1e9, 1e99, np.inf, np.nan]))
    runs[1] = replace(runs[1], status="diverged", metrics=broken)
    (curve,) = curves.curves(runs)
    assert "1 of 3 seeds diverged" in curve.title
    found = bands.band(curve, "train_loss", "iteration")
    assert found.values.shape == (2, 5) and found.high.max() < 3 and found.alive.tolist() == [2] * 5
    alone = curves.curves([runs[1]])[0]
    assert alone.title.endswith("(diverged)") and bands.band(alone, "train_loss", "bits").values.shape == (1, 3)
    assert plot.plot(runs) and plot.plot([runs[1]])


def test_a_short_seed_shortens_nobody(files):
    runs = variants(files, [{"seed": seed} for seed in range(3)])
    runs[2] = replace(runs[2], metrics={name: values[:2] for name, values in runs[2].metrics.items()})
    (curve,) = curves.curves(runs)
    assert "1 short: 2 of 5 iterations" in curve.title
    for kind in AXES:
        found = bands.band(curve, "train_loss", kind)
        assert (np.diff(found.places) > 0).all() and found.alive[0] == 3 and found.alive[-1] == 2, kind
    line = plot.plot(runs, ["train_loss"], ["iteration"]).axes[0].lines[0]
    assert line.get_xdata().tolist() == [0, 1, 2, 3, 4]


def test_a_missing_seed_is_said(files):
    runs = variants(files, [
        {"seed": seed, "step_size": step} for step in (0.1, 0.3) for seed in range(3) if (step, seed) != (0.3, 1)
    ])  # fmt: skip
    assert [curve.title for curve in curves.curves(runs)] == [
        "step_size = 0.1 (3 seeds)", "step_size = 0.3 (2 seeds; seed 1 missing)",
    ]  # fmt: skip


def test_a_single_run_of_another_seed_makes_none_missing(files):
    runs = variants(files, [{"seed": seed, "step_size": step} for step in (0.1, 0.3) for seed in range(2)])
    runs += variants(files, [{"seed": 7, "step_size": 0.5}])
    assert [curve.title for curve in curves.curves(runs)] == [
        "step_size = 0.1 (2 seeds)", "step_size = 0.3 (2 seeds)", "step_size = 0.5",
    ]  # fmt: skip


def test_colour_is_the_method_and_line_style_the_other_key(files):
    changes = [
        {"bias": [{"kind": "top_k", "fraction": fraction}], "step_size": step}
        for fraction in (0.1, 0.02) for step in (10, 2, 0.3)
    ]  # fmt: skip
    found = curves.curves(variants(files, changes))
    looks = {curve.label: curve.look for curve in found}
    assert list(looks)[:3] == [f"top_k (fraction 0.02), step_size = {step}" for step in (0.3, 2, 10)]
    assert len({look.color for look in list(looks.values())[:3]}) == 1
    assert len({look.color for look in looks.values()}) == 2
    dashes = [look.dashes for look in looks.values()]
    assert dashes[:3] == dashes[3:]
    assert len({(look.color, str(look.dashes)) for look in looks.values()}) == 6


@pytest.mark.parametrize("count", [8, 60])
def test_no_two_curves_look_alike(files, count):
    found = curves.curves(variants(files, [{"step_size": 0.01 * (k + 1)} for k in range(count)]))
    assert len({(curve.look.color, str(curve.look.dashes), curve.look.marker) for curve in found}) == count


def test_axes_are_chosen_and_have_units(files):
    figure = plot.plot([read.load(files[0])], ["train_loss", "time_total"], ["bits", "seconds"], log_x=True)
    assert [axis.get_xlabel() for axis in figure.axes[:2]] == ["sent, uplink and downlink [bit]", "wall time [s]"]
    assert [axis.get_ylabel() for axis in figure.axes[::2]] == ["training loss", "time total [s]"]
    assert {axis.get_xscale() for axis in figure.axes} == {"log"}


def test_the_name_that_was_written_is_printed(files, tmp_path):
    done = CliRunner().invoke(main, ["plot", str(files[0]), "-x", "uplink", "-o", str(tmp_path / "curves")])
    assert done.output == f"{tmp_path / 'curves.png'}\n" and (tmp_path / "curves.png").stat().st_size > 5000


PURE = """
import sys
from pmom_mpi.analysis import plot, read, style
style.save(plot.plot([read.load(sys.argv[1])]), sys.argv[2])
assert "matplotlib.pyplot" not in sys.modules
"""


def test_nobody_is_forced_into_pyplot(files, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PURE, str(files[0]), str(tmp_path / "x.pdf")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


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
        run = replace(run, metrics={**run.metrics, name: values})
        run.described[name] = Metric(name, "", rises="accuracy" in name, role="train")
        assert plot.plot([run], [name], ["iteration"]).axes[0].get_yscale() == scale, name


def test_a_run_without_accuracy_shows_what_it_has(tmp_path):
    raw = {"name": "sines", "iterations": 4, "step_size": 0.01, "nodes": 2, "evaluate": {"every": 2}}
    problem = {"kind": "maml_sines", "tasks": 2, "evaluation_tasks": 10}
    experiment.run(raw | {"problem": problem}, output=tmp_path / "sines.h5")
    run = read.load(tmp_path / "sines.h5")
    assert plot._metrics([run], ()) == ["train_loss", "test_loss_after_1"]
    assert "after 1 steps of adaptation" in run.described["test_loss_after_1"].description
    assert "test_loss_after_10" in shown(run)
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
    assert made[0].make_problem() == made[1].make_problem()
    for key in ("step_size", "momentum", "data", "gradient"):
        assert getattr(made[0], key) == getattr(made[1], key), key
    assert [stage for stage in made[0].bias if type(stage).__name__ != "Identity"] == list(made[1].bias)
