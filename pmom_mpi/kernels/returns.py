"""What a policy gradient weighs its scores with: rewards to go, less a baseline."""

from __future__ import annotations

from numba import njit

NO_BASELINE, MEAN_BASELINE, TIME_BASELINE = 0, 1, 2


@njit(cache=True)
def advantages(rewards, discount, baseline, out):
    """out[e, t] = G[e, t] - b[e, t] with rewards to go G[e, t] = sum_{s >= t} discount**(s - t) rewards[e, s].

    The baseline of an episode is made of the *other* episodes, so it adds no bias whatever their number (Kool, van
    Hoof, Welling 2019, "Buy 4 REINFORCE samples, get a baseline for free!"): the mean of their G[., 0] for
    ``MEAN_BASELINE``, the mean of their G[., t] for ``TIME_BASELINE``, where an episode that is over counts as 0.

    Parameters
    ----------
    rewards : ndarray of float64, shape (episodes, horizon)
        0 after an episode's end.
    discount : float
    baseline : int
        One of the constants above; all but ``NO_BASELINE`` need two episodes.
    out : ndarray of float64, shape (episodes, horizon)
    """
    episodes, horizon = rewards.shape
    for e in range(episodes):
        to_go = 0.0
        for t in range(horizon - 1, -1, -1):
            to_go = rewards[e, t] + discount * to_go
            out[e, t] = to_go
    if baseline == NO_BASELINE:
        return
    whole = 0.0
    for e in range(episodes):
        whole += out[e, 0]
    for t in range(horizon - 1, -1, -1):  # column 0 last: MEAN_BASELINE reads it
        total = 0.0
        for e in range(episodes):
            total += out[e, t]
        for e in range(episodes):
            if baseline == TIME_BASELINE:
                others = total - out[e, t]
            else:
                others = whole - out[e, 0]
            out[e, t] -= others / (episodes - 1)
