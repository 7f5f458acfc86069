"""MNIST, Top-10 %, shrunk: no L is known, so nothing is promised, and the advice does not diverge."""

from __future__ import annotations

import numpy as np
import pytest

from pmom_mpi.analysis import read
from pmom_mpi.analysis.bounds import diagnosed
from pmom_mpi.measure.advise import advise
from pmom_mpi.runtime.experiment import run
from pmom_mpi.theory.live import examine

CONFIG = "configs/paper/mnist-top10.yaml"
SMALL = [
    "data.nodes=20", "iterations=8", "problem.hidden=[16]", "bias=[{kind: top_k, fraction: 0.1}]", "evaluate.every=0",
]  # fmt: skip


pytestmark = pytest.mark.usefixtures("mnist")


def test_without_L_nothing_is_promised(tmp_path):
    run(CONFIG, [*SMALL, "step_size=0.001", "diagnostics.every=1"], output=tmp_path / "run.h5")
    seen = diagnosed(read.load(tmp_path / "run.h5"))
    assert seen.smoothness is None and seen.complete
    promise = examine(seen)
    assert promise.estimated and promise.smoothness == pytest.approx(np.nanmax(seen.seen()))
    states = {verdict.name: verdict.state for verdict in promise.verdicts}
    assert promise.certificate is not None and np.isfinite(promise.certificate).all()
    for name in ("A2: f is L-smooth", "step size", "certificate", "a-priori bound"):
        assert states[name] == "unknown", (name, states)
    assert (promise.averages[: len(promise.certificate)] <= promise.certificate).all()  # it would hold


@pytest.mark.slow
def test_the_advice_does_not_diverge_and_is_within_4_times_the_best_of_a_grid(tmp_path):
    found = advise(CONFIG, SMALL)
    assert found.estimated and found.step_size > 0

    def ends(step_size):
        ended = run(
            CONFIG, [*SMALL, f"step_size={step_size!r}", "diagnostics.every=1"], output=tmp_path / "run.h5",
            overwrite=True,
        )  # fmt: skip
        values = read.load(tmp_path / "run.h5").metrics["diag_value"]
        return float(values[-1]) if ended.status == "finished" and values[-1] <= values[0] else np.inf

    mine = ends(found.step_size)
    assert np.isfinite(mine) and mine <= 4 * min(ends(found.step_size * 4.0**power) for power in (-1, 1))
