"""The landscape of SAIL's objective: closed forms for one state, and a planted stationary point."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import naive
from helpers.generators import random_discounted_problem, random_log_policy, random_problem
from helpers.implicit import implicit_loss
from helpers.references import tables_of
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor

from theory_check.analysis import judge
from theory_check.catalogue import Catalogue
from theory_check.measurements.sail_pl import SAILPL
from theory_check.oracles.optima.policy_objective import PolicyObjective
from theory_check.problems import Problem, bandit, tabular

PROBLEMS = {
    "bandit": random_problem(261, (3, 3, 1)),
    "episodic": random_problem(262, (2, 2, 3), discount=0.8, objective="excess_risk"),
    "sparse": random_problem(263, (4, 3, 2), sparse=True),
    "discounted": random_discounted_problem(264, (3, 2), segment_length=2),
}


def ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""


def measurement(**changes: object) -> SAILPL:
    arguments = {"pulls": (0.0, 2.0), "radii": (0.5, 4.0), "policies": 200, "starts": 24}
    return SAILPL(**{**arguments, **changes})  # type: ignore[arg-type]


def equal_rewards(kl_weight: float) -> Problem:
    """Three actions with the same reward: everything about them is a formula of one logit."""
    return tabular(
        transitions=np.ones((1, 3, 1)),
        initial=np.ones(1),
        true_reward=np.zeros((1, 3)),
        horizon=1,
        kl_weight=kl_weight,
        objective="excess_risk",
    )


# --- the objective


@pytest.mark.parametrize("label", PROBLEMS)
@pytest.mark.parametrize("pull", [0.0, 0.7])
def test_the_objective_and_its_gradient_by_automatic_differentiation(
    label: str, pull: float
) -> None:
    problem = PROBLEMS[label]
    objective, tables = PolicyObjective(problem, pull), tables_of(problem)
    shape = objective.control.policy_shape
    logits = random_log_policy(5, problem).reshape(1, *shape) + 0.3

    def plain(at: Tensor) -> Tensor:
        # Without a reward the lower level is beta times the divergence.
        nothing = torch.zeros(problem.parameters, dtype=torch.float64)
        return implicit_loss(problem, at, at) - pull * tables.lower(nothing, at)

    flat = logits.reshape(-1)
    torch.testing.assert_close(objective.value(logits)[0], plain(flat), rtol=1e-11, atol=1e-12)
    found = objective.gradient(logits).reshape(-1)
    torch.testing.assert_close(found, naive.gradient(plain, flat), rtol=1e-9, atol=1e-12)


def test_changes_that_change_nothing_are_none() -> None:
    """Shifts of rows, and rows that are never reached, leave value and distance."""
    problem = PROBLEMS["sparse"]
    objective = PolicyObjective(problem, 0.3)
    generator = torch.Generator().manual_seed(4)
    shape = (1, *objective.control.policy_shape)
    change = torch.randn(shape, generator=generator, dtype=torch.float64)
    seen = objective.visible(change)
    reference = objective.control.log_reference[None]
    torch.testing.assert_close(
        objective.value(reference + change), objective.value(reference + seen)
    )
    torch.testing.assert_close(objective.visible(seen), seen)
    assert (seen[:, 0][:, problem.initial == 0] == 0).all()
    assert seen.norm() < 0.9 * change.norm()


# --- stationary points


def hump(kl_weight: float) -> tuple[float, float]:
    """Return where F has its maximum along the logits (t, 0, 0), and the value there.

    A pair has both members equal, or one is the first action with probability ``2 p (1 - p)``; then its
    loss is ``KL(1/2 || sigmoid(beta t)) = log cosh(beta t / 2)``. F is 0 at ``t = 0`` and as t grows.
    """

    def negative(t: float) -> float:
        p = math.exp(t) / (math.exp(t) + 2)
        return -2 * p * (1 - p) * math.log(math.cosh(kl_weight * t / 2))

    found = optimize.minimize_scalar(negative, bounds=(0.1, 20), method="bounded")
    return float(found.x), -float(found.fun)


@pytest.mark.slow
def test_a_stationary_point_between_two_infima_is_found() -> None:
    """By symmetry the gradient on the line points along it, so that its maximum there is a zero."""
    problem = equal_rewards(1.3)
    t, height = hump(1.3)
    objective = PolicyObjective(problem, 0.0)
    point = torch.tensor([t, 0.0, 0.0], dtype=torch.float64).reshape(1, 1, 1, 3)
    assert objective.value(point).item() == pytest.approx(height, rel=1e-9)
    # The bounded search is exact to 1e-5 in t.
    assert objective.gradient(point).norm() < 1e-5
    radius = t * math.sqrt(2 / 3)
    table = measurement(radii=(0.4 * radius, 1.01 * radius), starts=64).measure(
        problem, [0, 1, 2], ignore
    )
    without = table.loc[table["pull"] == 0].set_index(["seed", "radius"])
    for seed in range(3):
        small, large = (without.loc[(seed, each)] for each in (0.4 * radius, 1.01 * radius))
        assert small["stationary"] == 0
        assert small["constant"] == small["random"] > 1e-3
        assert large["stationary"] > 0
        assert large["constant"] < 1e-20 < 1e-10 < large["random"]
    assert (table.loc[table["pull"] == 2, "stationary"] == 0).all()


def test_a_plain_is_no_stationary_point() -> None:
    """Gradients of nearly deterministic policies are 0 to rounding, and no zero is near by curvature."""
    objective = PolicyObjective(equal_rewards(1.0), 2.0)
    far = torch.tensor([60.0, 0.0, 1.0], dtype=torch.float64).reshape(1, 1, 1, 3)
    assert objective.gradient(far).norm() < 1e-10
    assert not objective.stationary(far, iterations=1).certified.any()
    near = torch.tensor([0.2, 0.0, -0.1], dtype=torch.float64).reshape(1, 1, 1, 3)
    solved = objective.stationary(near, iterations=60)
    assert solved.certified.all()
    assert objective.visible(solved.logits).norm() < 1e-8


TWO_ACTIONS = bandit(contexts=1, actions=2, features=2)


def two_actions(pull: float, moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``F_c`` as a function of how far the difference of both logits has moved."""
    beta, reward = TWO_ACTIONS.kl_weight, TWO_ACTIONS.true_reward[0].tolist()
    reference = TWO_ACTIONS.reference_policy.log()[0, 0].tolist()
    better = 1 / (1 + math.exp(reward[1] - reward[0]))
    logit = reference[0] - reference[1] + moves
    first, second = 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(logit))
    mixed = np.logaddexp(0, beta * moves) - better * beta * moves
    loss = (first**2 + second**2) * math.log(2) + 2 * first * second * mixed
    divergence = first * (np.log(first) - reference[0]) + second * (np.log(second) - reference[1])
    value: NDArray[np.float64] = loss + pull * beta * divergence
    return value


def test_the_constant_of_two_actions_by_a_fine_grid() -> None:
    """Draws in the ball are at least the grid's minimum, and with 2000 of them within 2 %.

    Both logits move by half of their difference, in opposite directions: distance radius is a
    difference of sqrt(2) radius, and the squared gradient is twice the squared slope.
    """
    pull, radius = 2.0, 1.0
    moves = np.linspace(-math.sqrt(2) * radius, math.sqrt(2) * radius, 20001)
    value = two_actions(pull, moves)
    slope = np.gradient(value, moves, edge_order=2)
    gap = value - value.min()
    resolved = gap > 1e-6
    expected = (2 * slope[resolved] ** 2 / (2 * gap[resolved])).min()
    chosen = measurement(pulls=(pull,), radii=(radius,), policies=2000)
    found = chosen.measure(TWO_ACTIONS, [3], ignore)["constant"].item()
    assert expected * (1 - 1e-3) < found < 1.02 * expected


@pytest.mark.parametrize(("pull", "radius"), [(0.0, 1.0), (0.0, 2.0), (1.0, 8.0), (2.0, 8.0)])
def test_stationary_points_of_two_actions_are_the_turns_of_a_curve(
    pull: float, radius: float
) -> None:
    """A zero besides the minimum is found where the curve turns more than once, and nowhere else."""
    moves = np.linspace(-math.sqrt(2) * radius, math.sqrt(2) * radius, 20001)
    turns = int((np.diff(np.sign(np.diff(two_actions(pull, moves)))) != 0).sum())
    chosen = measurement(pulls=(pull,), radii=(radius,), starts=64)
    found = chosen.measure(TWO_ACTIONS, [1], ignore)["stationary"].item()
    assert turns >= 1
    assert (found > 0) == (turns > 1)
    assert (found > 0) == ((pull, radius) in {(0.0, 2.0), (1.0, 8.0)})


@pytest.mark.parametrize("share", [0.5, 1.5])
def test_which_divergence_pulls_back_a_deterministic_policy(share: float) -> None:
    """Near action a, F_c - limit is ``pi_b t (2 beta P*(b > a) - c)`` to leading order in t."""
    problem = TWO_ACTIONS
    beta, reward = problem.kl_weight, problem.true_reward[0]
    threshold = 2 * beta * torch.sigmoid(reward[1] - reward[0]).item()
    objective = PolicyObjective(problem, share * threshold / beta)
    logits = torch.tensor([[18.0, 0.0], [30.0, 0.0]], dtype=torch.float64).reshape(2, 1, 1, 2)
    values = objective.value(logits)
    limit = math.log(2) - share * threshold * problem.reference_policy.log()[0, 0, 0].item()
    above = values[0].item() - limit
    assert abs(values[1].item() - limit) < 1e-10
    assert (above > 1e-9) if share < 1 else (above < -1e-9)


# --- rows and verdicts


@pytest.mark.slow
def test_rows_and_streams() -> None:
    problem = bandit(contexts=2, actions=2, seed=1)
    both = measurement().measure(problem, [4, 9], ignore)
    columns = ["seed", "pull", "radius", "constant", "random", "stationary", "least"]
    assert list(both.columns) == columns
    assert len(both) == 2 * 2 * 2
    alone = measurement().measure(problem, [9], ignore)
    own = both.loc[both["seed"] == 9, "random"].to_numpy()
    np.testing.assert_allclose(own, alone["random"], rtol=1e-9)
    other = both.loc[both["seed"] == 4, "random"].to_numpy()
    assert not np.allclose(other, alone["random"])
    for _, rows in both.groupby(["seed", "pull"]):
        assert (np.diff(rows["least"]) <= 0).all()
        assert rows["constant"].to_numpy()[1] <= rows["constant"].to_numpy()[0]


def test_verdicts_see_a_planted_zero() -> None:
    pulls = (0.0, 0.1, 0.3, 1.0, 2.0)
    table = pd.DataFrame(
        [
            {"seed": seed, "pull": pull, "radius": radius, "constant": 1e-9}
            for seed in range(4)
            for pull in pulls
            for radius in (0.5, 8.0)
        ]
    ).assign(problem="p", status="ok")
    claims = [Catalogue.shipped().claim(name) for name in ("sail-pl", "sail-pl-pulled")]
    assert [judge(claim, table).status for claim in claims] == ["holds", "holds"]
    for pull, expected in ((0.3, ["violated", "holds"]), (2.0, ["holds", "violated"])):
        zero = (table["pull"] == pull) & (table["seed"] == 2) & (table["radius"] == 8.0)
        planted = table.assign(constant=np.where(zero, 1e-30, table["constant"]))
        assert [judge(claim, planted).status for claim in claims] == expected
