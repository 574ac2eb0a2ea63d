"""Constants over a ball of rewards, against a problem in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.generators import random_problem

from theory_check.measurements.constants import (
    Constants,
    effective_horizon,
    log_time,
    reward_points,
)
from theory_check.problems import Problem, garnet, tabular

BETA, TRUE_REWARD, REFERENCE, LARGEST = 0.2, 0.8, 0.3, 2.0


def two_armed() -> Problem:
    """One context and two actions with rewards (phi, 0); the annotator's are (0.8, 0)."""
    return tabular(
        transitions=[[[1.0], [1.0]]],
        initial=[1.0],
        true_reward=[[TRUE_REWARD, 0.0]],
        features=[[[1.0], [0.0]]],
        reference_policy=[[REFERENCE, 1 - REFERENCE]],
        horizon=1,
        kl_weight=BETA,
    )


def closed_forms() -> dict[str, float]:
    """Return the largest constants over ``|phi| <= 2``, from one unknown, p = pi*(first action).

    Two draws differ with probability ``2 p (1-p)`` and then lose l on average, log 2 else: ``Phi = log
    2 + 2 p (1-p) (l - log 2)``. In the difference z of the logits G has the slope ``b = 2 p (1-p)
    (1-2p) (l - log 2)`` and g the curvature ``beta p (1-p)``, so that ``q = b² / (beta p (1-p))``. The
    covariance of two indicators has the eigenvalue ``2 p (1-p)``. X is the indicator of the first
    action, whose score is ``-b / (beta p)``.
    """
    phi = np.linspace(-LARGEST, LARGEST, 400_001)
    log_odds = np.log(REFERENCE / (1 - REFERENCE)) + phi / BETA
    p, other = 1 / (1 + np.exp(-log_odds)), 1 / (1 + np.exp(log_odds))
    preferred = 1 / (1 + np.exp(-TRUE_REWARD))
    loss = preferred * np.log1p(np.exp(-phi)) + (1 - preferred) * np.log1p(np.exp(phi)) - np.log(2)
    slope = 2 * p * other * (other - p) * loss
    q = slope**2 / (BETA * p * other)
    # At 1e-5 apart central differences err by some 1e-8.
    value = 2 * p * other * loss
    curvature = np.gradient(np.gradient(value, phi), phi)[2:-2]
    smallest = 2 * BETA * p * other
    spread = np.abs(phi + BETA * np.log(REFERENCE / (1 - REFERENCE)))
    bound = 8 * spread + BETA * (4 + 8 * np.log(2))
    apart = np.abs(phi) > 1e-3
    share = smallest / bound
    return {
        "value_bias": q.max() / 2,
        "gradient_bias": np.abs(np.gradient(q, phi)[2:-2]).max() / 2,
        "smoothness": np.abs(curvature).max(),
        "independent_noise": (2 * p * other).max(),
        "shared_noise": (p * other * (slope / (BETA * p)) ** 2).max(),
        "log_coverage": max(
            (np.log(REFERENCE) - np.log(p)).max(), (np.log(1 - REFERENCE) - np.log(other)).max()
        ),
        "value_share": (q[apart] / 2 / (phi[apart] ** 2 / (4 * BETA))).max(),
        "step_time": (1 / (share * (2 - share))).max(),
    }


@pytest.mark.slow
def test_constants_are_the_largest_of_the_closed_forms() -> None:
    """None above the supremum, and with many points all but one per cent of it."""
    found = Constants(directions=2, shells=6, rounds=8, nearby=64, largest_reward=LARGEST).measure(
        two_armed(), [5], lambda done, total: None
    )
    assert found["status"].tolist() == ["ok"]
    for name, expected in closed_forms().items():
        assert found[name][0] <= expected * (1 + 1e-5), name
        assert found[name][0] >= expected * 0.99, name


def test_a_search_that_does_not_climb_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: points around where a constant is smallest find less than those around the best."""
    from theory_check.measurements import constants

    problem = garnet(states=3, actions=2, horizon=2, features=2, kl_weight=0.05)
    settings = Constants(directions=8, shells=1, rounds=4, nearby=8)
    found = settings.measure(problem, [1], lambda done, total: None)
    sooner = replace(settings, rounds=1).measure(problem, [1], lambda done, total: None)
    names = ["gradient_bias", "smoothness"]
    assert bool((found[names] > 1.05 * sooner[names]).to_numpy().any())
    best = constants._around_the_best

    def worst(points: torch.Tensor, values: dict[str, torch.Tensor], shifts: torch.Tensor):  # type: ignore[no-untyped-def]
        return best(points, {name: -each for name, each in values.items()}, shifts)

    monkeypatch.setattr(constants, "_around_the_best", worst)
    planted = settings.measure(problem, [1], lambda done, total: None)
    assert bool((planted[names] < found[names]).to_numpy().all())


def test_units_of_features_change_nothing() -> None:
    problem = random_problem(2, (3, 2, 2), features=2)
    other = replace(problem, features=5 * problem.features)
    settings = Constants(directions=4, shells=2, rounds=1, nearby=2)
    one, two = (
        settings.measure(each, [1, 2], lambda done, total: None) for each in (problem, other)
    )
    for column in one.columns.drop(["status"]):
        np.testing.assert_allclose(one[column], two[column], rtol=1e-6)


def test_a_seed_does_not_depend_on_its_company() -> None:
    problem = random_problem(2, (3, 2, 2), features=2)
    settings = Constants(directions=3, shells=2, rounds=2, nearby=2)
    both = settings.measure(problem, [1, 7], lambda done, total: None)
    alone = settings.measure(problem, [7], lambda done, total: None)
    for column in both.columns.drop(["status"]):
        np.testing.assert_allclose(both[column][1], alone[column][0], rtol=1e-9)
    assert both["gradient_bias"][0] != both["gradient_bias"][1]


def test_points_lie_on_shells_of_the_unit_ball() -> None:
    points = reward_points([3, 4], 5, 3, 2)
    norms = points.norm(dim=-1)
    expected = torch.tensor([1.0] * 5 + [0.25] * 5 + [0.0625] * 5, dtype=torch.float64)
    torch.testing.assert_close(norms, expected.expand(2, -1))
    assert torch.equal(reward_points([4], 5, 3, 2)[0], points[1])
    assert not torch.equal(points[0], points[1])


def test_steps_for_a_factor_e_and_the_effective_horizon() -> None:
    """With x = 1/2 the gap falls to a quarter: 1/(1 - 1/4) steps; tiny shares keep their logarithm."""
    found = log_time(torch.log(torch.tensor([0.5, 1.0], dtype=torch.float64)))
    torch.testing.assert_close(found.exp(), torch.tensor([4 / 3, 1.0], dtype=torch.float64))
    tiny = log_time(torch.tensor([-800.0], dtype=torch.float64)).item()
    assert tiny == pytest.approx(800.0 - np.log(2.0))
    sizes = {"states": 2, "actions": 2}
    assert effective_horizon(garnet(**sizes, horizon=3, discount=0.5)) == pytest.approx(1.75)
    assert effective_horizon(garnet(**sizes, horizon=None, discount=0.75)) == pytest.approx(4.0)
