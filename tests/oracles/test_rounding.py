"""Hypergradients in floating point: against many digits, where rounding could be magnified."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import many_digits
from helpers.generators import random_log_policy, random_point, random_problem
from torch import Tensor

from theory_check.errors import CertificationError
from theory_check.oracles import ExactOracle
from theory_check.oracles.control import control_of
from theory_check.problems import Problem, tabular


def discounted(
    seed: int,
    discount: float,
    kl_weight: float,
    scale: float = 1.0,
    objective: str = "cross_entropy",
) -> tuple[Problem, Tensor]:
    """Return two states and actions with three features, and a point."""
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((2, 2, 3))
    problem = tabular(
        transitions=generator.dirichlet(np.ones(2), size=(2, 2)),
        initial=generator.dirichlet(np.ones(2)),
        true_reward=features @ (scale * generator.standard_normal(3)),
        features=features,
        horizon=None,
        discount=discount,
        kl_weight=kl_weight,
        objective=objective,
    )
    return problem, torch.from_numpy(scale * generator.standard_normal(3))


def hardly_mixing(seed: int) -> tuple[Problem, Tensor]:
    """Return states that are left at rates over twelve decades, discounts, weights and sizes likewise."""
    generator = np.random.default_rng([seed, 7])
    states, actions = int(generator.integers(2, 5)), int(generator.integers(2, 4))
    kernel = 10.0 ** generator.uniform(-12, 0, size=(states, actions, states))
    kernel *= generator.random(kernel.shape) < 0.7
    for state in range(states):
        kernel[state, :, state] = 0
        leaving = kernel[state].sum(-1, keepdims=True)
        kernel[state] *= np.minimum(1, 0.9 / leaving.clip(0.9))
        kernel[state, :, state] = 1 - kernel[state].sum(-1)
    features = generator.standard_normal((states, actions, 3))
    scale = 10.0 ** generator.uniform(-3, 0.5)
    problem = tabular(
        transitions=kernel,
        initial=generator.dirichlet(np.ones(states)),
        true_reward=features @ (scale * generator.standard_normal(3)),
        features=features,
        horizon=None,
        discount=1 - 10.0 ** generator.uniform(-12, -0.3),
        kl_weight=10.0 ** generator.uniform(-2, 1),
        objective="excess_risk" if seed % 2 else "cross_entropy",
    )
    return problem, torch.from_numpy(scale * generator.standard_normal(3))


def relative_error(problem: Problem, phi: Tensor) -> float:
    expected = torch.tensor(many_digits.hypergradient(problem, phi.tolist()), dtype=torch.float64)
    found = ExactOracle(problem).hypergradient(phi)
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.slow
@pytest.mark.parametrize("kl_weight", [1.0, 0.01])
@pytest.mark.parametrize("gap", [1e-1, 1e-3, 1e-6, 1e-9, 1e-12])
def test_discounts_near_one_lose_nothing(gap: float, kl_weight: float) -> None:
    for seed in range(2):
        assert relative_error(*discounted(seed, 1 - gap, kl_weight)) < 1e-13


@pytest.mark.parametrize("objective", ["cross_entropy", "excess_risk"])
@pytest.mark.parametrize("scale", [1e-1, 1e-3, 1e-6, 1e-12])
def test_tiny_rewards_lose_nothing(scale: float, objective: str) -> None:
    # The divergence is summed to the sixth cumulant, which leaves 1e-12 of it.
    tolerance = 1e-11 if scale == 0.1 else 1e-13
    assert relative_error(*discounted(3, 0.9, 1.0, scale, objective)) < tolerance


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_states_that_hardly_mix_and_the_reported_error(seed: int) -> None:
    problem, phi = hardly_mixing(seed)
    expected = torch.tensor(many_digits.hypergradient(problem, phi.tolist()), dtype=torch.float64)
    oracle = ExactOracle(problem)
    error = (oracle.hypergradient(phi) - expected).norm()
    assert error <= 1e-10 * expected.norm()
    assert error <= oracle.hypergradient_error(phi)


def nearly_tied(kl_weight: float) -> tuple[Problem, Tensor]:
    """Return two actions whose rewards, near 1000, differ by 3e-13: by 2 or 3 roundings of them."""
    problem = tabular(
        transitions=np.ones((1, 2, 1)),
        initial=[1.0],
        true_reward=[[0.3, 0.0]],
        features=[[[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]],
        horizon=None,
        discount=0.9,
        kl_weight=kl_weight,
    )
    return problem, torch.tensor([1000.1, 0.7, 0.7 + 3e-13], dtype=torch.float64)


def test_what_rounding_spoils_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, phi = nearly_tied(1e-13)
    with pytest.raises(CertificationError, match=r"rounding leaves .* larger KL weight .*1e-13"):
        ExactOracle(problem).hypergradient(phi)
    assert ExactOracle(problem).hypergradient_error(phi) > 1e-3
    with monkeypatch.context() as unguarded:
        unguarded.setattr("theory_check.oracles.numerics.LARGEST_ERROR", np.inf)
        assert relative_error(problem, phi) > 1e-3
    # Rewards near 1000 carry an absolute rounding of 1e-13 into the logarithms of the policy.
    assert relative_error(*nearly_tied(1.0)) < 1e-12


def test_one_spoilt_replicate_refuses_and_says_so_but_broken_ones_stay_not_a_number() -> None:
    problem, phi = nearly_tied(1e-13)
    # Far from the tie one action is taken for sure, whatever rounding does.
    clear = torch.tensor([0.0, 5.0, -5.0], dtype=torch.float64)
    assert torch.isfinite(ExactOracle(problem).hypergradient(clear)).all()
    with pytest.raises(CertificationError):
        ExactOracle(problem).hypergradient(torch.stack([clear, phi]))


@pytest.mark.parametrize("horizon", [None, 3])
def test_ordinary_problems_are_not_perturbed(
    horizon: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = random_problem(1, (3, 2, 3)) if horizon else discounted(0, 0.95, 0.1)[0]
    oracle, phi = ExactOracle(problem), random_point(0, problem)
    expected = oracle.hypergradient(phi)
    assert oracle.hypergradient_error(phi) < 1e-11
    monkeypatch.delattr("theory_check.oracles.numerics.perturbed")
    assert torch.equal(oracle.hypergradient(phi), expected)


def test_at_the_truth_of_a_realisable_problem_nothing_is_refused() -> None:
    problem, _ = discounted(1, 1 - 1e-9, 0.01, objective="excess_risk")
    assert ExactOracle(problem).hypergradient(problem.true_parameters).norm() < 1e-12


@pytest.mark.parametrize("discount", [0.9, 1 - 1e-6])
@pytest.mark.parametrize("horizon", [None, 3])
def test_differences_of_visits_do_not_cancel(horizon: int | None, discount: float) -> None:
    problem = random_problem(2, (3, 2, 3), discount=discount)
    if horizon is None:
        problem = replace(problem, horizon=None, reference_policy=problem.reference_policy[:1])
    control = control_of(problem)
    one, other = (random_log_policy(seed, problem)[None] for seed in (0, 1))
    direction = random_log_policy(2, problem)[None]
    plain = control.reward_occupancy(one) - control.reward_occupancy(other)
    found = control.visit_difference(one, other)
    total = control.reward_occupancy(one).sum()
    assert (found - plain).abs().max() <= 1e-15 * total / (1 if horizon else 1 - discount)
    assert found.sum().abs() <= 1e-14 * total

    def moved(size: float) -> Tensor:
        return control.visit_difference(one, torch.log_softmax(one + size * direction, -1))

    # Linear in a small change of the policy, up to its size.
    assert (moved(2e-9) / moved(1e-9) - 2).abs().max() < 1e-5
