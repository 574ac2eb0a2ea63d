"""Responses, fixed data, implicit rewards and pointwise penalties, each derived a second time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import naive, references
from helpers.generators import (
    random_discounted_problem,
    random_log_policy,
    random_point,
    random_problem,
)
from helpers.implicit import implicit_loss
from helpers.significance import assert_frequencies, assert_mean
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.models import MLPReward
from theory_check.oracles import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import Problem

REPLICATES = 2000
PROBLEMS = {
    "bandit": random_problem(61, (3, 3, 1), features=4),
    "episodic": random_problem(62, (2, 2, 3), discount=0.8, objective="excess_risk", features=3),
    "sparse": random_problem(63, (4, 3, 2), sparse=True),
    "discounted": random_discounted_problem(64, (3, 2), features=3),
    "segments": random_discounted_problem(65, segment_length=2, objective="excess_risk"),
}
LABELS = pytest.mark.parametrize("label", PROBLEMS)


def point(problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """Return reward parameters and the logits of two policies, one row each."""
    one, two = (random_log_policy(seed, problem).reshape(1, -1) for seed in (2, 3))
    return random_point(1, problem, 1), one, two


def replicated(problem: Problem) -> list[Tensor]:
    return [part.expand(REPLICATES, -1) for part in point(problem)]


def optimum(problem: Problem, phi: Tensor) -> Tensor:
    return torch.stack([references.optimal_logits(problem, row) for row in phi])


# --- total gradient


@pytest.mark.slow
@LABELS
@pytest.mark.parametrize("separate", [False, True])
def test_the_total_gradient_at_the_optimum_is_the_hypergradient(label: str, separate: bool) -> None:
    problem = PROBLEMS[label]
    phi, information = random_point(1, problem, 3), ExactInformation(problem)
    total = information.total_gradient(phi, optimum(problem, phi), 1, 1, separate_values=separate)
    found = total.direct + total.response
    expected = torch.stack([references.implicit_hypergradient(problem, row) for row in phi])
    # The implicit function formula solves in a Hessian of condition up to 1e4.
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(
        found, ExactOracle(problem).hypergradient(phi), rtol=1e-10, atol=1e-12
    )


@pytest.mark.slow
@LABELS
@pytest.mark.parametrize("separate", [False, True])
def test_the_sampled_total_gradient_has_the_exact_mean(label: str, separate: bool) -> None:
    """Two tests, each with false-alarm probability 1e-6."""
    problem = PROBLEMS[label]
    oracle = SampledOracle(problem, range(REPLICATES))
    exact = ExactInformation(problem, comparisons=oracle.comparisons)
    phi, one, _ = replicated(problem)
    found = oracle.total_gradient(phi, one, 30, 20, separate_values=separate)
    expected = exact.total_gradient(phi[:1], one[:1], 30, 20)
    assert_mean(found.direct.numpy(), expected.direct[0].numpy())
    assert_mean(found.response.numpy(), expected.response[0].numpy())


@pytest.mark.slow
@LABELS
def test_the_upper_gradient_alone_is_that_of_both(label: str) -> None:
    """By automatic differentiation, and by its sampled mean with false-alarm probability 1e-6."""
    problem = PROBLEMS[label]
    phi, one, _ = replicated(problem)
    tables = references.tables_of(problem)
    expected = naive.gradient(lambda at: tables.upper(at, one[0]), phi[0])
    exact = ExactInformation(problem).upper_gradient(phi[:1], one[:1], 1)[0]
    torch.testing.assert_close(exact, expected, rtol=1e-9, atol=1e-12)
    oracle = SampledOracle(problem, range(REPLICATES))
    assert_mean(oracle.upper_gradient(phi, one, 30).numpy(), expected.numpy())


@pytest.mark.slow
@LABELS
def test_gradients_at_two_points_from_one_batch(label: str) -> None:
    """Exactly at each; two tests of sampled means, each with false-alarm probability 1e-6."""
    problem = PROBLEMS[label]
    phi, one, two = replicated(problem)
    earlier_phi, earlier = phi + 0.3, (one + 0.1 * two)
    exact = ExactInformation(problem)
    now = exact.lower_gradient(phi[:1], one[:1], 1)
    before = exact.lower_gradient(earlier_phi[:1], earlier[:1], 1)
    found = exact.lower_gradient_change(phi[:1], one[:1], earlier_phi[:1], earlier[:1], 1)
    torch.testing.assert_close(found.at_lower, now, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found.at_penalised, before, rtol=1e-12, atol=1e-14)
    oracle = SampledOracle(problem, range(REPLICATES))
    drawn = oracle.lower_gradient_change(phi, one, earlier_phi, earlier, 24)
    assert_mean(drawn.at_lower.numpy(), now[0].numpy())
    assert_mean(drawn.at_penalised.numpy(), before[0].numpy())
    # At one point the same batch has the same gradient, whatever was drawn.
    same = oracle.lower_gradient_change(phi, one, phi, one, 24)
    torch.testing.assert_close(same.at_lower, same.at_penalised, rtol=1e-9, atol=1e-12)


# --- fixed data


def data_loss(problem: Problem, phi: Tensor, data: Tensor) -> Tensor:
    """Return the mean of ``-log sigmoid(R_w - R_l)`` over frequencies of (winner, loser)."""
    returns = references.tables_of(problem).returns(naive.reward_table(problem, phi))
    return -(data * torch.nn.functional.logsigmoid(returns[:, None] - returns[None, :])).sum()


def winners(problem: Problem, logits: Tensor) -> Tensor:
    """Return the law of (winner, loser): two draws, and the label of each order."""
    tables = references.tables_of(problem)
    law, true = tables.law(tables.log_policy(logits)), tables.true_returns
    result = torch.zeros(len(law), len(law), dtype=torch.float64)
    for first in range(len(law)):
        for second in range(len(law)):
            chance = law[first] * law[second]
            preferred = 1 / (1 + torch.exp(true[second] - true[first]))
            result[first, second] += chance * preferred
            result[second, first] += chance * (1 - preferred)
    return result


@LABELS
def test_data_and_their_gradient(label: str) -> None:
    problem = PROBLEMS[label]
    phi, one, _ = point(problem)
    exact, oracle = ExactInformation(problem), SampledOracle(problem, [3])
    law = exact.preference_data(one, 1)
    assert law.sum().item() == pytest.approx(1.0, abs=1e-12)
    drawn = oracle.preference_data(one, 57)
    counts = 57 * drawn
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-9)
    assert counts.sum().item() == pytest.approx(57)
    # The order of trajectories is that of the package: its losses have to be taken with it.
    space = exact.comparisons.space
    for data in (law, drawn):

        def loss(at: Tensor, data: Tensor = data) -> Tensor:
            returns = space.returns(naive.reward_table(problem, at)[None])[0]
            gaps = returns[:, None] - returns[None, :]
            return -(data[0] * torch.nn.functional.logsigmoid(gaps)).sum()

        expected = naive.gradient(loss, phi[0])
        found = exact.data_gradient(phi, data)[0]
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("label", ["bandit", "episodic", "segments"])
def test_the_law_of_data_is_that_of_two_draws_and_a_label(label: str) -> None:
    """By the loss of data, which sees no order of trajectories, at points that span everything."""
    problem = PROBLEMS[label]
    _, one, _ = point(problem)
    exact = ExactInformation(problem)
    data = exact.preference_data(one, 1)
    expected = winners(problem, one[0])
    for seed in range(5):
        phi = 3 * random_point(seed, problem)
        gradient = naive.gradient(lambda at: data_loss(problem, at, expected), phi)
        found = exact.data_gradient(phi[None], data)[0]
        torch.testing.assert_close(found, gradient, rtol=1e-9, atol=1e-12)
    # Sorted probabilities do not depend on the order either.
    torch.testing.assert_close(
        data.flatten().sort().values, expected.flatten().sort().values, rtol=1e-9, atol=1e-14
    )


@pytest.mark.parametrize("mode", ["indices", "counts"])
def test_sampled_data_follow_the_law(mode: str) -> None:
    """A chi-square test over 16 outcomes, false-alarm probability 1e-6."""
    problem = random_problem(66, (2, 2, 1))
    _, one, _ = point(problem)
    pairs, replicates = (10, 4000) if mode == "indices" else (2000, 20)
    oracle = SampledOracle(problem, range(replicates))
    data = oracle.preference_data(one.expand(replicates, -1), pairs)
    law = ExactInformation(problem, comparisons=oracle.comparisons).preference_data(one, 1)[0]
    assert_frequencies((pairs * data).sum(0).flatten().round().numpy(), law.flatten().numpy())
    assert not torch.equal(data[0], data[1])


# --- implicit rewards


@pytest.mark.slow
@LABELS
def test_the_implicit_gradient_is_that_of_the_loss_at_a_fixed_law(label: str) -> None:
    """By automatic differentiation; the sampled mean with false-alarm probability 1e-6."""
    problem = PROBLEMS[label]
    _, one, _ = replicated(problem)
    expected = naive.gradient(lambda at: implicit_loss(problem, at, one[0]), one[0])
    found = ExactInformation(problem).implicit_gradient(one[:1], 1)[0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    oracle = SampledOracle(problem, range(REPLICATES))
    assert_mean(oracle.implicit_gradient(one, 30).numpy(), expected.numpy())


@pytest.mark.parametrize(
    "problem",
    [
        random_problem(71, (3, 3, 1), features=3),
        random_problem(72, (3, 3, 3), features=4, discount=0.7),
        random_problem(73, (3, 3, 3), features=4),
        random_discounted_problem(74, (4, 3), features=3),
    ],
)
def test_the_reward_of_an_optimal_policy_is_recovered(problem: Problem) -> None:
    # Random features of fewer dimensions than advantages: no reward but the true one explains pi*.
    phi = random_point(1, problem, 3)
    found = ExactInformation(problem).implied_upper(optimum(problem, phi))
    torch.testing.assert_close(found, phi, rtol=1e-9, atol=1e-10)


def test_the_implied_reward_of_a_tabular_class_has_the_same_optimum() -> None:
    """Tabular rewards are not identified; what is read off explains the policy exactly."""
    for problem in (random_problem(75, (3, 2, 1)), random_discounted_problem(76, (3, 2))):
        lower = random_log_policy(2, problem).reshape(1, -1)
        phi = ExactInformation(problem).implied_upper(lower)
        torch.testing.assert_close(optimum(problem, phi), lower, rtol=1e-9, atol=1e-10)


def test_methods_that_need_a_class_say_so() -> None:
    problem = random_problem(77, (2, 2, 2), features=2)
    model = MLPReward(width=4).bind(problem.model_inputs)
    information = ExactInformation(problem, reward_model=model)
    with pytest.raises(InvalidArgumentError, match=r"^reward.*search linear rewards"):
        information.implied_upper(random_log_policy(2, problem).reshape(1, -1))


# --- the Bellman penalty


def reached(problem: Problem) -> list[tuple[int, int]]:
    """Return the rows (h, s) that some policy reaches, step by step."""
    now = {s for s in range(problem.states) if problem.initial[s] > 0}
    rows, everywhere = [], set(now)
    moves = problem.transitions.sum(1) > 0
    for step in range(problem.steps if problem.horizon else problem.states + 1):
        if problem.horizon:
            rows += [(step, s) for s in sorted(now)]
        now = {t for s in now for t in range(problem.states) if moves[s, t]}
        everywhere |= now
    return rows if problem.horizon else [(0, s) for s in sorted(everywhere)]


def bellman_penalty(problem: Problem, phi: Tensor, logits: Tensor) -> Tensor:
    """Return ``beta sum nu KL(pi' || pi*)``, uniform over the rows that are reached."""
    shape = (problem.steps, problem.states, problem.actions)
    optimal = references.optimal_logits(problem, phi).reshape(shape).log_softmax(-1)
    policy = logits.reshape(shape).log_softmax(-1)
    divergence = (policy.exp() * (policy - optimal)).sum(-1)
    rows = reached(problem)
    return problem.kl_weight * sum(divergence[h, s] for h, s in rows) / len(rows)


def slopes(function: object, at: Tensor) -> Tensor:
    """Return central differences, step 1e-5: truncation 1e-10 times third derivatives near 1."""
    steps = 1e-5 * torch.eye(at.shape[0], dtype=at.dtype)
    return torch.stack([(function(at + s) - function(at - s)) / 2e-5 for s in steps])  # type: ignore[operator]


@LABELS
def test_the_bellman_penalty_by_central_differences(label: str) -> None:
    problem = PROBLEMS[label]
    phi, one, _ = point(problem)
    information, lower = ExactInformation(problem), optimum(problem, phi)
    in_upper = information.pointwise_penalty_in_upper(phi, lower, one, 1)[0]
    in_lower = information.pointwise_penalty_in_lower(phi, lower, one, 1)[0]
    expected = slopes(lambda at: bellman_penalty(problem, at, one[0]), phi[0])
    torch.testing.assert_close(in_upper, expected, rtol=1e-7, atol=1e-8)
    expected = slopes(lambda at: bellman_penalty(problem, phi[0], at), one[0])
    torch.testing.assert_close(in_lower, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.slow
@LABELS
def test_the_sampled_bellman_penalty_has_the_exact_mean(label: str) -> None:
    """False-alarm probability 1e-6; the gradient in the policy draws nothing and is exact."""
    problem = PROBLEMS[label]
    phi, one, two = replicated(problem)
    oracle = SampledOracle(problem, range(REPLICATES))
    exact = ExactInformation(problem, comparisons=oracle.comparisons)
    found = oracle.pointwise_penalty_in_upper(phi, one, two, 20)
    expected = exact.pointwise_penalty_in_upper(phi[:1], one[:1], two[:1], 20)
    assert_mean(found.numpy(), expected[0].numpy())
    drawn = oracle.counts
    slope = oracle.pointwise_penalty_in_lower(phi, one, two, 20)[:1]
    torch.testing.assert_close(
        slope, exact.pointwise_penalty_in_lower(phi[:1], one[:1], two[:1], 1)
    )
    assert oracle.counts == drawn
    assert np.isfinite(found.numpy()).all()
