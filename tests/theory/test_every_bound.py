"""Without noise: random problems under each bias whose class is known, any beta and step size; nothing is violated."""

from __future__ import annotations

import numpy as np
import pytest

from pmom_mpi.theory import nonconvex, pl
from pmom_mpi.words.errors import UserError

from .noisy import ITERATIONS, Quadratics, Trial

K = np.arange(1, ITERATIONS + 1)


@pytest.mark.parametrize("count", [60, pytest.param(660, marks=pytest.mark.slow)])
def test_neither_certificate_nor_bound_is_violated(count):
    """Quadratics, logistic regression, the same with a regulariser that is not convex, in turn."""
    bounds, certificates, linear = [], [], []
    for seed in range(count):
        trial = Trial(seed, sigma2=0.0)
        runs = trial.runs
        gradients, biases, values = runs.gradients[0], runs.biases[0], runs.values[0]
        B, C = trial.known
        assert (biases <= (B * gradients + C) * (1 + 1e-9) + 1e-20).all()
        averages = np.cumsum(gradients) / K
        bounds.append((averages / nonconvex.bound(K, **trial.start, B=B, C=C, **trial.method)).max())
        certified = nonconvex.certificate(values, biases, **trial.method)
        certificates.append(((averages - 1e-12) / certified).max())
        if isinstance(trial.f, Quadratics):
            try:
                promised = pl.bound(K, **trial.start, B=B, C=C, pl=trial.f.pl, **trial.method)
            except UserError:  # the step size leaves no room for a rate
                continue
            linear.append(((values[1:] - trial.f.minimum) / promised).max())
    for name, ratios in (("bound", bounds), ("certificate", certificates), ("PL bound", linear)):
        print(
            f"{name} of {len(ratios)}: measured / promised, median {np.median(ratios):.3f}, largest {max(ratios):.3f}"
        )
        assert max(ratios) <= 1 + 1e-9
        assert np.median(ratios) > 0.01
