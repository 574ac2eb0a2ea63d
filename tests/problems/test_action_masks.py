"""Actions that do not exist: against a problem whose states have all, some of them twice.

The padded problem has in the place of an absent action a copy of the first that exists, same successors,
reward and features, and half of its reference probability. A copy changes nothing that is compared or
optimised, and the exact oracle of the padded problem knows no masks.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from helpers.generators import random_point
from helpers.methods import METHODS, changed, configured
from helpers.significance import assert_mean
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.measurements.inner_loops import InnerSublinear, leading_constant
from theory_check.measurements.non_uniform_pl import NonUniformPL
from theory_check.models import (
    LogLinear,
    MLPPolicy,
    MLPReward,
    ModelInputs,
    PolicyClass,
    Tabular,
    TabularSoftmax,
)
from theory_check.oracles.comparisons.possible import count_trajectories
from theory_check.oracles.control import control_of, discounted_control
from theory_check.oracles.control.hard_control import hard_optimum, optimal_return, optimal_values
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.instruments import instruments_for
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import Problem, Thurstone, tabular
from theory_check.recording.run import run
from theory_check.solvers.method import Method
from theory_check.testing import check_problem, failures
from theory_check.testing.contract import SCALES

MASK = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 1]], dtype=bool)
ABSENT = ~MASK
VERSIONS: dict[str, dict[str, Any]] = {
    "bandit": {"horizon": 1},
    "episodic": {"horizon": 3, "discount": 0.8, "objective": "excess_risk"},
    "discounted": {"horizon": None, "discount": 0.8},
    "segments": {
        "horizon": None,
        "discount": 0.7,
        "segment_length": 2,
        "objective": "excess_risk",
    },
}
EVERY_VERSION = pytest.mark.parametrize("version", VERSIONS)


def arrays(version: str) -> dict[str, Any]:
    """Draw the tables of a problem in which absent actions are anything."""
    generator = np.random.default_rng([8, *version.encode()])
    states, actions = MASK.shape
    steps = VERSIONS[version]["horizon"] or 1
    reference = generator.dirichlet(np.ones(actions), size=(steps, states)) * MASK
    return {
        "transitions": generator.dirichlet(np.ones(states), size=(states, actions)),
        "initial": generator.dirichlet(np.ones(states)),
        "true_reward": generator.standard_normal((states, actions)),
        "features": generator.standard_normal((states, actions, 4)),
        "observations": generator.standard_normal((states, 2)),
        "reference_policy": reference / reference.sum(-1, keepdims=True),
        "kl_weight": 0.6,
    }


def masked(version: str, **changes: Any) -> Problem:
    given = arrays(version)
    # What stands there counts for nothing.
    given["transitions"][ABSENT] = 0.0
    given["true_reward"][ABSENT] = np.nan
    return tabular(**{**given, **VERSIONS[version], "action_mask": MASK, **changes})


def padded(version: str) -> Problem:
    """Build the same problem with copies in the place of what does not exist."""
    given = arrays(version)
    first = MASK.argmax(-1)
    for state, action in np.argwhere(ABSENT):
        for name in ("transitions", "true_reward", "features"):
            given[name][state, action] = given[name][state, first[state]]
    reference = given["reference_policy"]
    for state in range(len(MASK)):
        copies = [first[state], *np.flatnonzero(ABSENT[state])]
        share = reference[:, state, first[state]] / len(copies)
        for action in copies:
            reference[:, state, action] = share
    return tabular(**given, **VERSIONS[version])


def points(problem: Problem) -> Tensor:
    return torch.cat([random_point(seed, problem, 1) for seed in range(3)])


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-11) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
@EVERY_VERSION
@pytest.mark.parametrize("way", ["pairs", "steps"])
@pytest.mark.parametrize("law", [None, Thurstone(deviation=1.5)])
def test_exact_quantities_are_those_of_the_padded_problem(
    version: str, way: Any, law: Thurstone | None
) -> None:
    problem, other = masked(version), padded(version)
    if law is not None:
        problem, other = problem.with_preferences(law), other.with_preferences(law)
    one, two = ExactOracle(problem, way=way), ExactOracle(other, way=way)
    phi = points(problem)
    assert_close(one.hyperobjective(phi), two.hyperobjective(phi))
    assert_close(one.hypergradient(phi), two.hypergradient(phi))
    for sigma in (0.3, 0.01):
        assert_close(one.penalised_objective(phi, sigma), two.penalised_objective(phi, sigma))
        assert_close(one.penalised_gradient(phi, sigma), two.penalised_gradient(phi, sigma), 1e-9)
    for policy in (one.optimal_policy(phi), one.penalised_policy(phi, 0.3)):
        assert bool((policy[..., torch.from_numpy(ABSENT)] == -torch.inf).all())
        assert_close(policy.exp().sum(-1), torch.ones(policy.shape[:-1], dtype=torch.float64))


@EVERY_VERSION
def test_outcomes_of_single_steps_agree_with_pairs(version: str) -> None:
    problem = masked(version)
    if problem.horizon != 1 and (problem.horizon or problem.segment_length > 1):
        return
    phi = points(problem)
    one, two = (ExactOracle(problem, way=way) for way in ("outcomes", "pairs"))
    assert_close(one.hyperobjective(phi), two.hyperobjective(phi))
    assert_close(one.hypergradient(phi), two.hypergradient(phi))


@pytest.mark.slow
@EVERY_VERSION
def test_rewards_of_absent_actions_count_for_nothing(version: str) -> None:
    """Nor does their size, which is 10^6 times that of the others."""
    problem = masked(version)
    far = problem.features.clone()
    far[torch.from_numpy(ABSENT)] *= 1e6
    other = dataclasses.replace(problem, features=far)
    phi = points(problem)
    for way in ("pairs", "steps"):
        one, two = ExactOracle(problem, way=way), ExactOracle(other, way=way)
        assert torch.equal(one.hyperobjective(phi), two.hyperobjective(phi))
        assert_close(one.hypergradient(phi), two.hypergradient(phi))
        assert_close(one.penalised_gradient(phi, 0.3), two.penalised_gradient(phi, 0.3), 1e-9)


@pytest.mark.parametrize("version", ["discounted", "segments"])
def test_sweeps_of_value_iteration_leave_absent_actions_out(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rewards of absent actions are far above the others, so that sweeps would end elsewhere."""
    problem = masked(version)
    features = problem.features.clone()
    features[torch.from_numpy(ABSENT)] = 1e4
    problem = dataclasses.replace(problem, features=features)
    phi = torch.ones(1, 4, dtype=torch.float64)
    expected = ExactOracle(problem).hypergradient(phi)
    monkeypatch.setattr(discounted_control, "MANY_STATES", 1)
    monkeypatch.setattr(discounted_control, "FEW_SUCCESSORS", 1.0)
    exact = ExactOracle(problem)
    assert exact.control._sparse_moves is not None  # type: ignore[attr-defined]
    swept = exact.control._first_deviations(exact.reward_model.table(phi))  # type: ignore[attr-defined]
    assert swept.abs().max() < 1e3
    assert_close(exact.hypergradient(phi), expected)


@EVERY_VERSION
def test_only_trajectories_of_existing_actions_are_enumerated(version: str) -> None:
    problem = masked(version)
    space = ExactOracle(problem, way="pairs").space
    assert space.size == count_trajectories(problem) < count_trajectories(padded(version))
    assert MASK[space.states.numpy(), space.actions.numpy()].all()


@EVERY_VERSION
def test_hard_optima_are_those_of_the_padded_problem(version: str) -> None:
    problem, other = masked(version), padded(version)
    assert_close(optimal_values(problem), optimal_values(other))
    assert optimal_return(problem) == pytest.approx(optimal_return(other), rel=1e-12)


@EVERY_VERSION
def test_states_that_only_absent_actions_lead_to_are_out_of_reach(version: str) -> None:
    generator = np.random.default_rng(3)
    kernel = np.zeros((3, 2, 3))
    kernel[:2, :, :2] = generator.dirichlet(np.ones(2), size=(2, 2))
    kernel[2, :, 2] = 1.0
    kernel[0, 1] = (0.0, 0.0, 1.0)
    mask = np.array([[1, 0], [1, 1], [1, 1]], dtype=bool)
    made = tabular(
        transitions=kernel,
        initial=[0.5, 0.5, 0.0],
        true_reward=np.ones((3, 2)),
        action_mask=mask,
        **VERSIONS[version],
    )
    # As somebody builds it who says nothing of the rows of absent actions.
    built = dataclasses.replace(made, transitions=torch.from_numpy(kernel))
    assert not (ExactOracle(built, way="pairs").space.states == 2).any()
    phi = points(built)
    assert_close(ExactOracle(built).hyperobjective(phi), ExactOracle(made).hyperobjective(phi))


@EVERY_VERSION
@pytest.mark.parametrize(
    "policy", [Tabular(), LogLinear(), MLPPolicy(width=3)], ids=lambda policy: policy.name
)
def test_gradients_in_policy_parameters(version: str, policy: PolicyClass) -> None:
    """Against central differences; step 1e-5 leaves 1e-10 of truncation and 1e-11 of rounding."""
    problem = masked(version).with_classes(policy=policy)
    information, exact = ExactInformation(problem), ExactOracle(problem)
    model = information.policy_model
    generator = torch.Generator().manual_seed(1)
    lower = 0.5 * torch.randn(1, model.parameters, generator=generator, dtype=torch.float64)
    phi = points(problem)[:1]
    table = model.table(lower)
    assert bool((table.exp()[..., torch.from_numpy(ABSENT)] == 0).all())
    reward = information.reward_model.table(phi)

    def levels(at: Tensor) -> Tensor:
        rewards = reward.expand(len(at), -1, -1)
        tables = model.table(at)
        lower_level = exact.control.lower_objective(rewards, tables)
        return torch.stack([lower_level, exact.evaluate_upper(rewards, tables).value])

    shifts = 1e-5 * torch.eye(model.parameters, dtype=torch.float64)
    numerical = (levels(lower + shifts) - levels(lower - shifts)) / 2e-5
    upper = information.upper_gradients(phi, lower, 1)
    assert_close(upper.in_lower[0], numerical[1], 1e-8)
    assert_close(-information.lower_gradient(phi, lower, 1)[0], numerical[0], 1e-8)


@pytest.mark.slow
@EVERY_VERSION
@pytest.mark.parametrize(("rollouts", "pairs"), [(24, 40), (300, 900)])
def test_samples_have_the_exact_mean(version: str, rollouts: int, pairs: int) -> None:
    """Five Bonferroni-corrected tests, each with false-alarm probability 1e-6."""
    replicates = 2000
    problem = masked(version)
    oracle = SampledOracle(problem, range(replicates))
    exact = ExactInformation(problem, comparisons=oracle.comparisons)
    generator = torch.Generator().manual_seed(2)
    shape = (1, problem.policy_model.parameters)
    lower = 0.5 * torch.randn(shape, generator=generator, dtype=torch.float64)
    phi = points(problem)[:1].expand(replicates, -1)
    one, two = (each.expand(replicates, -1) for each in (lower, 1.1 * lower))
    present = MASK.reshape(1, -1).repeat(problem.steps, axis=0).reshape(-1)
    for coupling in ("independent", "shared"):
        found = oracle.lower_gradients(phi, one, two, rollouts, coupling)
        expected = exact.lower_gradients(phi, one, two, rollouts, coupling)
        assert_mean(found.at_penalised.numpy(), expected.at_penalised[0].numpy())
        assert not found.at_penalised[:, torch.from_numpy(~present)].any()
    found = oracle.upper_gradients(phi, one, pairs)
    expected = exact.upper_gradients(phi, one, pairs)
    assert_mean(found.in_upper.numpy(), expected.in_upper[0].numpy())
    assert_mean(found.in_lower.numpy(), expected.in_lower[0].numpy())
    found = oracle.total_gradient(phi, one, pairs, rollouts)
    expected = exact.total_gradient(phi, one, pairs, rollouts)
    assert_mean(found.response.numpy(), expected.response[0].numpy())


@pytest.mark.slow
@METHODS
@pytest.mark.parametrize("version", ["episodic", "discounted"])
def test_every_method_runs_with_finite_numbers(method: Method, version: str) -> None:
    """Absent actions are no policy's least probable ones."""
    solver = changed(configured(method, SCALES), inner_steps=2, solve_steps=1)
    table = run(masked(version), solver, 3, [0, 1]).table
    assert (table["status"] == "ok").all()
    for column in (
        "hyperobjective",
        "stationarity",
        "lower_gap",
        "reward_error",
        "policy_regret",
        "true_return",
    ):
        assert np.isfinite(table[column]).all(), column
    assert (table["min_policy_probability"] > 0).all()


def test_the_distance_of_policies_leaves_absent_actions_out() -> None:
    """A constant on a row of logits is no distance, whatever the number of its actions."""
    problem = masked("episodic")
    truth = instruments_for(problem, [0]).truth
    phi = points(problem)[:1]
    solution = ExactOracle(problem).solve_penalised(problem.reward_model.table(phi), 0.3)
    logits = solution.log_policy + torch.arange(9.0).double().reshape(1, 3, 3, 1)
    assert truth.penalised_distance(phi, logits.reshape(1, -1), 0.3).item() < 1e-12
    logits[0, 0, 0, 1] += 0.4
    moved = 0.4 * np.sqrt(0.5)  # one of two actions, less the mean of both
    found = truth.penalised_distance(phi, logits.reshape(1, -1), 0.3).item()
    assert found == pytest.approx(moved, rel=1e-9)


def test_the_lower_level_is_as_steep_as_the_inequality_says() -> None:
    """The bound is about existing actions: with the absent ones it would be 0, and not resolved."""
    measurement = NonUniformPL(
        scales=(1.0,),
        near_scales=(0.1,),
        policies=4,
        run_steps=5,
        step_size=0.1,
        searches=2,
        search_steps=5,
    )
    table = measurement.measure(masked("episodic"), [0, 1], lambda done, total: None)
    assert table["resolved"].all()
    assert (table["ratio"] >= 1).all()
    assert np.isfinite(table["ratio"]).all()


def test_policy_gradient_slows_down_by_the_number_of_existing_actions() -> None:
    """Section 5.8: two actions of one context and three of another leave 1/2 + 2/3 over ``alpha k``."""
    rewards = np.array([[1.0, 0.0, 5.0], [0.0, 7.0, 7.0], [0.2, 0.5, 1.0]])
    problem = masked("bandit", features=rewards[..., None], initial=np.full(3, 1 / 3))
    assert leading_constant(hard_optimum(control_of(problem), torch.from_numpy(rewards)[None])) == (
        pytest.approx(1 / 2 + 0 + 2 / 3)
    )
    table = InnerSublinear(inner_steps=200_000).measure(problem, [1], lambda done, total: None)
    last = table.iloc[-1]
    assert last["leading_ratio"] == pytest.approx(1, abs=0.05)


@EVERY_VERSION
def test_the_contract_of_a_problem_is_kept(version: str) -> None:
    assert failures(check_problem(masked(version))) == ()


def test_what_is_declared_is_about_existing_actions() -> None:
    problem = masked("episodic", features=None)
    assert problem.realisable
    assert not problem.true_parameters[torch.from_numpy(ABSENT.reshape(-1))].any()
    assert ExactOracle(problem).hyperobjective(problem.true_parameters).item() < 1e-14
    reward = arrays("episodic")["features"] @ np.array([1.0, -0.5, 0.2, 0.0])
    reward[ABSENT] = 7.0
    linear = masked("episodic", true_reward=reward)
    assert linear.realisable
    assert_close(linear.true_parameters, torch.tensor([1.0, -0.5, 0.2, 0.0], dtype=torch.float64))
    outside = masked("episodic", true_reward=reward, misspecification=0.3)
    moved = (outside.true_reward - linear.true_reward).numpy()
    assert not outside.realisable
    assert not moved[ABSENT].any()
    assert np.sqrt(np.square(moved[MASK]).mean()) == pytest.approx(0.3)
    seen = outside.features.numpy()[MASK]
    np.testing.assert_allclose(seen.T @ moved[MASK], 0.0, atol=1e-12)
    assert masked("episodic").with_classes(reward=MLPReward(width=2)).action_mask is not None


def test_a_mask_of_everything_is_none() -> None:
    given = {**arrays("bandit"), **VERSIONS["bandit"]}
    given["reference_policy"] = None
    one, two = tabular(**given, action_mask=np.ones((3, 3))), tabular(**given)
    assert one.action_mask is two.action_mask is None
    assert "7" not in repr(two)
    assert "6 actions in all" in repr(masked("bandit"))


def test_a_uniform_policy_is_one_over_existing_actions() -> None:
    problem = masked("episodic", reference_policy=None)
    rows = [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [1 / 3, 1 / 3, 1 / 3]]
    expected = torch.tensor(rows, dtype=torch.float64)
    assert_close(problem.reference_policy, expected.expand(3, 3, 3), 1e-15)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"action_mask": [[1, 1, 0], [0, 0, 0], [1, 1, 1]]},
            "action_mask: received no action in state 1; leave every state at least one",
        ),
        ({"action_mask": [[1, 1], [1, 1], [1, 1]]}, r"action_mask: received shape \(3, 2\); pass"),
        ({"action_mask": [[2, 1, 1]] * 3}, "action_mask: received 2 among its entries; pass 0"),
        ({"action_mask": "all"}, "action_mask: received str"),
        ({"action_mask": None, "true_reward": np.ones((3, 3))}, "transitions: received a row"),
        (
            {"reference_policy": np.full((3, 3), 1 / 3)},
            r"reference_policy: received 0.333333 at index \(0, 0, 2\), which action_mask leaves out",
        ),
        (
            {"reference_policy": [[1, 0, 0], [0, 1, 0], [0.2, 0.3, 0.5]]},
            r"reference_policy: received a smallest probability of 0 \(index \(0, 0, 1\)\); give",
        ),
    ],
)
def test_what_is_no_mask_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{message}"):
        masked("bandit", **changes)


class Unmasked(PolicyClass):
    """Logits of one's own, whatever exists."""

    name = "unmasked"

    def bind(self, inputs: ModelInputs) -> TabularSoftmax:
        """Return a tabular class that has not been told."""
        return TabularSoftmax(torch.zeros_like(inputs.log_reference))


def test_a_class_that_takes_absent_actions_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^policy_class: received .*Unmasked.*of 0\.6"):
        masked("bandit").with_classes(policy=Unmasked())
    plain = padded("bandit").with_classes(policy=Unmasked())
    assert isinstance(plain.policy_class, Unmasked)
