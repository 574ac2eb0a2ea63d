"""Lower levels within a policy class against closed forms, differences and independent searches."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from helpers import naive
from scipy import optimize
from torch import Tensor

from theory_check.models import LogLinear, MLPPolicy, MLPReward, Tabular
from theory_check.oracles import ExactOracle
from theory_check.oracles.optima.lower_solutions import (
    ParametrisedLowerLevel,
    TabularLowerLevel,
    lower_solutions,
    status_of,
)
from theory_check.oracles.starts import initial_reward
from theory_check.problems import Problem, bandit, garnet

SEEDS = range(3)
BANDIT = bandit(contexts=3, actions=3)
GARNET = garnet(states=2, actions=2, horizon=2, objective="excess_risk")
DISCOUNTED = garnet(states=2, actions=3, horizon=None, discount=0.6)
# Classes without the tabular optimum: two numbers to tell 3 contexts apart, one unit, aliased states.
REWARD = MLPReward(width=2)
INCOMPLETE = {
    "log-linear": bandit(contexts=3, actions=3, observations=2).with_classes(
        reward=REWARD, policy=LogLinear()
    ),
    "one unit": bandit(contexts=4, actions=3).with_classes(
        reward=REWARD, policy=MLPPolicy(width=1)
    ),
    "aliased": garnet(states=3, actions=2, horizon=2, aliases=1).with_classes(
        reward=REWARD, policy=MLPPolicy(width=2)
    ),
    "discounted": garnet(states=4, actions=3, horizon=None, discount=0.6).with_classes(
        reward=REWARD, policy=MLPPolicy(width=1)
    ),
}
EACH_INCOMPLETE = pytest.mark.parametrize("problem", INCOMPLETE.values(), ids=INCOMPLETE)


@cache
def neural(problem: Problem) -> Problem:
    return problem.with_classes(policy=MLPPolicy(width=8), reward=MLPReward(width=4))


@cache
def solved(
    problem: Problem, seeds: range = SEEDS
) -> tuple[ExactOracle, Tensor, ParametrisedLowerLevel]:
    exact = ExactOracle(problem)
    phi = initial_reward(seeds, exact.reward_model, 1.0)
    return exact, phi, ParametrisedLowerLevel(exact, seeds, phi)


def relative(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm(dim=-1) / expected.norm(dim=-1)).max().item()


@pytest.mark.slow
@pytest.mark.parametrize("problem", [BANDIT, GARNET, DISCOUNTED], ids=["bandit", "garnet", "disc."])
def test_a_class_that_contains_the_optimum_has_the_tabular_hypergradient(problem: Problem) -> None:
    exact, phi, level = solved(neural(problem))
    assert level.certified.all()
    assert level.class_error().max() < 1e-20
    assert relative(level.hypergradient(), exact.hypergradient(phi)) < 1e-8
    torch.testing.assert_close(
        level.hyperobjective(), exact.hyperobjective(phi), rtol=0, atol=1e-12
    )
    for sigma in (0.2, 0.001):
        point = level.penalised(sigma)
        assert point.certified.all()
        # Inner gradients of 1e-11 sigma leave errors of 1e-11 / curvature, and the networks' smallest
        # curvatures are near 1e-3.
        assert relative(point.gradient, exact.penalised_gradient(phi, sigma)) < 1e-7
        expected = exact.penalised_objective(phi, sigma)
        torch.testing.assert_close(point.value, expected, rtol=0, atol=1e-11)


@pytest.mark.slow
def test_rank_is_the_number_of_free_probabilities() -> None:
    # One degree of freedom for every row and action but one, however many the parameters.
    for problem, rank in ((BANDIT, 3 * 2), (GARNET, 4 * 1), (DISCOUNTED, 2 * 2)):
        assert solved(neural(problem))[2].rank.tolist() == [rank] * len(SEEDS)


def test_the_tabular_class_goes_through_the_general_method_too() -> None:
    problem = garnet(states=2, actions=2, horizon=2)
    exact, phi, general = solved(problem)
    closed = lower_solutions(exact, SEEDS, phi)
    assert isinstance(closed, TabularLowerLevel)
    assert relative(general.hypergradient(), closed.hypergradient()) < 1e-8
    ours, theirs = general.penalised(0.05), closed.penalised(0.05)
    assert relative(ours.gradient, theirs.gradient) < 1e-8
    torch.testing.assert_close(ours.value, theirs.value, rtol=0, atol=1e-11)
    assert status_of([ours]) == status_of([theirs]) == ["ok"] * len(SEEDS)


def test_other_classes_are_searched() -> None:
    exact = ExactOracle(neural(BANDIT))
    phi = initial_reward(SEEDS, exact.reward_model, 1.0)
    assert isinstance(lower_solutions(exact, SEEDS, phi), ParametrisedLowerLevel)
    assert isinstance(BANDIT.policy_class, Tabular)


@pytest.mark.slow
@EACH_INCOMPLETE
def test_hypergradient_of_an_incomplete_class_against_differences(problem: Problem) -> None:
    exact, phi, level = solved(problem)
    assert level.certified.all()
    assert level.class_error().min() > 1e-6
    # It is not the tabular one, or there would be nothing to test here.
    assert relative(level.hypergradient(), exact.hypergradient(phi)) > 1e-3
    step = 1e-4

    def value(shift: Tensor) -> Tensor:
        # The same branch: the search goes on from lambda*.
        near = ParametrisedLowerLevel(exact, SEEDS, phi + shift, start=level.lower)
        assert near.certified.all()
        return near.hyperobjective()

    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        direction = torch.randn(phi.shape, generator=generator, dtype=torch.float64)
        differences = (value(step * direction) - value(-step * direction)) / (2 * step)
        expected = (level.hypergradient() * direction).sum(-1)
        # Truncation is step² times a third derivative, of order 10 at these lengths of the direction.
        torch.testing.assert_close(differences, expected, rtol=1e-6, atol=2e-7)


@pytest.mark.slow
@EACH_INCOMPLETE
@pytest.mark.parametrize("sigma", [0.2, 0.01])
def test_penalised_gradient_of_an_incomplete_class_against_differences(
    problem: Problem, sigma: float
) -> None:
    exact, phi, level = solved(problem)
    point = level.penalised(sigma)
    assert point.certified.all()
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(phi.shape, generator=generator, dtype=torch.float64)
    step = 1e-4
    ahead, behind = (
        ParametrisedLowerLevel(exact, SEEDS, phi + sign * step * direction, start=level.lower)
        .penalised(sigma)
        .value
        for sign in (1, -1)
    )
    differences = (ahead - behind) / (2 * step)
    expected = (point.gradient * direction).sum(-1)
    # Values are right to about 1e-15 / sigma.
    torch.testing.assert_close(differences, expected, rtol=1e-5, atol=1e-6)


def test_no_independent_search_finds_a_better_policy_of_the_class() -> None:
    problem = INCOMPLETE["log-linear"]
    _, phi, level = solved(problem)
    tables, model = naive.Tables(problem), problem.policy_model
    reward = problem.reward_model.table(phi)
    for replicate, seed in enumerate(SEEDS):

        def loss(parameters: np.ndarray, replicate: int = replicate) -> tuple[float, np.ndarray]:
            leaf = torch.from_numpy(parameters)[None].requires_grad_()
            value = -tables.lower(reward[replicate].reshape(-1), model.table(leaf)[0])
            (gradient,) = torch.autograd.grad(value, leaf)
            return value.item(), gradient[0].numpy()

        start = np.random.default_rng(seed).standard_normal(model.parameters)
        found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-15})
        here, gradient = loss(level.lower[replicate].numpy())
        assert np.linalg.norm(gradient) < 1e-12
        assert here <= found.fun + 1e-12


@pytest.mark.slow
def test_a_lower_level_without_minimiser_is_reported() -> None:
    # One unit and sums of a part for the state and one for the step: weights grow without end.
    problem = garnet(
        states=3, actions=2, horizon=2, features=4, objective="excess_risk"
    ).with_classes(policy=MLPPolicy(width=1), reward=MLPReward(width=8))
    _, _, level = solved(problem, range(1))
    assert not level.certified.any()
    assert torch.isnan(level.hypergradient()).all()
    assert torch.isnan(level.hyperobjective()).all()
    assert status_of([level.penalised(0.1)]) == ["not certified"]


@pytest.mark.slow
def test_a_replicate_alone_is_the_same_as_in_a_batch() -> None:
    problem = neural(BANDIT)
    _, _, together = solved(problem, range(3))
    exact = ExactOracle(problem)
    phi = initial_reward([2], exact.reward_model, 1.0)
    alone = ParametrisedLowerLevel(exact, [2], phi)
    torch.testing.assert_close(
        alone.hypergradient()[0], together.hypergradient()[2], rtol=1e-8, atol=1e-12
    )
    torch.testing.assert_close(
        alone.penalised(0.1).gradient[0], together.penalised(0.1).gradient[2], rtol=1e-8, atol=1e-12
    )
