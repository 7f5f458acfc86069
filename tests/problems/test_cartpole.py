"""CartPole: the physics against Gymnasium, the policy gradient against differences, and what its bias does."""

import itertools

import numpy as np
import pytest

from pmom_mpi.kernels.cartpole import BODY, advance, rollouts
from pmom_mpi.kernels.policy import logit, logit_gradients
from pmom_mpi.problems.cartpole import EPISODE, CartPole
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.registry import construct
from pmom_mpi.words.streams import Stream, key

SCALES = np.array([2.4, 1.0, 12 * np.pi / 180, 1.0])


def ready(problem, context):
    problem.setup(context)
    return problem


def random_policy(problem, seed=0):
    x = 0.5 * np.random.default_rng(seed).standard_normal(problem.layout.dimension)
    return x, tuple(problem.layout.views(x))


def right(policy, state):
    """P(push to the right)."""
    weight1, bias1, weight2, bias2 = policy
    return 1 / (1 + np.exp(-(weight2 @ np.tanh(weight1 @ (state / SCALES) + bias1) + bias2)[0]))


@pytest.mark.parametrize("body", [BODY, (0.7, 0.2, 0.8, 8.0)], ids=["v1", "another"])
def test_steps_are_those_of_gymnasium(body):
    """Whole episodes, of a controller that balances for a while, from the states that Gymnasium starts in."""
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make("CartPole-v1")
    inner = env.unwrapped
    inner.length, inner.masspole, inner.masscart, inner.force_mag = body
    inner.total_mass, inner.polemass_length = inner.masspole + inner.masscart, inner.masspole * inner.length
    rng, lengths = np.random.default_rng(0), []
    for seed in range(20):
        env.reset(seed=seed)
        steps, ended = 0, False
        assert np.abs(inner.state).max() <= 0.05
        while not ended:
            state = np.array(inner.state)
            wanted = state @ (0.1, 0.5, 10, 2) > 0 if rng.random() < (0.9, 0.3)[seed % 2] else rng.random() < 0.5
            _, reward, fallen, over, _ = env.step(int(wanted))
            inside = advance(state, wanted, np.array(body))
            assert reward == 1 and inside == (not fallen)
            assert np.allclose(state, inner.state, rtol=1e-14, atol=1e-14)
            steps, ended = steps + 1, fallen or over
        assert fallen or steps == EPISODE
        lengths.append(steps)
    assert min(lengths) < EPISODE == max(lengths)


def test_rollouts_are_episodes_of_the_policy(make_context):
    """Every recorded input follows from the one before by the action taken; actions come as often as they should."""
    problem = ready(CartPole(hidden=5), make_context(None))
    _, policy = random_policy(problem)
    inputs, surprises, rewards = np.empty((200, 12, 4)), np.empty((200, 12)), np.empty((200, 12))
    body = np.array(BODY)
    cut = rollouts(key(0, Stream.ROLLOUT), body, policy, inputs, surprises, rewards)
    lengths, falls, expected, actions = rewards.sum(axis=1).astype(int), 0, 0.0, 0
    for e, length in enumerate(lengths):
        assert (rewards[e, :length] == 1).all() and not rewards[e, length:].any() and not surprises[e, length:].any()
        state = inputs[e, 0] * SCALES
        assert np.abs(state).max() <= 0.05
        for t in range(length):
            assert np.allclose(inputs[e, t] * SCALES, state, rtol=1e-12, atol=1e-13)
            chance = right(policy, state)
            action = surprises[e, t] > 0
            assert surprises[e, t] == pytest.approx(action - chance, abs=1e-12)
            expected, actions = expected + chance, actions + action
            inside = advance(state, action, body)
            assert inside or t == length - 1
        falls += not inside
    assert cut == 200 - falls and 0 < cut < 200
    assert abs(actions - expected) < 4 * np.sqrt(lengths.sum() / 4)
    assert len({tuple(start) for start in inputs[:, 0]}) == 200


def test_gradient_of_the_surrogate(make_context):
    """With episodes held fixed the estimate is the gradient of -mean_e sum_t A log P(a_t | s_t), by differences."""
    problem = ready(CartPole(hidden=6, episodes=4, horizon=30, baseline="time"), make_context(None, nodes=2))
    x, _ = random_policy(problem)
    out = np.empty_like(x)
    loss, cut = problem.gradient(x, 1, 3, out)
    assert loss == -problem._rewards.sum() / 4 and 0 <= cut <= 1
    inputs, surprises = problem._inputs.copy(), problem._surprises.copy()
    to_go = np.zeros((4, 31))
    for t in reversed(range(30)):
        to_go[:, t] = problem._rewards[:, t] + 0.99 * to_go[:, t + 1]
    advantage = to_go[:, :30] - (to_go[:, :30].sum(axis=0) - to_go[:, :30]) / 3

    def surrogate(x):
        policy, total = tuple(problem.layout.views(x)), 0.0
        for e, t in np.argwhere(surprises != 0):
            chance = right(policy, inputs[e, t] * SCALES)
            total += advantage[e, t] * np.log(chance if surprises[e, t] > 0 else 1 - chance)
        return -total / 4

    found = np.array([surrogate(x + h) - surrogate(x - h) for h in 1e-5 * np.eye(x.size)]) / 2e-5
    assert np.linalg.norm(found - out) <= 1e-6 * np.linalg.norm(out)


def test_scores_give_the_gradient_of_the_expected_return(make_context):
    """All 2^6 ways an episode can go, each with its probability: the mean estimate against differences of the mean."""
    problem = ready(CartPole(hidden=3), make_context(None))
    x, _ = random_policy(problem)
    start, body, horizon = np.array([0.1, 0.3, 0.19, 0.1]), np.array(BODY), 6

    def expectation(x, estimate=None):
        policy, total, activation = tuple(problem.layout.views(x)), 0.0, np.empty(3)
        for actions in itertools.product((False, True), repeat=horizon):
            state, states, surprises, chance, inside = start.copy(), [], [], 1.0, True
            for action in actions:
                if inside:
                    states.append(state / SCALES)
                    p = 1 / (1 + np.exp(-logit(states[-1], policy, activation)))
                    surprises.append(action - p)
                    inside = advance(state, action, body)
                else:
                    p = 0.5  # what is done after the end does not matter
                chance *= p if action else 1 - p
            steps = len(states)
            total += chance * steps
            if estimate is not None:
                gradient = np.empty_like(x)
                to_go = steps - np.arange(steps)
                logit_gradients(to_go * surprises, np.array(states), policy, tuple(problem.layout.views(gradient)))
                estimate += chance * gradient
        return total

    estimate = np.zeros_like(x)
    assert 2 < expectation(x, estimate) < horizon
    found = np.array([expectation(x + h) - expectation(x - h) for h in 1e-5 * np.eye(x.size)]) / 2e-5
    assert np.linalg.norm(found - estimate) <= 1e-6 * np.linalg.norm(estimate)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_node_is_the_same_on_every_rank(make_context, dtype):
    alone = ready(CartPole(), make_context(None, nodes=5, hosted=range(3, 4), dtype=dtype))
    among = ready(CartPole(), make_context(None, nodes=5, dtype=dtype))
    x = alone.initial_point()
    one, two = np.empty_like(x), np.empty_like(x)
    among.gradient(x, 1, 4, two)
    assert alone.gradient(x, 3, 4, one) == among.gradient(x, 3, 4, two)
    assert one.tobytes() == two.tobytes() and one.dtype == dtype
    assert alone.evaluate(x, 1) == among.evaluate(x, 1)
    among.gradient(x, 3, 5, two)
    assert not np.array_equal(one, two)


def test_evaluation_plays_whole_episodes_in_both_kinds_of_body(make_context):
    problem = ready(CartPole(evaluation_episodes=70, horizon=20, heterogeneity=0.5), make_context(None, nodes=4))
    same = ready(CartPole(evaluation_episodes=70, heterogeneity=0.0), make_context(None, nodes=4))
    x = problem.initial_point()
    assert problem.chunks == 2
    chunks = np.array([problem.evaluate(x, chunk) for chunk in range(2)])
    assert chunks[:, 2].tolist() == [50, 20]
    returns = chunks[:, :2].sum(axis=0) / 70
    assert (returns > 8).all() and returns[0] != returns[1]
    nominal, nodes, _ = same.evaluate(x, 0)
    assert nominal == nodes == chunks[0, 0]
    assert all(((body / BODY <= 1.5) & (body / BODY >= 1 / 1.5)).all() for body in problem.bodies)


@pytest.mark.parametrize("horizon, low, high", [(15, 40, 200), (EPISODE, 450, EPISODE)])
def test_a_short_horizon_learns_less(make_context, horizon, low, high):
    """60 clipped momentum steps of one node: the truncated gradient does not ask for what comes after the horizon."""
    problem = ready(CartPole(horizon=horizon, episodes=40, discount=1.0), make_context(None, dtype=np.float32))
    x, v, out = problem.initial_point(), np.zeros(problem.layout.dimension), np.empty(problem.layout.dimension, "f4")
    for k in range(60):
        problem.gradient(x, 0, k, out)
        v += 0.2 * (out / max(1, np.linalg.norm(out)) - v)
        x = (x - 0.4 * v).astype(np.float32)
    assert low < problem.evaluate(x, 0)[0] / 50 <= high


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"horizon": 501}, "problem.horizon: .*500"),
        ({"episodes": 1}, "baseline time is made of the other episodes: it needs episodes of at least 2"),
        ({"discount": 0}, "problem.discount"),
        ({"baseline": "value"}, "problem.baseline"),
        ({"heterogeneity": -1}, "problem.heterogeneity"),
    ],
)
def test_keys_that_are_wrong(keys, words):
    with pytest.raises(UserError, match=words):
        construct(CartPole, "problem", keys)
