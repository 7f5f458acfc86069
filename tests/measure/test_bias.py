"""What `pmom bias` measures, against operators whose bias is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console

from pmom_mpi.cli import main
from pmom_mpi.measure.bias import measure, render

CONFIG = {
    "name": "measured", "iterations": 5, "step_size": 0.5, "problem": {"kind": "mlp", "hidden": [16]},
    "data": {"name": "digits", "nodes": 3},
}  # fmt: skip


def only(bias, **options):
    *_, found = measure(CONFIG | {"bias": bias}, **options)
    return found


def test_halving_is_found_in_every_column():
    found = only([{"kind": "normalize", "scope": "global"}, {"kind": "clip_norm", "tau": 0.5}], iterations=2)
    assert found.label == "normalize global + clip_norm tau 0.5" and found.kind == "composition"
    assert np.allclose(found.cosines, 1) and found.noises == [0, 0, 0]
    np.testing.assert_allclose(found.biases, np.sqrt(found.errors))


def test_unbiased_operators_show_no_more_than_their_noise_and_biased_ones_do():
    unbiased, biased = ({"kind": "rand_k", "fraction": 0.1, "scale": scale} for scale in ("unbiased", "biased"))
    found = only([unbiased], repetitions=200)
    assert (np.array(found.biases) < 1.25 * np.array(found.noises)).all()
    assert np.mean(found.errors) == pytest.approx(9, rel=0.1)
    found = only([biased], repetitions=200)
    np.testing.assert_allclose(found.biases, 0.9, atol=0.02)
    assert np.mean(found.errors) == pytest.approx(0.9, rel=0.02)


def test_stages_are_measured_alone_and_together_and_memories_are_forgotten():
    found = measure(CONFIG | {"bias": [{"kind": "ef21"}, {"kind": "top_k", "fraction": 0.1}]}, nodes=2)
    assert [row.label for row in found] == ["top_k 10 %", "ef21 + top_k 10 %"]
    assert found[0].errors == found[1].errors and len(found[0].errors) == 2


def test_iterations_move_the_point():
    start, later = (only([{"kind": "top_k", "fraction": 0.1}], iterations=k) for k in (0, 5))
    assert start.errors != later.errors


class TestBrokenPromises:
    """Of tests/check's operators, on real gradients."""

    @pytest.fixture(autouse=True)
    def own(self, monkeypatch):
        monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "check"))

    @pytest.mark.parametrize(
        "name, said",
        [
            ("SmallestK", "an error of 1 where theory allows"),
            ("TooSteady", "where theory allows"),
            ("LeansABit", "from g, and it is to be unbiased"),
        ],
    )
    def test_are_marked(self, name, said):
        keys = {"k": 300} if name != "LeansABit" else {"k": 1000}
        assert said in only([{"kind": f"broken_operators:{name}"} | keys], repetitions=400, nodes=2).broken

    @pytest.mark.parametrize("name", ["Right", "RightRandom", "RightUnbiased"])
    def test_are_not_found_where_there_are_none(self, name):
        assert only([{"kind": f"broken_operators:{name}", "k": 300}], repetitions=400, nodes=2).broken == ""

    def test_are_said_in_the_table_below_it_and_in_json(self, tmp_path):
        path = tmp_path / "measured.yaml"
        path.write_text(yaml.safe_dump(CONFIG))
        words = ["bias", str(path), "-s", "bias={kind: 'broken_operators:SmallestK', k: 300}"]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        lines = [line for line in done.output.splitlines() if "! broken_operators:SmallestK" in line]
        assert len(lines) == 2 and "an error of 1 where theory allows" in lines[1]
        (found,) = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
        assert "where theory allows" in found["broken"]
        console = Console(force_terminal=True, width=140, color_system="standard")
        with console.capture() as capture:
            console.print(render(measure(CONFIG | {"bias": [{"kind": "broken_operators:SmallestK", "k": 300}]})))
        assert capture.get().count("\x1b[1;31m! broken_operators:SmallestK") == 2


def test_no_built_in_operator_breaks_its_promise_on_real_gradients():
    broken = [row for k in (0, 20) for row in measure(CONFIG, everything=True, iterations=k, nodes=2) if row.broken]
    assert broken == []


def test_the_commands_print(tmp_path, monkeypatch):
    path = tmp_path / "measured.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    done = CliRunner().invoke(main, ["bias", str(path), "-s", "bias={kind: scaled_sign}", "--iterations", "2"])
    assert done.exit_code == 0, done.output
    assert "scaled_sign" in done.output and "contractive" in done.output
    done = CliRunner().invoke(main, ["bias", str(path), "-s", "bias={kind: scaled_sine}"])
    assert done.exit_code == 2 and "did you mean 'scaled_sign'" in done.output
    done = CliRunner().invoke(main, ["bench", "operators", "--size", "4096", "--repeats", "1", "--link", "1"])
    assert done.exit_code == 0, done.output
    for words in ("d = 4,096", "1 Gbit/s", "power_sgd rank 2", "terngrad", "copy"):
        assert words in done.output
    monkeypatch.setattr("pmom_mpi.commands.bench.SIZES", (2048,))
    assert "d = 2,048" in CliRunner().invoke(main, ["bench", "operators", "--repeats", "1"]).output
