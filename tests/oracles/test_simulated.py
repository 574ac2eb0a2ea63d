"""Samples drawn step by step, where there are too many trajectories: the same law and counters."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from theory_check.errors import InvalidArgumentError, SampleBudgetExhausted
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import Problem, garnet
from theory_check.problems.preferences import BradleyTerry, Thurstone

REPLICATES = 400
SAMPLES = 40
# Both tails of a standard normal beyond 5.5, over at most 300 numbers a test: false alarm 1.2e-5.
LARGEST_Z = 5.5

EPISODIC = garnet(states=3, actions=2, horizon=3, discount=0.9, seed=4)
DISCOUNTED = garnet(states=3, actions=2, horizon=None, discount=0.8, segment_length=2, seed=5)


def without_an_action(problem: Problem) -> Problem:
    """Return the problem without one action of one state."""
    mask = torch.ones(problem.states, problem.actions, dtype=torch.bool)
    mask[1, 0] = False
    reference = problem.reference_policy * mask
    reference = reference / reference.sum(-1, keepdim=True)
    return dataclasses.replace(problem, reference_policy=reference, action_mask=mask)


PROBLEMS = {
    "episodic": EPISODIC,
    "excess risk": garnet(states=3, actions=2, horizon=2, objective="excess_risk", seed=6),
    "discounted": DISCOUNTED,
    "ties": EPISODIC.with_preferences(BradleyTerry(temperature=3.0, random_share=0.2, tie=0.3)),
    "normal": DISCOUNTED.with_preferences(Thurstone(deviation=0.5)),
    "masked": without_an_action(EPISODIC),
    "masked, discounted": without_an_action(DISCOUNTED),
}


def oracles(
    problem: Problem, seeds: range = range(REPLICATES)
) -> tuple[SampledOracle, ExactInformation]:
    """Sampled step by step whatever can be enumerated, and the expectations by enumeration."""
    upper = ExactOracle(problem, way="steps").upper
    return SampledOracle(problem, seeds, comparisons=upper), ExactInformation(problem)


def points(exact: ExactInformation) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def drawn(size: int) -> Tensor:
        return torch.randn(1, size, dtype=torch.float64, generator=generator)

    sizes = exact.reward_model.parameters, exact.policy_model.parameters
    upper, lower = drawn(sizes[0]), drawn(sizes[1])
    # Near enough for importance weights to have moderate moments.
    return upper, lower, lower + 0.3 * drawn(sizes[1])


def largest_z(found: Tensor, expected: Tensor) -> float:
    deviation = found.std(0) / math.sqrt(found.shape[0])
    difference = (found.mean(0) - expected[0]).abs()
    assert bool((difference[deviation == 0] <= 1e-12).all())
    return (difference / deviation.clamp_min(1e-300))[deviation > 0].max().item()


@pytest.mark.slow
@pytest.mark.parametrize("label", PROBLEMS)
@pytest.mark.parametrize("coupling", ["independent", "shared"])
def test_means_are_the_exact_expectations(label: str, coupling: str) -> None:
    """Every gradient of the interface; a label drawn from the learner's law is seen by a test below."""
    sampled, exact = oracles(PROBLEMS[label])
    upper, lower, penalised = points(exact)
    rows = [each.expand(REPLICATES, -1) for each in (upper, lower, penalised)]
    found = sampled.lower_gradients(*rows, SAMPLES, coupling)
    expected = exact.lower_gradients(upper, lower, penalised, 1, coupling)
    assert largest_z(found.at_lower, expected.at_lower) < LARGEST_Z
    assert largest_z(found.at_penalised, expected.at_penalised) < LARGEST_Z
    difference = sampled.penalty_difference(*rows, SAMPLES, coupling)
    expected_difference = exact.penalty_difference(upper, lower, penalised, 1, coupling)
    assert largest_z(difference, expected_difference) < LARGEST_Z


@pytest.mark.slow
@pytest.mark.parametrize("label", PROBLEMS)
def test_labelled_pairs_have_the_exact_expectation(label: str) -> None:
    sampled, exact = oracles(PROBLEMS[label])
    upper, lower, _ = points(exact)
    rows = [each.expand(REPLICATES, -1) for each in (upper, lower)]
    found, expected = (
        sampled.upper_gradients(*rows, SAMPLES),
        exact.upper_gradients(upper, lower, 1),
    )
    assert largest_z(found.in_upper, expected.in_upper) < LARGEST_Z
    assert largest_z(found.in_lower, expected.in_lower) < LARGEST_Z
    direct = sampled.upper_gradient(*rows, SAMPLES)
    assert largest_z(direct, exact.upper_gradient(upper, lower, 1)) < LARGEST_Z


@pytest.mark.slow
def test_labels_of_another_law_are_seen() -> None:
    """The planted variant: labels of the learner's law against the expectations of another."""
    sampled, _ = oracles(EPISODIC)
    exact = ExactInformation(PROBLEMS["ties"])
    upper, lower, _ = points(exact)
    rows = [each.expand(REPLICATES, -1) for each in (upper, lower)]
    found = sampled.upper_gradients(*rows, 10 * SAMPLES)
    expected = exact.upper_gradients(upper, lower, 1)
    assert largest_z(found.in_upper, expected.in_upper) > 2 * LARGEST_Z


@pytest.mark.slow
@pytest.mark.parametrize("label", ["episodic", "discounted"])
def test_spreads_are_those_of_counted_samples(label: str) -> None:
    """Variances of both ways of drawing, 400 seeds each: F within 1.9 has a false alarm of 1e-8."""
    problem = PROBLEMS[label]
    simulated, exact = oracles(problem)
    counted = SampledOracle(problem, range(1000, 1000 + REPLICATES))
    upper, lower, penalised = points(exact)
    rows = [each.expand(REPLICATES, -1) for each in (upper, lower, penalised)]
    for name, arguments in {
        "lower_gradient": (*rows[:2], SAMPLES),
        "upper_gradient": (*rows[:2], SAMPLES),
        "penalty_difference": (*rows, SAMPLES, "independent"),
    }.items():
        one, other = (getattr(each, name)(*arguments).var(0).sum() for each in (simulated, counted))
        assert 1 / 1.9 < one / other < 1.9, name


@pytest.mark.parametrize("label", PROBLEMS)
def test_counters_are_those_of_counted_samples(label: str) -> None:
    problem = PROBLEMS[label]
    simulated, exact = oracles(problem, range(2))
    counted = SampledOracle(problem, range(2))
    upper, lower, penalised = (each.expand(2, -1) for each in points(exact))
    for oracle in (simulated, counted):
        oracle.lower_gradients(upper, lower, penalised, 3, "independent")
        oracle.upper_gradients(upper, lower, 5)
        oracle.penalty_difference(upper, lower, penalised, 7, "shared")
        oracle.upper_gradient(upper, lower, 2)
        oracle.total_gradient(upper, lower, 3, 4)
    assert simulated.counts == counted.counts


def test_a_replicate_draws_from_its_own_seed() -> None:
    together, exact = oracles(EPISODIC, range(3))
    alone, _ = oracles(EPISODIC, range(2, 3))
    upper, lower, _ = points(exact)
    rows = [each.expand(3, -1) for each in (upper, lower)]
    found, own = together.upper_gradients(*rows, 5), alone.upper_gradients(upper, lower, 5)
    assert torch.equal(found.in_upper[2:], own.in_upper)
    assert torch.equal(found.in_lower[2:], own.in_lower)


def test_a_budget_ends_before_it_is_exceeded() -> None:
    upper = ExactOracle(EPISODIC, way="steps").upper
    sampled = SampledOracle(EPISODIC, [0], comparisons=upper, sample_budget=10)
    phi, lower, _ = points(ExactInformation(EPISODIC))
    with pytest.raises(SampleBudgetExhausted):
        sampled.upper_gradients(phi, lower, 4)
    assert sampled.counts.samples == 0


def test_batches_that_would_take_minutes_are_refused_before_they_are_counted() -> None:
    sampled, exact = oracles(EPISODIC, range(1))
    upper, lower, _ = points(exact)
    with pytest.raises(InvalidArgumentError, match=r"^samples: received 10000000000 in a batch"):
        sampled.upper_gradients(upper, lower, 10**10)
    assert sampled.counts.samples == 0


def test_a_budget_that_ends_first_ends_such_batches() -> None:
    """Of the settings that are compared some are too large for any budget: they end like others."""
    upper = ExactOracle(EPISODIC, way="steps").upper
    sampled = SampledOracle(EPISODIC, [0], comparisons=upper, sample_budget=10**9)
    phi, lower, _ = points(ExactInformation(EPISODIC))
    with pytest.raises(SampleBudgetExhausted):
        sampled.upper_gradients(phi, lower, 10**10)
    with pytest.raises(SampleBudgetExhausted):
        sampled.penalty_difference(phi, lower, lower, 10**10, "independent")


def test_a_policy_that_is_not_finite_spoils_its_own_replicate_alone() -> None:
    sampled, exact = oracles(EPISODIC, range(2))
    upper, lower, _ = (each.expand(2, -1).clone() for each in points(exact))
    lower[0] = torch.nan
    found = sampled.upper_gradients(upper, lower, 4)
    assert bool(found.in_upper[0].isnan().all())
    assert bool(found.in_upper[1].isfinite().all())
