"""The upper objective without pairs: against enumeration, many digits, differences and simulation."""

from __future__ import annotations

import dataclasses
import itertools
import math

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor

from theory_check.errors import EnumerationBudgetError, InvalidArgumentError
from theory_check.oracles.comparisons.characteristic import CharacteristicSums
from theory_check.oracles.comparisons.series import pair_series, window_of
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.rlhf_truth import (
    comparable_rewards,
    range_of_covariance,
    visit_covariance,
)
from theory_check.problems import Problem, bandit, garnet, tabular
from theory_check.problems.preferences import BradleyTerry, PreferenceLaw, Thurstone

LAWS: tuple[PreferenceLaw, ...] = (
    BradleyTerry(),
    BradleyTerry(temperature=0.4, random_share=0.1, tie=0.7),
    Thurstone(deviation=1.5),
    Thurstone(deviation=0.6, random_share=0.2),
)


def shapes() -> list[dict]:
    """40 small problems: both versions and objectives, discounts 0.5 to 1, sparse and dense kernels."""
    found: list[dict] = []
    for objective in ("cross_entropy", "excess_risk"):
        for horizon, discount in itertools.product((1, 2, 4), (1.0, 0.8, 0.5)):
            found.append({"horizon": horizon, "discount": discount, "objective": objective})
        for length, discount in itertools.product((1, 2, 3), (0.9, 0.7, 0.5)):
            found.append(
                {
                    "horizon": None,
                    "discount": discount,
                    "segment_length": length,
                    "objective": objective,
                }
            )
    found += [
        {"horizon": 3, "branching": 3, "kl_weight": 0.3},
        {"horizon": 3, "branching": 1, "reward_scale": 4.0},
        {"horizon": None, "discount": 0.6, "branching": 3, "kl_weight": 3.0},
        {"horizon": 2, "features": 2, "misspecification": 0.7},
    ]
    return [{"seed": seed, **shape} for seed, shape in enumerate(found)]


def point(problem: Problem, rows: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, problem.parameters, dtype=torch.float64, generator=generator)


def other_ways(problem: Problem) -> list[str]:
    one = (problem.horizon or problem.segment_length) == 1
    return ["steps", "outcomes"] if one else ["steps"]


def test_there_are_forty_problems() -> None:
    assert len(shapes()) == 40


@pytest.mark.slow
@pytest.mark.parametrize("shape", shapes(), ids=lambda shape: str(shape["seed"]))
def test_every_way_gives_the_same(shape: dict) -> None:
    """Values to 1e-12 absolutely, hypergradients and their parts to 1e-11 relatively."""
    problem = garnet(states=3, actions=2, **shape)
    phi, pairs = point(problem), ExactOracle(problem, way="pairs")
    reward = pairs.reward_model.table(phi)
    policy = torch.log_softmax(torch.randn_like(pairs.control.optimal_log_policy(reward)), dim=-1)
    expected = pairs.evaluate_upper(reward, policy)
    for way in other_ways(problem):
        exact = ExactOracle(problem, way=way)
        assert exact.upper.way == way
        assert (exact.hyperobjective(phi) - pairs.hyperobjective(phi)).abs().max() <= 1e-12
        assert_close(exact.hypergradient(phi), pairs.hypergradient(phi), 1e-11)
        found = exact.evaluate_upper(reward, policy)
        assert_close(found.reward_gradient, expected.reward_gradient, 1e-11)
        along = (centred(each.policy_gradient, policy) for each in (found, expected))
        assert_close(*along, 1e-11)
        returns = exact.upper.largest_return(reward), pairs.upper.largest_return(reward)
        torch.testing.assert_close(*returns, rtol=1e-14, atol=0.0)


def centred(table: Tensor, log_policy: Tensor) -> Tensor:
    """Leave out what directions in which rows stay distributions do not see."""
    return table - log_policy.exp() * table.sum(-1, keepdim=True)


def assert_close(found: Tensor, expected: Tensor, relative: float) -> None:
    assert (found - expected).norm() <= relative * expected.norm()


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("objective", ["cross_entropy", "excess_risk"])
def test_every_way_gives_the_same_for_other_labels(law: PreferenceLaw, objective: str) -> None:
    problems = (
        garnet(states=3, actions=2, horizon=3, seed=1, objective=objective),
        garnet(
            states=3, actions=2, horizon=None, discount=0.7, segment_length=2, objective=objective
        ),
        bandit(contexts=2, actions=4, objective=objective),
    )
    for problem in (each.with_preferences(law) for each in problems):
        phi, pairs = point(problem), ExactOracle(problem, way="pairs")
        for way in other_ways(problem):
            exact = ExactOracle(problem, way=way)
            assert (exact.hyperobjective(phi) - pairs.hyperobjective(phi)).abs().max() <= 1e-12
            assert_close(exact.hypergradient(phi), pairs.hypergradient(phi), 1e-11)


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("window", [1.0, 12.0, 80.0])
def test_sums_stand_for_the_loss_of_a_pair(law: PreferenceLaw, window: float) -> None:
    """Against 40 digits; the error of the cross-entropy's part grows with the window."""
    series = pair_series(window_of(window), law)
    for x in np.linspace(-window, window, 9):
        cosines = np.cos(series.frequencies * x)
        advantage = np.sin(series.frequencies * x) @ series.odd
        assert abs(advantage - float(precise_advantage(law, x))) <= 1e-14
        assert (
            abs(series.certain + series.entropy @ cosines - float(precise_entropy(law, x))) <= 1e-13
        )
        if law.standard:
            with mpmath.workdps(40):
                expected = float(mpmath.log(2 * mpmath.cosh(mpmath.mpf(x) / 2)))
            assert abs(series.constant - series.even @ cosines - expected) <= 2e-16 * (window + 45)


def precise_advantage(law: PreferenceLaw, x: float) -> mpmath.mpf:
    with mpmath.workdps(40):
        difference = mpmath.mpf(x)
        if isinstance(law, Thurstone):
            decided = mpmath.erf(difference / (mpmath.sqrt(2) * mpmath.mpf(law.deviation)))
        else:
            assert isinstance(law, BradleyTerry)
            scale = 2 * mpmath.mpf(law.temperature)
            ahead = mpmath.tanh((difference + mpmath.mpf(law.tie)) / scale)
            decided = (ahead + mpmath.tanh((difference - mpmath.mpf(law.tie)) / scale)) / 2
        return (1 - mpmath.mpf(law.random_share)) * decided


def precise_entropy(law: PreferenceLaw, x: float) -> mpmath.mpf:
    with mpmath.workdps(40):
        chance = (1 + precise_advantage(law, x)) / 2
        return -sum(each * mpmath.log(each) for each in (chance, 1 - chance) if each)


def test_the_strip_of_a_normal_law_keeps_clear_of_its_zeros() -> None:
    """Zeros of ``(1 - e) erfc(z) / 2 + e / 2`` by Newton's method from where they lie for small e."""
    for share in (1e-12, 1e-6, 1e-3, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9):
        with mpmath.workdps(30):
            height = mpmath.sqrt(max(math.log(1 / share), 0.5))
            start = mpmath.mpc(height, mpmath.pi / (2 * height))
            level = share / (1 - mpmath.mpf(share))
            zero = mpmath.findroot(
                lambda z, level=level: mpmath.log(-mpmath.erfc(z) / level), start
            )
            assert abs(mpmath.erfc(zero) + level) < 1e-9 * level
        strip = Thurstone(random_share=share).strip
        assert 0.75 * math.sqrt(2) * zero.imag <= strip <= math.sqrt(2) * zero.imag


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [30, 60])
def test_hypergradients_of_long_horizons_are_differences(horizon: int) -> None:
    """Central differences, of step 1e-4: an error of 1e-8, and 1e-10 from rounding."""
    problem = garnet(states=6, actions=3, horizon=horizon, features=5, seed=horizon)
    exact, phi = ExactOracle(problem), point(problem, 1)
    assert exact.upper.way == "steps"
    moves = 1e-4 * torch.eye(problem.parameters, dtype=torch.float64)
    ahead, behind = exact.hyperobjective(phi + moves), exact.hyperobjective(phi - moves)
    assert_close((ahead - behind) / 2e-4, exact.hypergradient(phi)[0], 1e-6)


@pytest.mark.slow
def test_a_long_horizon_agrees_with_simulation() -> None:
    """Mean loss of 4e5 pairs: |z| <= 4.9, false alarm 1e-6; a term left out of the loss is seen at 50."""
    problem = garnet(states=20, actions=4, horizon=20, seed=3)
    exact, phi = ExactOracle(problem), point(problem, 1)
    policy = exact.optimal_policy(phi)[0].exp().numpy()
    tables = exact.reward_model.table(phi)[0].numpy(), problem.true_reward.numpy()
    generator = np.random.default_rng(5)
    returns, true_returns = simulated(problem, policy, tables, 800_000, generator)
    difference = returns[::2] - returns[1::2]
    true_difference = true_returns[::2] - true_returns[1::2]
    loss = np.logaddexp(0.0, difference) - difference / (1 + np.exp(-true_difference))
    deviation = loss.std() / math.sqrt(loss.size)
    found = exact.hyperobjective(phi).item()
    assert abs(loss.mean() - found) <= 4.9 * deviation
    without_entropy = (np.logaddexp(0.0, difference) - 0.5 * difference).mean()
    assert abs(without_entropy - found) > 50 * deviation


def simulated(
    problem: Problem,
    policy: np.ndarray,
    rewards: tuple[np.ndarray, ...],
    number: int,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """Follow a policy step by step; shares nothing with the package."""
    states = generator.choice(problem.states, size=number, p=problem.initial.numpy())
    cumulative = problem.transitions.numpy().cumsum(-1)
    returns = [np.zeros(number) for _ in rewards]
    for step in range(problem.horizon or 1):
        draws = generator.random((2, number))
        actions = (policy[step].cumsum(-1)[states] < draws[0][:, None]).sum(-1)
        actions = np.minimum(actions, problem.actions - 1)
        for total, reward in zip(returns, rewards, strict=True):
            total += problem.discount**step * reward[states, actions]
        states = (cumulative[states, actions] < draws[1][:, None]).sum(-1)
        states = np.minimum(states, problem.states - 1)
    return returns


@pytest.mark.slow
@pytest.mark.parametrize(
    "problem",
    [
        garnet(states=3, actions=2, horizon=3, seed=4),
        garnet(states=3, actions=2, horizon=None, discount=0.8, segment_length=2, seed=5),
        bandit(contexts=2, actions=3, objective="excess_risk"),
    ],
    ids=str,
)
def test_penalised_solutions_are_those_of_enumeration(problem: Problem) -> None:
    """To the tolerance of the inner gradient, 1e-12 at sigma 0.1; a negative sigma too."""
    phi, pairs = point(problem, 3), ExactOracle(problem, way="pairs")
    reward = pairs.reward_model.table(phi)
    for way, sigma in itertools.product(other_ways(problem), (0.3, 0.1, 1e-3, -0.05)):
        exact = ExactOracle(problem, way=way)
        found, expected = exact.solve_penalised(reward, sigma), pairs.solve_penalised(reward, sigma)
        assert bool(found.certified.all())
        assert bool(expected.certified.all())
        assert_close(found.log_policy.exp(), expected.log_policy.exp(), 1e-10)
        if sigma > 0:
            values = exact.penalised_objective(phi, sigma), pairs.penalised_objective(phi, sigma)
            torch.testing.assert_close(*values, rtol=0.0, atol=1e-11)
            assert_close(
                exact.penalised_gradient(phi, sigma), pairs.penalised_gradient(phi, sigma), 1e-8
            )


def test_a_penalised_solution_beyond_enumeration_is_stationary() -> None:
    """Certified by its gradient, and by a value below that of 40 neighbours."""
    problem = garnet(states=8, actions=3, horizon=12, features=4, seed=2)
    exact, phi = ExactOracle(problem), point(problem, 1)
    reward = exact.reward_model.table(phi)
    solution = exact.solve_penalised(reward, 0.2)
    assert bool(solution.certified.all())
    level = exact.penalised_level(reward, 0.2)
    least = level.value(solution.log_policy)
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        noise = torch.randn(solution.log_policy.shape, dtype=torch.float64, generator=generator)
        near = torch.log_softmax(solution.log_policy + 0.01 * noise, dim=-1)
        assert bool((level.value(near) > least).all())


@pytest.mark.parametrize("way", ["pairs", "steps"])
def test_a_gradient_of_the_penalised_level_is_one(way: str) -> None:
    problem = garnet(states=3, actions=2, horizon=3, seed=7)
    exact, phi = ExactOracle(problem, way=way), point(problem, 1)  # type: ignore[arg-type]
    level = exact.penalised_level(exact.reward_model.table(phi), 0.4)
    logits = torch.randn_like(level.optimal)
    found = level.gradient(torch.log_softmax(logits, dim=-1))
    moves = 1e-5 * torch.eye(logits.numel(), dtype=torch.float64).reshape(-1, *logits.shape[1:])
    ahead, behind = (
        torch.cat([level.value(torch.log_softmax(logits + sign * move, -1)) for move in moves])
        for sign in (1, -1)
    )
    assert_close((ahead - behind) / 2e-5, found.flatten(), 1e-8)


@pytest.mark.parametrize(
    "problem",
    [
        garnet(states=3, actions=2, horizon=3, seed=4),
        garnet(states=3, actions=2, horizon=None, discount=0.8, segment_length=2, seed=5),
    ],
    ids=str,
)
def test_expected_estimates_are_those_of_enumeration(problem: Problem) -> None:
    enumerated = ExactInformation(problem)
    summed = ExactInformation(problem, comparisons=ExactOracle(problem, way="steps").upper)
    phi, generator = point(problem, 2), torch.Generator().manual_seed(1)
    size = enumerated.policy_model.parameters
    one, other = torch.randn(2, 2, size, dtype=torch.float64, generator=generator)
    for name, arguments in {
        "lower_gradient": (phi, one, 1),
        "upper_gradient": (phi, one, 1),
        "penalty_difference": (phi, one, other, 1, "independent"),
    }.items():
        found, expected = (getattr(each, name)(*arguments) for each in (summed, enumerated))
        assert_close(found, expected, 1e-12)
    found, expected = (each.upper_gradients(phi, one, 1) for each in (summed, enumerated))
    assert_close(found.in_upper, expected.in_upper, 1e-12)
    assert_close(found.in_lower, expected.in_lower, 1e-11)
    found, expected = (each.total_gradient(phi, one, 1, 1) for each in (summed, enumerated))
    assert_close(found.response, expected.response, 1e-11)
    with pytest.raises(EnumerationBudgetError, match="more trajectories than are enumerated"):
        summed.implicit_gradient(one, 1)


def test_the_way_is_chosen_by_cost_and_can_be_told() -> None:
    small = garnet(states=3, actions=2, horizon=3)
    assert ExactOracle(small).upper.way == "pairs"
    assert ExactOracle(garnet(states=8, actions=3, horizon=6)).upper.way == "steps"
    assert ExactOracle(bandit(contexts=1, actions=5000, features=3)).upper.way == "outcomes"
    # Small excess risks are resolved by pairs alone.
    many = garnet(states=4, actions=3, horizon=4, objective="excess_risk")
    assert ExactOracle(many).upper.way == "pairs"
    assert ExactOracle(dataclasses.replace(many, objective="cross_entropy")).upper.way == "steps"
    with pytest.raises(EnumerationBudgetError, match="trajectories"):
        ExactOracle(garnet(states=8, actions=3, horizon=12), way="pairs")
    with pytest.raises(
        InvalidArgumentError, match=r"way: received 'outcomes', but .* compares 3 steps"
    ):
        ExactOracle(small, way="outcomes")


@pytest.mark.slow
def test_what_would_take_too_long_is_refused_with_its_cost() -> None:
    immense = garnet(
        states=300, actions=10, horizon=2000, branching=300, features=2, reward_scale=5.0
    )
    with pytest.raises(InvalidArgumentError, match=r"an evaluation costs .*steps [0-9.e+]+ s"):
        ExactOracle(immense)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e-8, 1e-3, 1.0, 30.0, 1e3])
@pytest.mark.parametrize("kl_weight", [0.01, 100.0])
def test_sizes_of_rewards_leave_the_stated_errors(size: float, kl_weight: float) -> None:
    """Values to 2e-15 (w + 45), gradients to 1e-14: absolutely, in a unit of one."""
    for problem in (
        garnet(states=3, actions=2, horizon=3, kl_weight=kl_weight, seed=1),
        bandit(contexts=3, actions=3, kl_weight=kl_weight, seed=1),
    ):
        phi, pairs = size * point(problem), ExactOracle(problem, way="pairs")
        window = 6 * phi.abs().max().item()
        for way in other_ways(problem):
            exact = ExactOracle(problem, way=way)
            difference = exact.hyperobjective(phi) - pairs.hyperobjective(phi)
            assert difference.abs().max() <= 2e-15 * (window + 45)
            gradients = exact.hypergradient(phi) - pairs.hypergradient(phi)
            # The response is magnified by the size of a reward over the KL weight.
            assert gradients.abs().max() <= 1e-14 * max(1.0, 1 / kl_weight)


def test_what_is_not_resolved_is_not_a_number_and_spoils_no_neighbour() -> None:
    problem = garnet(states=6, actions=3, horizon=8, seed=1)
    exact, phi = ExactOracle(problem), point(problem, 3)
    alone = exact.hyperobjective(phi[2:])
    phi[1] *= 1e7
    found = exact.hyperobjective(phi)
    assert found.isnan().tolist() == [False, True, False]
    assert torch.equal(found[2:], alone)
    assert exact.hypergradient(phi).isnan().all(-1).tolist() == [False, True, False]


def layered() -> Problem:
    """Three states, one after the other: what is added to all actions of one is never seen."""
    onwards = np.repeat(np.eye(3)[[1, 2, 0]][:, None], 2, axis=1)
    reward = np.arange(6.0).reshape(3, 2)
    return tabular(transitions=onwards, initial=[1.0, 0.0, 0.0], true_reward=reward, horizon=3)


@pytest.mark.parametrize(
    ("problem", "seen"),
    [
        (garnet(states=3, actions=2, horizon=3, seed=1), 5),
        (
            garnet(states=3, actions=2, horizon=None, discount=0.7, segment_length=2, branching=1),
            5,
        ),
        (layered(), 3),
    ],
    ids=["garnet", "discounted", "layered"],
)
def test_rewards_that_comparisons_see_are_those_of_enumeration(problem: Problem, seen: int) -> None:
    """The range of the covariance of visits is that of the enumerated visits."""
    expected = comparable_rewards(ExactOracle(problem))
    upper = ExactOracle(problem, way="steps").upper
    assert isinstance(upper, CharacteristicSums)
    found = range_of_covariance(visit_covariance(upper))
    assert (found - expected).abs().max() <= 1e-12
    assert found.trace().item() == pytest.approx(seen, abs=1e-12)


def test_fewer_steps_show_fewer_rewards() -> None:
    """The planted variant: a covariance of the first step alone sees one layer of three."""
    upper = ExactOracle(layered(), way="steps").upper
    assert isinstance(upper, CharacteristicSums)
    first = range_of_covariance(visit_covariance(dataclasses.replace(upper, length=1)))
    assert first.trace().item() == pytest.approx(1, abs=1e-12)
