"""Rewards to go and their baselines, against their definition."""

import numpy as np
import pytest

from pmom_mpi.kernels.returns import MEAN_BASELINE, NO_BASELINE, TIME_BASELINE, advantages


@pytest.mark.parametrize("baseline", [NO_BASELINE, MEAN_BASELINE, TIME_BASELINE])
@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_advantages_are_what_they_say(baseline, discount):
    rewards = np.random.default_rng(0).standard_normal((5, 7))
    out = np.empty_like(rewards)
    advantages(rewards, discount, baseline, out)
    to_go = np.array([[sum(discount ** (s - t) * row[s] for s in range(t, 7)) for t in range(7)] for row in rewards])
    for e in range(5):
        others = np.delete(to_go, e, axis=0).mean(axis=0)
        expected = to_go[e] - {NO_BASELINE: 0, MEAN_BASELINE: others[0], TIME_BASELINE: others}[baseline]
        assert np.allclose(out[e], expected, rtol=1e-13, atol=1e-13)
