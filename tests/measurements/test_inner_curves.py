"""Curves of the lower level against recursions that are written out; wrong constants are seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from theory_check.analysis import judge
from theory_check.catalogue import Catalogue
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.inner_curves import (
    BanditCurve,
    InnerCurve,
    largest_curvature,
    smoothness,
    unit_rewards,
)
from theory_check.oracles.control import control_of
from theory_check.oracles.starts import initial_reward
from theory_check.problems import Problem, bandit, garnet
from theory_check.randomness import standard_normals

CLAIMS = Catalogue.shipped().claims
DISCOUNTED = garnet(states=4, actions=3, horizon=None, discount=0.6, features=4, kl_weight=0.7)


def ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""


@pytest.mark.parametrize(
    "problem", [bandit(contexts=2, actions=3, features=4), DISCOUNTED], ids=repr
)
def test_no_curvature_exceeds_the_smoothness(problem: Problem) -> None:
    """At random, nearly deterministic and uniform policies; rewards from small to large for beta."""
    control, model = control_of(problem), problem.reward_model
    generator = torch.Generator().manual_seed(2)
    for scale in (0.01, 1.0, 10.0):
        reward = model.table(initial_reward(range(60), model, scale))
        bound = smoothness(problem, reward)
        for spread in (0.0, 1.0, 5.0):
            noise = torch.randn(60, *control.policy_shape, dtype=torch.float64, generator=generator)
            curvature = largest_curvature(control, reward, spread * noise)
            assert (curvature <= bound).all()


def test_smoothness_by_hand() -> None:
    """``R`` is the range of ``r + beta log pi_ref``; one step counts as discount 0."""
    single = bandit(contexts=1, actions=2, features=2, kl_weight=0.5)
    reward = torch.tensor([[[0.2, 1.2]]], dtype=torch.float64)
    by_hand = 8 * 1.0 + 0.5 * (4 + 8 * math.log(2))
    assert smoothness(single, reward).item() == pytest.approx(by_hand, rel=1e-14)
    flat = torch.zeros(1, 4, 3, dtype=torch.float64)
    spread = 0.7 * (
        DISCOUNTED.reference_policy.log().max() - DISCOUNTED.reference_policy.log().min()
    )
    by_hand = (8 * spread.item() + 0.7 * (4 + 8 * math.log(3))) / 0.4**3
    assert smoothness(DISCOUNTED, flat).item() == pytest.approx(by_hand, rel=1e-12)


def test_curve_of_one_state_by_a_recursion() -> None:
    """``C² = 2 beta min pi²`` for one state; gradient ``pi (r - beta log pi - mean)``."""
    problem = bandit(contexts=1, actions=3, features=3, kl_weight=0.8)
    table = InnerCurve(inner_steps=12).measure(problem, [5], ignore).set_index("inner_iteration")
    reward = problem.reward_model.table(initial_reward([5], problem.reward_model, 1.0))[
        0, 0
    ].numpy()
    (noise,) = standard_normals("start of an inner curve", [5], (1, 1, 3))
    step = 1 / (8 * (reward.max() - reward.min()) + 0.8 * (4 + 8 * math.log(3)))
    logits, bound = noise[0, 0].copy(), None

    def value(policy: np.ndarray) -> float:
        return float(policy @ (reward - 0.8 * np.log(3 * policy)))

    best = np.exp(reward / 0.8) / np.exp(reward / 0.8).sum()
    for iteration in range(1, 13):
        policy = np.exp(logits) / np.exp(logits).sum()
        gap = value(best) - value(policy)
        bound = gap if bound is None else bound
        bound *= 1 - 2 * 0.8 * policy.min() ** 2 * step / 2
        signal = reward - 0.8 * np.log(policy)
        logits = logits + step * policy * (signal - policy @ signal)
        if iteration in table.index:
            policy = np.exp(logits) / np.exp(logits).sum()
            row = table.loc[iteration]
            assert row.lower_gap == pytest.approx(value(best) - value(policy), rel=1e-9)
            assert row.bound == pytest.approx(bound, rel=1e-12)


def test_a_gain_that_is_too_large_is_seen_and_the_bound_is_kept() -> None:
    single = bandit(contexts=1, actions=2, features=2)
    flat = InnerCurve(inner_steps=100, point_scale=0.01, start_scale=0.01)
    table = flat.measure(single, range(8), ignore).assign(problem="p", status="ok")
    assert judge(CLAIMS["inner-curve"], table).status == "holds"
    assert judge(CLAIMS["control-inner-curve"], table).status == "violated"
    # The closed form: a step leaves (1 - beta/(2 beta_s))² of the gap, the bound 1 - beta/(4 beta_s).
    last = table.loc[table.inner_iteration == 100]
    curvature = 1 / (2 * (4 + 8 * math.log(2)))
    predicted = ((1 - curvature / 2) / (1 - curvature) ** 2) ** 100
    # Rewards 0.03 apart add 0.24 to a smoothness of 9.5, and move min pi by 0.01: shares of the exponent.
    np.testing.assert_allclose(np.log(last.bound / last.lower_gap), np.log(predicted), rtol=0.05)
    random = InnerCurve(inner_steps=60).measure(DISCOUNTED, range(8), ignore)
    assert judge(CLAIMS["inner-curve"], random.assign(problem="p")).status == "holds"


def test_bandit_curve_by_a_recursion() -> None:
    problem = bandit(contexts=1, actions=4, seed=3)
    measured = BanditCurve(inner_steps=20, optimal_actions=2).measure(problem, [9], ignore)
    reward = unit_rewards(problem, [9])[0, 0].numpy().copy()
    reward[np.argsort(reward)[-2:]] = 1.0
    best, logits, gained, smallest, start = reward == 1.0, np.zeros(4), 0.0, 1.0, 0.0
    for iteration in range(1, 21):
        policy = np.exp(logits) / np.exp(logits).sum()
        gap = 1.0 - policy @ reward
        start = start or gap
        total = policy[best].sum()
        smallest = min(smallest, total)
        gained += ((policy[best] ** 2).sum() + total**2 / 2) / 5
        gradient = policy * (reward - policy @ reward)
        assert (gradient**2).sum() >= ((policy[best] ** 2).sum() + total**2 / 2) * gap**2 * (
            1 - 1e-12
        )
        logits = logits + 0.4 * gradient
        rows = measured.loc[measured.inner_iteration == iteration]
        if len(rows):
            policy = np.exp(logits) / np.exp(logits).sum()
            assert rows.gap.item() == pytest.approx(1.0 - policy @ reward, rel=1e-10)
            assert rows.bound.item() == pytest.approx(1 / (1 / start + gained), rel=1e-12)
            assert rows.bound_of_source.item() == pytest.approx(5 / (iteration * smallest**2))
    with pytest.raises(InvalidArgumentError, match="optimal_actions: received 4; pass less than"):
        BanditCurve(inner_steps=1, optimal_actions=4).measure(problem, [9], ignore)


def test_the_summed_probability_of_many_optimal_actions_is_refuted() -> None:
    """The limit of k times the gap is 5 m (A - m)/(2 A) = 18.75, where 5 A²/m² = 8.9 is stated."""
    forty = bandit(contexts=1, actions=40)
    table = BanditCurve(inner_steps=10_000, optimal_actions=30).measure(forty, range(8), ignore)
    table = table.assign(problem="p", optimal_actions=4)
    last = table.loc[table.inner_iteration == 10_000]
    # Corrections to the limit fall like 1/(k (A - m) differences): less than 5 % here.
    np.testing.assert_allclose(10_000 * last.gap, 18.75, rtol=0.1)
    caught = judge(CLAIMS["control-bandit-curve"], table)
    assert [rate.status for rate in caught.rates] == ["violated", "violated"]
    kept = judge(CLAIMS["bandit-curve-steps"], table)
    assert [rate.status for rate in kept.rates] == ["inconclusive", "holds"]
    # One optimal action: both hold, and the one that follows the steps tends to twice the gap.
    one = BanditCurve(inner_steps=10_000).measure(bandit(contexts=1, actions=2), range(8), ignore)
    one = one.assign(problem="p", optimal_actions=1)
    assert judge(CLAIMS["bandit-curve"], one).status == "holds"
    ends = one.loc[one.inner_iteration == 10_000]
    np.testing.assert_allclose(ends.bound / ends.gap, 2.0, rtol=0.02)
