"""Leading terms of the penalty reformulation against certified levels, enumeration and eigenvalues."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import naive
from helpers.generators import random_discounted_problem, random_point, random_problem

from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.optima.lower_spectrum import (
    curvature_at_reference,
    gap_gradient_in_logits,
    largest_curvature,
    log_smallest_curvature,
    log_smallest_eigenvalue,
    smoothness_bound,
)
from theory_check.oracles.optima.noise_limit import noise_limit
from theory_check.oracles.optima.penalty_limit import (
    bias_gradient,
    divergence_factor,
    largest_loss,
    penalty_limit,
)
from theory_check.oracles.solutions.curvature import hessian
from theory_check.problems import Problem, bandit, tabular

EPISODIC = random_problem(3, (3, 2, 3), features=3, discount=0.9)
UNDISCOUNTED = random_problem(5, (3, 3, 2), features=2, objective="excess_risk")
DISCOUNTED = random_discounted_problem(4, (4, 3), features=3, discount=0.8)
SEGMENTS = random_discounted_problem(6, (3, 2), features=2, discount=0.6, segment_length=2)
CASES = {
    "episodic": EPISODIC,
    "undiscounted": UNDISCOUNTED,
    "discounted": DISCOUNTED,
    "segments": SEGMENTS,
}
EVERY = pytest.mark.parametrize("name", CASES)


def extrapolated(coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
    """Return the limit of what has errors of order sigma, from sigma and half of it."""
    return 2 * fine - coarse


@pytest.mark.slow
@EVERY
def test_biases_are_those_of_certified_penalised_levels(name: str) -> None:
    """Extrapolated from sigma = 2e-3 and 1e-3: the error is of order sigma², some 1e-5 of the bias."""
    exact = ExactOracle(CASES[name])
    phi = random_point(1, CASES[name], 3)
    value, gradient = exact.hyperobjective(phi), exact.hypergradient(phi)
    values, gradients = [], []
    for sigma in (2e-3, 1e-3):
        values.append((value - exact.penalised_objective(phi, sigma)) / sigma)
        gradients.append((gradient - exact.penalised_gradient(phi, sigma)) / sigma)
    bias = penalty_limit(exact, phi).bias
    torch.testing.assert_close(bias / 2, extrapolated(*values), rtol=1e-4, atol=1e-12)
    # Differences of length 1e-3 err by 2e-7 times a third derivative of q.
    found = bias_gradient(exact, phi, 1e-3) / 2
    torch.testing.assert_close(found, extrapolated(*gradients), rtol=1e-3, atol=1e-7)


@EVERY
def test_the_response_is_how_the_penalised_policy_moves(name: str) -> None:
    exact = ExactOracle(CASES[name])
    phi = random_point(2, CASES[name], 2)
    limit = penalty_limit(exact, phi)
    moved = [
        (exact.penalised_policy(phi, sigma).reshape(limit.optimal.shape) - limit.optimal) / sigma
        for sigma in (2e-3, 1e-3)
    ]
    torch.testing.assert_close(limit.response, extrapolated(*moved), rtol=1e-3, atol=1e-5)
    mean = (limit.optimal.exp() * limit.response).sum(-1)
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-12)


@EVERY
def test_curvatures_are_eigenvalues_of_the_differenced_hessian(name: str) -> None:
    """Of each row one eigenvalue is 0; the Hessian is right to some 1e-6 of its size."""
    exact = ExactOracle(CASES[name])
    phi = random_point(3, CASES[name], 2)
    limit, control = penalty_limit(exact, phi), exact.control
    eigenvalues = torch.linalg.eigvalsh(
        hessian(
            lambda at, owner: gap_gradient_in_logits(control, at, limit.optimal[owner]),
            limit.optimal.flatten(1),
        )
    )
    rows = limit.visits[0].numel()
    smallest = log_smallest_curvature(control, limit.optimal, limit.visits).exp()
    torch.testing.assert_close(smallest, eigenvalues[:, rows], rtol=1e-3, atol=1e-7)
    largest = largest_curvature(control, limit.optimal, limit.visits)
    torch.testing.assert_close(largest, eigenvalues[:, -1], rtol=1e-5, atol=0)


def test_the_curvature_at_the_reference_is_that_of_its_hessian() -> None:
    exact = ExactOracle(UNDISCOUNTED)
    reward = exact.reward_model.table(random_point(3, UNDISCOUNTED, 2))
    optimal = exact.control.optimal_log_policy(reward)
    start = exact.control.log_reference.expand_as(optimal).flatten(1)
    norms = torch.linalg.matrix_norm(
        hessian(lambda at, owner: gap_gradient_in_logits(exact.control, at, optimal[owner]), start),
        ord=2,
    )
    # Power iterations approach it from below.
    found = curvature_at_reference(exact.control, reward)
    assert bool((found <= norms * (1 + 1e-6)).all())
    torch.testing.assert_close(found, norms, rtol=0.02, atol=0)


def test_the_smallest_eigenvalue_of_a_covariance_of_indicators() -> None:
    """Against the decomposition, on random laws of 2 to 6 actions, one of them twice the least."""
    generator = torch.Generator().manual_seed(5)
    for actions in range(2, 7):
        law = torch.rand(50, actions, generator=generator, dtype=torch.float64) + 0.01
        law[0] = 1.0
        law[1, :2] = 0.005
        law = law / law.sum(-1, keepdim=True)
        blocks = torch.diag_embed(law) - law[:, :, None] * law[:, None, :]
        expected = torch.linalg.eigvalsh(blocks)[:, 1]
        found = log_smallest_eigenvalue(law.log()).exp()
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)
        least = law.amin(-1)
        assert bool((found >= least * (1 - 1e-12)).all())
        assert bool((found <= least * actions / (actions - 1) * (1 + 1e-12)).all())


def test_the_smallest_eigenvalue_far_below_rounding_and_without_a_choice() -> None:
    """Of two actions it is 2 p (1-p), here exp(-400); absent actions are no actions."""
    one = torch.tensor([[-400.0, 0.0, -torch.inf], [0.0, -torch.inf, -torch.inf]]).to(torch.float64)
    found = log_smallest_eigenvalue(one)
    assert found[0].item() == pytest.approx(np.log(2.0) - 400.0, rel=1e-14)
    assert found[1].item() == torch.inf


@pytest.mark.parametrize("name", ["undiscounted", "discounted", "segments"])
def test_the_score_has_the_second_moment_q_over_beta(name: str) -> None:
    """Trajectories without a discount and rollouts that stop: ``E[U²] = q / beta`` (section 5.14)."""
    exact = ExactOracle(CASES[name])
    limit = penalty_limit(exact, random_point(4, CASES[name], 3))
    found = noise_limit(exact.control, CASES[name].features, limit).information
    torch.testing.assert_close(found, limit.bias / CASES[name].kl_weight, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["episodic", "undiscounted"])
def test_noise_of_episodes_is_that_of_all_trajectories(name: str) -> None:
    """Sums over paths that share no code: features along them, and the scores of their actions."""
    problem = CASES[name]
    exact = ExactOracle(problem)
    limit = penalty_limit(exact, random_point(5, problem, 1))
    law = naive.law(problem, limit.optimal[0])
    visited = [path.visited for path in naive.paths(problem)]
    gradients = torch.stack(
        [
            sum(problem.discount**h * problem.features[s, a] for h, (s, a) in enumerate(path))
            for path in visited
        ]
    )
    scores = torch.stack(
        [sum(limit.response[0, h, s, a] for h, (s, a) in enumerate(path)) for path in visited]
    )

    def spread(values: torch.Tensor) -> torch.Tensor:
        return law @ values.square().sum(-1) - (law @ values).square().sum()

    found = noise_limit(exact.control, problem.features, limit)
    assert found.independent.item() == pytest.approx(2 * spread(gradients).item(), rel=1e-11)
    assert found.shared.item() == pytest.approx(
        spread(scores[:, None] * gradients).item(), rel=1e-11
    )


def test_noise_of_rollouts_that_stop_is_that_of_a_generating_function() -> None:
    """``E[exp(t U) Y]`` is one solve with the kernel ``pi exp(t u) P``; differenced twice in t.

    Differences of length 1e-3 and 2e-3 are extrapolated: an error of order 1e-12 and rounding of 1e-10.
    """
    problem = DISCOUNTED
    exact = ExactOracle(problem)
    limit = penalty_limit(exact, random_point(6, problem, 1))
    gamma, policy, score = problem.discount, limit.optimal[0, 0].exp(), limit.response[0, 0]
    kernel = exact.control.dynamics.dense("a test")
    identity = torch.eye(problem.states, dtype=torch.float64)

    def mean(t: float, target: torch.Tensor) -> torch.Tensor:
        weight = policy * (t * score).exp()
        system = identity - gamma * torch.einsum("sa,sat->st", weight, kernel)
        right = (1 - gamma) * (weight[..., None] * target).sum(1)
        return problem.initial @ torch.linalg.solve(system, right)

    features = problem.features / (1 - gamma)
    square = features.square().sum(-1, keepdim=True)

    def curvature(step: float) -> torch.Tensor:
        return (mean(step, square) - 2 * mean(0.0, square) + mean(-step, square)) / step**2

    def slope(step: float) -> torch.Tensor:
        return (mean(step, features) - mean(-step, features)) / (2 * step)

    second = (4 * curvature(1e-3) - curvature(2e-3)) / 3
    first = (4 * slope(1e-3) - slope(2e-3)) / 3
    found = noise_limit(exact.control, problem.features, limit)
    spread = mean(0.0, square) - mean(0.0, features).square().sum()
    assert found.independent.item() == pytest.approx(2 * spread.item(), rel=1e-11)
    assert found.shared.item() == pytest.approx((second - first.square().sum()).item(), rel=1e-6)


@pytest.mark.slow
@EVERY
def test_the_value_bias_is_below_its_bound_at_every_sigma(name: str) -> None:
    """Not in the limit alone; a bound without beta in it is refuted on the same problems (planted)."""
    problem = CASES[name]
    exact = ExactOracle(problem)
    phi = 3 * random_point(7, problem, 4)
    value = exact.hyperobjective(phi)
    bound = divergence_factor(problem) * largest_loss(exact, phi).square() / 4
    for sigma in (1e-3, 0.1, 1.0, 10.0):
        bias = value - exact.penalised_objective(phi, sigma)
        assert bool((bias >= -1e-13).all())
        assert bool((bias <= sigma * bound / problem.kl_weight).all())


def test_the_value_bound_is_not_vacuous() -> None:
    """Two actions and a reward that is wrong about them: a tenth of the bound is exceeded.

    So a bound with ``l / 4`` in the place of l (planted) is refuted.
    """
    problem = tabular(
        transitions=[[[1.0], [1.0]]],
        initial=[1.0],
        true_reward=[[8.0, 0.0]],
        features=[[[1.0], [0.0]]],
        horizon=1,
        kl_weight=8.0,
    )
    exact = ExactOracle(problem)
    phi = torch.linspace(-8.0, -1.0, 15, dtype=torch.float64)[:, None]
    bound = largest_loss(exact, phi).square() / (4 * problem.kl_weight)
    share = penalty_limit(exact, phi).bias / (2 * bound)
    assert bool((share <= 1).all())
    assert share.max().item() > 1 / 16


def scaled(problem: Problem, factor: float) -> Problem:
    """Return the problem with features and KL weight times ``factor``."""
    return replace(
        problem, features=factor * problem.features, kl_weight=factor * problem.kl_weight
    )


def test_rewards_and_kl_weight_in_other_units_leave_the_policy_and_scale_the_lower_level() -> None:
    first, second = ExactOracle(UNDISCOUNTED), ExactOracle(scaled(UNDISCOUNTED, 3.0))
    phi = random_point(8, UNDISCOUNTED, 4)
    one, other = penalty_limit(first, phi), penalty_limit(second, phi)
    torch.testing.assert_close(one.optimal, other.optimal, rtol=0, atol=1e-12)
    for curvature in (
        lambda exact, limit: log_smallest_curvature(exact.control, limit.optimal, limit.visits),
        lambda exact, limit: largest_curvature(exact.control, limit.optimal, limit.visits).log(),
        lambda exact, limit: smoothness_bound(
            exact.control, exact.reward_model.table(phi), 2.0
        ).log(),
        lambda exact, limit: curvature_at_reference(
            exact.control, exact.reward_model.table(phi)
        ).log(),
    ):
        change = curvature(second, other) - curvature(first, one)
        torch.testing.assert_close(change, torch.full_like(change, np.log(3.0)), rtol=1e-6, atol=0)


def test_copies_of_contexts_change_the_smallest_curvature_alone() -> None:
    """Three copies of every context: q and both noises as before, mu a third (section 5.14)."""
    single = bandit(contexts=2, actions=3, features=2, objective="excess_risk", seed=3)
    states, actions, copies = 2, 3, 3
    stay = np.repeat(np.eye(copies * states)[:, None, :], actions, axis=1)
    copied = tabular(
        transitions=stay,
        initial=np.full(copies * states, 1 / (copies * states)),
        true_reward=np.tile(single.true_reward.numpy(), (copies, 1)),
        features=np.tile(single.features.numpy(), (copies, 1, 1)),
        horizon=1,
        objective="excess_risk",
    )
    phi = random_point(9, single, 4)
    found = []
    for problem in (single, copied):
        exact = ExactOracle(problem)
        limit = penalty_limit(exact, phi)
        noise = noise_limit(exact.control, problem.features, limit)
        smallest = log_smallest_curvature(exact.control, limit.optimal, limit.visits)
        gradient = bias_gradient(exact, phi, 1e-3)
        found.append((limit.bias, gradient, noise.independent, noise.shared, smallest.exp(), exact))
    for one, other in zip(*(each[:4] for each in found), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(found[0][4], copies * found[1][4], rtol=1e-10, atol=0)
    # By another route, the Hessian of Phi itself, which the derivation says is unchanged too.
    curves = [hessian(lambda at, _, exact=each[5]: exact.hypergradient(at), phi) for each in found]
    torch.testing.assert_close(*curves, rtol=1e-8, atol=1e-10)


def test_copies_of_actions_that_share_their_probability_change_the_smallest_curvature_alone() -> (
    None
):
    """Two copies of every action, each with half of its reference probability (section 5.14)."""
    single = bandit(contexts=2, actions=3, features=2, objective="excess_risk", seed=3)
    copied = tabular(
        transitions=np.repeat(single.transitions.numpy(), 2, axis=1),
        initial=single.initial.numpy(),
        true_reward=np.repeat(single.true_reward.numpy(), 2, axis=1),
        features=np.repeat(single.features.numpy(), 2, axis=1),
        horizon=1,
        objective="excess_risk",
    )
    phi = random_point(9, single, 4)
    found = []
    for problem in (single, copied):
        exact = ExactOracle(problem)
        limit = penalty_limit(exact, phi)
        noise = noise_limit(exact.control, problem.features, limit)
        smallest = log_smallest_curvature(exact.control, limit.optimal, limit.visits).exp()
        value = exact.hyperobjective(phi)
        found.append((value, limit.bias, noise.independent, noise.shared, smallest))
    for one, other in zip(found[0][:4], found[1][:4], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    # Of two equal copies of the least probable action the eigenvalue is their probability.
    least = penalty_limit(ExactOracle(single), phi).optimal.exp().flatten(1).amin(-1)
    torch.testing.assert_close(found[1][4], least / 2 / 2, rtol=1e-9, atol=0)
    assert bool((found[1][4] < found[0][4]).all())


def test_steps_near_the_optimum_contract_by_the_smallest_curvature() -> None:
    """``(1 - alpha mu)²`` per step of the gap, from a start along the flattest direction."""
    exact = ExactOracle(UNDISCOUNTED)
    control = exact.control
    limit = penalty_limit(exact, random_point(10, UNDISCOUNTED, 2))
    smallest = log_smallest_curvature(control, limit.optimal, limit.visits).exp()
    step = 1 / largest_curvature(control, limit.optimal, limit.visits)

    def gradient(at: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
        return gap_gradient_in_logits(control, at, limit.optimal[owner])

    curved = torch.linalg.eigh(hessian(gradient, limit.optimal.flatten(1)))
    flattest = curved.eigenvectors[..., limit.visits[0].numel()]
    logits = limit.optimal.flatten(1) + 1e-4 * flattest
    gaps = []
    for _ in range(21):
        log_policy = control.normalised(logits.reshape(limit.optimal.shape))
        gaps.append(control.lower_gap(log_policy, limit.optimal))
        logits = logits - step[:, None] * gap_gradient_in_logits(control, logits, limit.optimal)
    ratio = (gaps[-1] / gaps[0]) ** (1 / 20)
    torch.testing.assert_close(ratio, (1 - smallest * step).square(), rtol=1e-4, atol=0)
    # Planted: min p in the place of the eigenvalue, right to a factor A/(A-1), is seen.
    least = (limit.visits[..., None] * limit.optimal.exp()).flatten(1).amin(-1)
    planted = (1 - UNDISCOUNTED.kl_weight * least * step).square()
    assert bool(((planted - ratio).abs() > 1e-3).all())
