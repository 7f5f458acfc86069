"""``pmom reproduce paper``: which runs a figure is of, and what is drawn and said of them."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from pmom_mpi.analysis import beside, published
from pmom_mpi.campaign import paper
from pmom_mpi.campaign.identity import identity
from pmom_mpi.cli import main
from pmom_mpi.runtime import experiment
from pmom_mpi.words.errors import UserError

TINY = {
    "problem": {"kind": "mlp", "hidden": [4]},
    "data": {"name": "digits", "nodes": 2, "limit": 60},
    "bias": [],
}


@pytest.mark.parametrize("what", ["mnist", "fashion"])
def test_every_published_setting_is_in_a_figure_and_goes_by_its_name(what, tmp_path):
    figures = [figure for figure in paper.FIGURES.values() if figure.what == what and figure.published]
    assert len(figures) == 1
    if what == "fashion":  # its network is a PyTorch model
        pytest.importorskip("torch")
    sweep = paper.prepare(figures[0], paper.Part(seeds=[4]), tmp_path)
    length, names = published.FIGURES[what].iterations, published.settings(what=what)
    raws = {name: published.config(name, 4, length, "x.h5", what) for name in names}
    assert {run.identity for run in sweep.runs} == {identity(raw) for raw in raws.values()}
    assert {name: published.setting(raw) for name, raw in raws.items()} == {name: name for name in names}


def made(folder, figure="mnist-0.5", wild=(), **part):
    """The figure with small runs in the places of the real ones; those of ``wild`` seeds come to NaN."""
    sweep = paper.prepare(paper.FIGURES[figure], paper.Part(**part), folder)
    for run in sweep.runs:
        step = 1e39 if run.seed in wild and run.raw["momentum"]["beta"] == 1 else 0.1
        experiment.run(run.raw | TINY | {"step_size": step})
    return paper.beside(paper.FIGURES[figure], sweep)


def test_a_figure_draws_ours_and_the_published_curves_and_says_what_is_not_whole(tmp_path):
    found = made(tmp_path, wild=[1], methods=["top10", "clip1"], betas=[0.1, 1], seeds=[0, 1], iterations=3)
    assert "only the first 3 of 200 iterations, 2 seeds" in found.title and "n = 100" in found.title
    assert [panel.title for panel in found.panels] == ["clipped to 1", "Top-10 %"]
    theirs = found.panels[1].published[0.1]["train_loss"]
    seeds = [published.curve("top_k-67000-beta0.1", seed)["train_loss"][:3] for seed in (0, 1)]
    np.testing.assert_array_equal(theirs.mean, np.mean(seeds, axis=0))
    said = beside.notes(found)
    assert said == [f"{panel.title}, SGD (beta = 1) (1 of 2 seeds diverged)" for panel in found.panels]
    axes = beside.draw(found).axes
    lines = axes[3].lines  # Top-10 %, test accuracy: published SGD and momentum, then ours
    assert [line.get_xdata().tolist() for line in lines] == [[1, 2, 3]] * 4
    np.testing.assert_array_equal(lines[1].get_ydata(), found.panels[1].published[0.1]["test_accuracy"].mean)


def test_ours_stand_alone_where_nothing_was_published_and_missing_runs_are_said(tmp_path):
    figure, part = paper.FIGURES["mnist-0.7"], paper.Part(["none"], [1, 0.1], [0, 3], 2)
    sweep = paper.prepare(figure, part, tmp_path)
    with pytest.raises(UserError, match="no run of mnist-0.7 with these seeds and iterations has begun there"):
        paper.beside(figure, sweep)
    experiment.run(sweep.runs[0].raw | TINY)
    found = paper.beside(figure, sweep)
    assert not found.panels[0].published
    assert beside.notes(found) == [
        "no bias, SGD (beta = 1) (seed 3 missing)",
        "no bias, momentum, beta = 0.1: not run yet",
    ]
    beside.draw(found)


def test_published_bands_leave_out_and_count_what_diverged():
    curves = [published.curve("none-beta1", seed)["train_loss"] for seed in range(5)]
    dead = sum(bool(np.isnan(values).any()) for values in curves)
    found = published.band("none-beta1", "train_loss", range(5))
    assert (found.diverged, found.seeds) == (dead, 5)
    assert (found.low <= found.mean).all() and (found.mean <= found.high).all()
    spread = published.band("none-beta0.1", "test_loss", [0], "fashion", 7)
    np.testing.assert_allclose(spread.high - spread.mean, spread.mean - spread.low)
    assert len(spread.mean) == 7


def test_the_command_lists_and_leaves_nothing_behind(tmp_path):
    def said(*words):
        return CliRunner().invoke(main, ["reproduce", "paper", "-o", str(tmp_path / "out"), *words])

    assert len(said("--list").output.splitlines()) == len(paper.FIGURES)
    done = said("--figure", "mnist-*", "--methods", "top2", "--seeds", "0", "--dry-run")
    assert done.exit_code == 0 and done.output.count("3 runs -> ") == 2 and not (tmp_path / "out").exists()
    for words, line in (
        (["--figure", "cifar"], "--figure cifar: no figure of the paper matches; there are mnist-0.5, mnist-0.7"),
        (["--figure", "mnist-0.5", "--methods", "top3"], "--methods: top3 is not in mnist-0.5, which has none, clip1"),
        (["--betas", "x"], "--betas: 'x' is no list of numbers"),
        (["--figure", "mnist-0.5", "--iterations", "201"], "--iterations: 201 is more than the paper's 200"),
    ):
        done = said(*words)
        assert done.exit_code == 2 and line in done.output


@pytest.mark.slow
@pytest.mark.usefixtures("mnist")
def test_a_figure_from_nothing(tmp_path):
    words = ["reproduce", "paper", "--figure", "mnist-0.5", "--methods", "top10", "--betas", "0.1", "--seeds", "0"]
    words += ["--iterations", "1", "-o", str(tmp_path)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "mnist-0.5.png").exists()
    assert "1 of 1 done (1 before)" in CliRunner().invoke(main, words).output
