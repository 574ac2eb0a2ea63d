"""Problems whose states belong to one step each, against the same with a row for each step and state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.layered import both_problems, in_all_rows, normals, own_rows
from helpers.significance import assert_mean
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.oracles import exact
from theory_check.oracles.comparisons.choice import costs_of
from theory_check.oracles.control import control_of
from theory_check.oracles.control.hard_control import hard_optimum, optimal_return
from theory_check.oracles.control.lower_geometry import lower_geometry
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.optima.noise_limit import noise_limit
from theory_check.oracles.optima.penalty_limit import penalty_limit
from theory_check.oracles.rlhf_truth import RLHFTruth
from theory_check.oracles.sampled import SampledOracle
from theory_check.oracles.solutions.quasi_newton import SummedPenalisedLevel
from theory_check.problems import BradleyTerry, Problem, Thurstone
from theory_check.problems.dynamics import SparseDynamics
from theory_check.recording.run import run
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "discounted, masked": {"discount": 0.8, "masked": True},
    "deterministic": {"branching": 1, "objective": "excess_risk"},
    "wide": {"reward_scale": 12.0},
    "one step": {"layers": (4,)},
    "other labels": {"law": BradleyTerry(temperature=0.6, random_share=0.1, tie=0.4)},
    "normal labels": {"law": Thurstone(deviation=0.5), "objective": "excess_risk"},
}
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def pair_of(kind: str) -> tuple[Problem, Problem]:
    """Return both problems of a kind."""
    given = dict(KINDS[kind])
    law = given.pop("law", None)
    both = both_problems(given.pop("layers", (2, 3, 4)), **given)
    return both if law is None else tuple(each.with_preferences(law) for each in both)


@pytest.fixture(params=KINDS)
def both(request: pytest.FixtureRequest) -> tuple[Problem, Problem]:
    return pair_of(request.param)


def test_control_is_that_of_the_same_problem_with_steps(both: tuple[Problem, Problem]) -> None:
    flat, layered = both
    control, other = control_of(layered), control_of(flat)
    reward, weights = (
        normals(0, 3, *layered.true_reward.shape),
        normals(1, 3, 1, *reward_shape(both)),
    )
    policy = control.normalised(normals(2, *weights.shape))
    everywhere = in_all_rows(layered, policy)
    assert control.policy_shape == (1, layered.states, layered.actions)
    optimal, flat_optimal = control.optimal_log_policy(reward), other.optimal_log_policy(reward)
    own = [
        (optimal, flat_optimal),
        (control.discounted_occupancy(policy), other.discounted_occupancy(everywhere)),
        (
            control.returns_to_go(weights, policy),
            other.returns_to_go(in_all_rows(layered, weights), everywhere),
        ),
        (control.gap_gradient(policy, optimal), other.gap_gradient(everywhere, flat_optimal)),
    ]
    for found, expected in own:
        torch.testing.assert_close(found, own_rows(layered, expected), **EXACT)
    spread = only_own_rows(layered, weights)
    same = [
        (control.continued_visits(policy, weights), other.continued_visits(everywhere, spread)),
        (
            control.visit_difference(policy, optimal),
            other.visit_difference(everywhere, flat_optimal),
        ),
        (control.reward_occupancy(policy), other.reward_occupancy(everywhere)),
        (control.lower_gap(policy, optimal), other.lower_gap(everywhere, flat_optimal)),
        (control.lower_objective(reward, policy), other.lower_objective(reward, everywhere)),
    ]
    for found, expected in same:
        torch.testing.assert_close(found, expected, **EXACT)


def reward_shape(both: tuple[Problem, Problem]) -> tuple[int, ...]:
    return tuple(both[1].true_reward.shape)


def only_own_rows(problem: Problem, table: Tensor) -> Tensor:
    """Return a table (..., 1, s, a) in the rows of the steps of its states, 0 in the others."""
    marks = torch.zeros(problem.horizon, *table.shape[-2:], dtype=table.dtype)
    step = torch.repeat_interleave(torch.arange(problem.horizon), torch.tensor(problem.layers))
    marks[step, torch.arange(problem.states)] = 1.0
    return in_all_rows(problem, table) * marks


@pytest.mark.parametrize("way", ["pairs", "steps", "outcomes"])
def test_every_way_gives_the_numbers_of_the_same_problem_with_steps(
    both: tuple[Problem, Problem], way: Any
) -> None:
    flat, layered = both
    found, expected = ExactOracle(layered, way=way), ExactOracle(flat, way="pairs")
    phi = normals(3, 2, layered.parameters)
    torch.testing.assert_close(found.hyperobjective(phi), expected.hyperobjective(phi), **EXACT)
    torch.testing.assert_close(found.hypergradient(phi), expected.hypergradient(phi), **EXACT)
    for sigma in (0.03, 0.1):  # small: of larger ones there are several branches of minimisers
        for ask in ("penalised_objective", "penalised_gradient"):
            values = [getattr(oracle, ask)(phi, sigma) for oracle in (found, expected)]
            torch.testing.assert_close(*values, rtol=1e-8, atol=1e-9)
    assert (found.hypergradient_error(phi) <= 1e-10).all()
    assert found.optimal_policy(phi).shape == (2, layered.states, layered.actions)


@pytest.mark.slow
def test_a_wide_policy_is_penalised_by_gradients_and_gives_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    phi = normals(4, 2, 3)
    _, wide = both_problems((2, 20, 40), 5, branching=3)
    oracle = ExactOracle(wide, way="pairs", enumeration_budget=10**5)
    level = oracle.penalised_level(oracle.reward_model.table(phi), 0.3)
    assert isinstance(level, SummedPenalisedLevel)
    # The same for one that is wide only by this.
    monkeypatch.setattr(exact, "LARGEST_HESSIAN", 20)
    flat, layered = both_problems((2, 5, 6), branching=3)
    found = ExactOracle(layered, way="pairs")
    level = found.penalised_level(found.reward_model.table(phi), 0.3)
    assert isinstance(level, SummedPenalisedLevel)
    by_steps = ExactOracle(flat, way="steps")
    torch.testing.assert_close(found.hypergradient(phi), by_steps.hypergradient(phi), **EXACT)
    penalised = found.penalised_gradient(phi, 0.3)
    torch.testing.assert_close(
        penalised, by_steps.penalised_gradient(phi, 0.3), rtol=1e-8, atol=1e-9
    )


def test_a_sparse_kernel_gives_the_same() -> None:
    _, layered = both_problems((2, 3, 4), discount=0.9)
    held = SparseDynamics.of(layered.dynamics.matrix, layered.actions)
    sparse = replace(layered, transitions=held)
    phi = normals(5, 2, 3)
    for way in ("pairs", "steps", "outcomes"):
        found, expected = ExactOracle(sparse, way=way), ExactOracle(layered, way=way)
        torch.testing.assert_close(found.hypergradient(phi), expected.hypergradient(phi), **EXACT)


def test_hypergradients_are_derivatives(both: tuple[Problem, Problem]) -> None:
    oracle = ExactOracle(both[1])
    phi, step = normals(6, 3), 1e-5
    shifts = step * torch.eye(3, dtype=phi.dtype)
    ahead, behind = oracle.hyperobjective(phi + shifts), oracle.hyperobjective(phi - shifts)
    torch.testing.assert_close(
        oracle.hypergradient(phi), (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("way", ["pairs", "steps", "outcomes"])
def test_a_replicate_alone_is_the_same_in_a_batch(way: Any) -> None:
    _, layered = both_problems((2, 3, 4), masked=True)
    oracle, phi = ExactOracle(layered, way=way), normals(7, 4, 3)
    batch = oracle.hypergradient(phi)
    alone = torch.stack([oracle.hypergradient(each) for each in phi])
    torch.testing.assert_close(batch, alone, rtol=1e-8, atol=0)


@settings(max_examples=15, deadline=None)
@given(
    layers=st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple),
    actions=st.integers(2, 3),
    seed=st.integers(0, 10**6),
    discount=st.sampled_from([1.0, 0.7]),
    masked=st.booleans(),
)
def test_layers_of_any_size(
    layers: tuple[int, ...], actions: int, seed: int, discount: float, masked: bool
) -> None:
    """Whatever the sizes: the value of the same problem, and the reward its optimum stands for."""
    flat, layered = both_problems(
        layers, actions, seed=seed, discount=discount, masked=masked, branching=2
    )
    phi = normals(seed, 2, 3)
    expected = ExactOracle(flat, way="pairs").hypergradient(phi)
    for way in ("pairs", "steps", "outcomes"):
        found = ExactOracle(layered, way=way).hypergradient(phi)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def points(layered: Problem, rows: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Return rewards, and logits of two policies."""
    logits = layered.states * layered.actions
    reference = layered.policy_model.initial(torch.zeros(1, logits, dtype=torch.float64))
    return (
        normals(8, rows, layered.parameters),
        reference + 0.5 * normals(9, rows, logits),
        reference + 0.5 * normals(10, rows, logits),
    )


def tabled(layered: Problem, lower: Tensor) -> Tensor:
    """Return logits as those of the same problem with steps."""
    table = lower.reshape(-1, 1, layered.states, layered.actions)
    return in_all_rows(layered, table).flatten(1)


def gathered(layered: Problem, gradient: Tensor) -> Tensor:
    """Return a gradient in the logits of the problem with steps as one in those of the states."""
    shape = (-1, layered.horizon, layered.states, layered.actions)
    return gradient.reshape(shape).sum(1).flatten(1)


def asked(
    oracle: Any, upper: Tensor, lower: Tensor, other: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Return what an oracle answers: in the upper variable, and in the lower one."""
    both = oracle.lower_gradients(upper, lower, other, 8, "independent")
    shared = oracle.lower_gradients(upper, lower, other, 8, "shared")
    partial = oracle.upper_gradients(upper, lower, 8)
    change = oracle.lower_gradient_change(upper, lower, upper + 0.1, other, 8)
    in_upper = [
        partial.in_upper,
        oracle.upper_gradient(upper, lower, 8),
        oracle.penalty_difference(upper, lower, other, 8, "independent"),
        oracle.penalty_difference(upper, lower, other, 8, "shared"),
    ]
    in_lower = [
        both.at_lower,
        both.at_penalised,
        shared.at_penalised,
        partial.in_lower,
        change.at_penalised,
        oracle.lower_gradient(upper, lower, 8),
        oracle.pointwise_penalty_in_lower(upper, lower, other, 8),
    ]
    return in_upper, in_lower


def test_exact_information_is_that_of_the_same_problem_with_steps(
    both: tuple[Problem, Problem],
) -> None:
    flat, layered = both
    found, expected = ExactInformation(layered), ExactInformation(flat)
    upper, lower, other = points(layered)
    wide = [tabled(layered, each) for each in (lower, other)]
    one, two = asked(found, upper, lower, other), asked(expected, upper, *wide)
    for mine, theirs in zip(one[0], two[0], strict=True):
        torch.testing.assert_close(mine, theirs, **EXACT)
    for mine, theirs in zip(one[1], two[1], strict=True):
        torch.testing.assert_close(mine, gathered(layered, theirs), **EXACT)
    for separate in (False, True):
        total = [
            oracle.total_gradient(upper, at, 8, 8, separate_values=separate)
            for oracle, at in ((found, lower), (expected, wide[0]))
        ]
        torch.testing.assert_close(total[0].response, total[1].response, **EXACT)
    contracted = lower  # as often as there are steps, from any logits
    for _ in range(layered.steps_per_trajectory):
        contracted = found.contracted_lower(upper, contracted)
    torch.testing.assert_close(
        found.policy_model.table(contracted),
        found.control.optimal_log_policy(found.reward_model.table(upper)),
        **EXACT,
    )
    for ask in ("implicit_gradient", "implicit_objective_gradient"):
        mine, theirs = getattr(found, ask)(lower, 8), getattr(expected, ask)(wide[0], 8)
        torch.testing.assert_close(mine, gathered(layered, theirs), **EXACT)


def test_the_response_solves_a_system_with_an_unknown_for_each_state(
    both: tuple[Problem, Problem],
) -> None:
    _, layered = both
    information, exact = ExactInformation(layered), ExactOracle(layered, way="pairs")
    upper = normals(8, 2, layered.parameters)
    system = information.adjoint_system(upper, information.optimal_lower(upper))
    solution = torch.linalg.solve(system.matrix, system.right_hand_side)
    assert solution.shape == (2, layered.states)
    torch.testing.assert_close(
        system.hypergradient(solution), exact.hypergradient(upper), rtol=1e-10, atol=1e-12
    )


def test_the_reward_of_an_optimal_policy_is_found_again() -> None:
    """By inverse soft control: the optimum of a reward of the class implies that reward."""
    for discount in (1.0, 0.8):
        _, layered = both_problems((2, 3, 4), discount=discount)
        information, upper = ExactInformation(layered), normals(8, 2, layered.parameters)
        implied = information.implied_upper(information.optimal_lower(upper))
        torch.testing.assert_close(implied, upper, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", ["plain", "discounted, masked", "deterministic", "other labels"])
@pytest.mark.parametrize("budget", [4096, 1])
def test_samples_are_those_of_the_same_problem_with_steps(kind: str, budget: int) -> None:
    """Counted or followed step by step: the same draws of the same seeds, and the same counters."""
    flat, layered = pair_of(kind)
    upper, lower, other = points(layered)
    wide = [tabled(layered, each) for each in (lower, other)]
    oracles = [SampledOracle(each, [3, 4], enumeration_budget=budget) for each in (layered, flat)]
    if budget == 1:  # the way of steps, of both
        ways = [ExactOracle(each, way="steps").upper for each in (layered, flat)]
        oracles = [
            SampledOracle(each, [3, 4], comparisons=way)
            for each, way in zip((layered, flat), ways, strict=True)
        ]
    one, two = asked(oracles[0], upper, lower, other), asked(oracles[1], upper, *wide)
    for mine, theirs in zip(one[0], two[0], strict=True):
        torch.testing.assert_close(mine, theirs, **EXACT)
    for mine, theirs in zip(one[1], two[1], strict=True):
        torch.testing.assert_close(mine, gathered(layered, theirs), **EXACT)
    assert oracles[0].counts == oracles[1].counts


@pytest.mark.parametrize("kind", ["plain", "discounted, masked"])
def test_rollouts_that_go_on_have_the_exact_mean(kind: str) -> None:
    """400 seeds; a false alarm with probability 1e-6 for each of both problems."""
    _, layered = pair_of(kind)
    upper, lower, _ = points(layered, 1)
    number = 400
    sampled, exact = SampledOracle(layered, range(number)), ExactInformation(layered)
    rows = [each.expand(number, -1) for each in (upper, lower)]
    weights = normals(11, 1, 1, *layered.true_reward.shape)
    policy = exact.policy_model.table(lower)
    drawn = sampled.estimates.later_visits(
        sampled.policy_model.table(rows[1]), weights.expand(number, -1, -1, -1).contiguous(), 20
    )
    expected = exact.estimates.later_visits(policy, weights, 1)
    assert_mean(drawn.flatten(1).numpy(), expected.flatten().numpy())
    steps = 20 * layered.horizon
    assert (sampled.counts.env_steps, sampled.counts.trajectories) == (steps, 20)


def test_compiled_loops_take_the_steps_of_the_same_problem_with_steps() -> None:
    flat, layered = both_problems((2, 3, 4))
    for coupling in ("independent", "shared"):
        solver = PenaltyBilevel(
            sigma=0.2,
            inner_steps=3,
            inner_step_size=0.3,
            step_size=0.1,
            trajectories=8,
            pairs=8,
            coupling=coupling,
        )
        traces = [run(each, solver, 5, [0, 1]).table for each in (layered, flat)]
        for column in ("hyperobjective", "lower_gap", "true_return", "policy_regret", "env_steps"):
            if column in traces[0]:
                found, expected = (np.asarray(trace[column], float) for trace in traces)
                np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def test_what_is_recorded_is_that_of_the_same_problem_with_steps(
    both: tuple[Problem, Problem],
) -> None:
    flat, layered = both
    upper, lower, other = points(layered)
    truths = [
        RLHFTruth(ExactOracle(each, way="pairs"), each.policy_model) for each in (layered, flat)
    ]
    wide = [tabled(layered, each) for each in (lower, other)]
    found = truths[0].diagnostics(upper, lower, other, 0.3)
    expected = truths[1].diagnostics(upper, *wide, 0.3)
    for column in ("lower_gap", "policy_regret", "true_return", "lower_gap_penalised"):
        torch.testing.assert_close(found[column], expected[column], rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(
        found["reward_error"], expected["reward_error"], rtol=1e-9, atol=1e-12
    )


def test_values_without_regularisation_are_those_of_the_same_problem_with_steps(
    both: tuple[Problem, Problem],
) -> None:
    flat, layered = both
    reward = normals(12, 2, *layered.true_reward.shape)
    found = hard_optimum(control_of(layered), reward)
    expected = hard_optimum(control_of(flat), reward)
    torch.testing.assert_close(
        found.action_values, own_rows(layered, expected.action_values), **EXACT
    )
    assert optimal_return(layered) == pytest.approx(optimal_return(flat), abs=1e-12)


def test_limits_and_geometry_are_those_of_the_same_problem_with_steps(
    both: tuple[Problem, Problem],
) -> None:
    flat, layered = both
    phi = normals(13, 2, layered.parameters)
    oracles = [ExactOracle(each, way="pairs") for each in (layered, flat)]
    limits = [penalty_limit(oracle, phi) for oracle in oracles]
    torch.testing.assert_close(limits[0].bias, limits[1].bias, rtol=1e-9, atol=1e-12)
    noise = [
        noise_limit(oracle.control, layered.features, limit)
        for oracle, limit in zip(oracles, limits, strict=True)
    ]
    for name in ("independent", "shared", "information"):
        found, expected = (getattr(each, name) for each in noise)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    policy = oracles[0].control.normalised(normals(14, 2, 1, *reward_shape(both)))
    tables = [policy, in_all_rows(layered, policy)]
    geometry = [
        lower_geometry(oracle.control, oracle.reward_model.table(phi), table, limit.optimal)
        for oracle, table, limit in zip(oracles, tables, limits, strict=True)
    ]
    for name in ("gap", "gradient_norm", "constant", "paper_constant"):
        found, expected = (getattr(each, name) for each in geometry)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_a_reward_that_is_not_finite_spoils_its_own_replicate_alone() -> None:
    _, layered = both_problems((2, 3, 4))
    for way in ("steps", "outcomes"):
        upper = ExactOracle(layered, way=way).upper
        reward = normals(15, 2, *layered.true_reward.shape)
        policy = layered.model_inputs.log_reference.expand(2, -1, -1, -1)
        expected = upper.evaluate(reward, policy).value[1]
        for bad in (float("nan"), 1e7):
            reward[0, 0, 0] = bad
            found = upper.evaluate(reward, policy)
            assert found.value[0].isnan()
            assert found.reward_gradient[0].isnan().any()
            torch.testing.assert_close(found.value[1], expected, **EXACT)


def test_costs_are_those_of_one_pass_and_of_the_trajectories() -> None:
    flat, layered = both_problems((2, 3, 4), branching=1)
    found, expected = costs_of(layered, 4096), costs_of(flat, 4096)
    assert found.trajectories == expected.trajectories
    assert found.by_way["steps"] < expected.by_way["steps"]
    assert found.by_way["outcomes"] < float("inf") == expected.by_way["outcomes"]


@pytest.mark.parametrize(
    ("changes", "received"),
    [
        ({"layers": (2, 3)}, r"\(2, 3\)"),
        ({"layers": [2, 3, 4]}, r"\[2, 3, 4\]"),
        ({"layers": (2, 3, 4.0)}, r"4\.0"),
        ({"layers": (9,)}, "1 layers with horizon 3"),
        ({"layers": (1, 4, 4)}, "episodes start in state 1"),
        ({"layers": (2, 4, 3)}, r"leads to state \d of step 1"),
        ({"layers": (2, 3, 4), "horizon": None, "discount": 0.9}, "horizon None"),
    ],
)
def test_layers_are_refused(changes: dict[str, Any], received: str) -> None:
    _, layered = both_problems((2, 3, 4))
    with pytest.raises(InvalidArgumentError, match=f"^layers: received .*{received}"):
        replace(layered, **changes)
