"""The single objective of a policy, its loss on kept data, and pairs of two policies."""

from __future__ import annotations

import pytest
import torch
from helpers import naive, references
from helpers.generators import (
    random_discounted_problem,
    random_log_policy,
    random_point,
    random_problem,
)
from helpers.implicit import implicit_loss, implicit_returns
from helpers.significance import assert_frequencies, assert_mean
from torch import Tensor

from theory_check.errors import EnumerationBudgetError
from theory_check.oracles import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import Problem, garnet

REPLICATES = 2000
PROBLEMS = {
    "bandit": random_problem(161, (3, 3, 1), features=4),
    "episodic": random_problem(162, (2, 2, 3), discount=0.8, objective="excess_risk", features=3),
    "sparse": random_problem(163, (4, 3, 2), sparse=True),
    "discounted": random_discounted_problem(164, (3, 2), features=3),
    "segments": random_discounted_problem(165, segment_length=2, objective="excess_risk"),
}
LABELS = pytest.mark.parametrize("label", PROBLEMS)
ONE_STEP = {
    "one state": random_problem(171, (1, 4, 1)),
    "three states": random_problem(172, (3, 3, 1)),
    "excess risk": random_problem(173, (3, 2, 1), objective="excess_risk"),
}


def policies(problem: Problem) -> tuple[Tensor, Tensor]:
    one, two = (random_log_policy(seed, problem).reshape(1, -1) for seed in (2, 3))
    return one, two


# --- the objective


@LABELS
def test_its_gradient_differentiates_the_law_of_the_pairs(label: str) -> None:
    """By automatic differentiation; the gradient of online DPO, planted for it, is elsewhere."""
    problem = PROBLEMS[label]
    one, _ = policies(problem)
    expected = naive.gradient(lambda at: implicit_loss(problem, at, at), one[0])
    information = ExactInformation(problem)
    found = information.implicit_objective_gradient(one, 1)[0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    planted = information.implicit_gradient(one, 1)[0]
    assert (planted - expected).norm() > 0.05 * expected.norm()


@pytest.mark.slow
@LABELS
def test_its_sampled_gradient_has_the_exact_mean(label: str) -> None:
    """False-alarm probability 1e-6; the planted mean, without the score, is refused."""
    problem = PROBLEMS[label]
    one, _ = policies(problem)
    oracle = SampledOracle(problem, range(REPLICATES))
    exact = ExactInformation(problem, comparisons=oracle.comparisons)
    found = oracle.implicit_objective_gradient(one.expand(REPLICATES, -1), 1000).numpy()
    assert_mean(found, exact.implicit_objective_gradient(one, 1)[0].numpy())
    with pytest.raises(AssertionError, match="component"):
        assert_mean(found, exact.implicit_gradient(one, 1)[0].numpy())


def implied_reward(problem: Problem, logits: Tensor) -> Tensor:
    """Return ``R_pi`` of a one-step problem as parameters of the tabular class."""
    reference = problem.reference_policy.log()
    log_policy = logits.reshape(reference.shape).log_softmax(-1)
    return problem.kl_weight * (log_policy - reference).reshape(-1)


@pytest.mark.parametrize("label", ONE_STEP)
def test_in_one_step_it_is_the_hyperobjective_at_the_reward_of_the_policy(label: str) -> None:
    """``F(lambda) = Phi(R_pi)``: value, and the hypergradient through the map, to 1e-12.

    Rewards are tabular. The map has the derivative ``beta (1 - 1 pi^T)`` in every state.
    """
    problem = ONE_STEP[label]
    exact, information = ExactOracle(problem), ExactInformation(problem)
    one, two = policies(problem)
    for logits in (one, 3 * two):
        reward = implied_reward(problem, logits)
        torch.testing.assert_close(
            implicit_loss(problem, logits[0], logits[0]),
            exact.hyperobjective(reward),
            rtol=1e-12,
            atol=1e-12,
        )
        gradient = exact.hypergradient(reward).reshape(problem.states, problem.actions)
        policy = logits.reshape(problem.states, problem.actions).softmax(-1)
        through = problem.kl_weight * (gradient - policy * gradient.sum(-1, keepdim=True))
        found = information.implicit_objective_gradient(logits, 1)
        torch.testing.assert_close(found[0], through.reshape(-1), rtol=1e-12, atol=1e-12)
        planted = information.implicit_gradient(logits, 1)[0]
        assert (planted - through.reshape(-1)).abs().max() > 1e-3


def test_with_later_steps_it_is_not() -> None:
    """The reward that is read off explains the policy, and the two values differ."""
    problem = random_problem(174, (3, 2, 2))
    lower = ExactOracle(problem).optimal_policy(random_point(1, problem, 1)).flatten(1)
    exact, information = ExactOracle(problem), ExactInformation(problem)
    value = exact.hyperobjective(information.implied_upper(lower))
    assert (implicit_loss(problem, lower[0], lower[0]) - value).abs() > 1e-2


# --- data


@LABELS
def test_the_loss_on_data_by_automatic_differentiation(label: str) -> None:
    """Over the law of the data, which at the policy itself gives the gradient of online DPO."""
    problem = PROBLEMS[label]
    one, two = policies(problem)
    information = ExactInformation(problem)
    data = information.preference_data(two, 1)
    found = information.implicit_data_gradient(one, data)[0]
    expected = naive.gradient(lambda at: implicit_loss(problem, at, two[0]), one[0])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    own = information.implicit_data_gradient(one, information.preference_data(one, 1))
    torch.testing.assert_close(own, information.implicit_gradient(one, 1), rtol=1e-9, atol=1e-12)


@LABELS
def test_pairs_of_two_policies(label: str) -> None:
    """By the gradient of their loss, which sees no order of trajectories."""
    problem = PROBLEMS[label]
    one, two = policies(problem)
    information = ExactInformation(problem)
    data = information.preference_data_between(one, two, 1)
    assert data.sum().item() == pytest.approx(1.0, abs=1e-12)
    tables = references.tables_of(problem)
    first, second = (tables.law(tables.log_policy(each[0])) for each in (one, two))
    true = torch.sigmoid(tables.true_returns[:, None] - tables.true_returns[None, :])

    def loss(at: Tensor) -> Tensor:
        returns = implicit_returns(problem, at)
        gaps = returns[:, None] - returns[None, :]
        surprise = -true * torch.nn.functional.logsigmoid(gaps)
        surprise = surprise - (1 - true) * torch.nn.functional.logsigmoid(-gaps)
        return first @ surprise @ second

    third = random_log_policy(4, problem).reshape(1, -1)
    found = information.implicit_data_gradient(third, data)[0]
    torch.testing.assert_close(found, naive.gradient(loss, third[0]), rtol=1e-9, atol=1e-12)
    swapped = information.preference_data_between(two, one, 1)
    torch.testing.assert_close(swapped, data, rtol=1e-12, atol=1e-15)
    same = information.preference_data_between(one, one, 1)
    assert torch.equal(same, information.preference_data(one, 1))
    assert (data - same).abs().max() > 1e-3


def test_sampled_pairs_of_two_policies_follow_the_law() -> None:
    """A chi-square test over 16 outcomes, false-alarm probability 1e-6."""
    problem = random_problem(166, (2, 2, 1))
    one, two = policies(problem)
    oracle = SampledOracle(problem, range(20))
    many = [each.expand(20, -1) for each in (one, two)]
    data = oracle.preference_data_between(*many, 2000)
    exact = ExactInformation(problem, comparisons=oracle.comparisons)
    law = exact.preference_data_between(one, two, 1)[0]
    counts = (2000 * data).sum(0).flatten().round().numpy()
    assert_frequencies(counts, law.flatten().numpy())
    # Planted: both members of the first policy.
    with pytest.raises(AssertionError):
        assert_frequencies(counts, exact.preference_data(one, 1)[0].flatten().numpy())


# --- where nothing is enumerated


def test_without_a_weight_for_every_trajectory_they_say_so() -> None:
    problem = garnet(states=8, actions=3, horizon=6)
    information = ExactInformation(problem)
    lower = torch.zeros(1, information.policy_model.parameters, dtype=torch.float64)
    for call in (
        lambda: information.implicit_objective_gradient(lower, 1),
        lambda: information.implicit_data_gradient(lower, torch.ones(1, 1, 1)),
        lambda: information.preference_data_between(lower, lower, 1),
    ):
        with pytest.raises(EnumerationBudgetError, match="more trajectories than are enumerated"):
            call()
