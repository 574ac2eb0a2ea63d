"""Values of the exact oracle against plain recursions, and identities they must obey."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from helpers import naive
from helpers.fresh import printed_by_text
from helpers.generators import (
    contract_garnet,
    random_discounted_problem,
    random_log_policy,
    random_point,
    random_problem,
    varied_problems,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from theory_check.errors import EnumerationBudgetError, InvalidArgumentError
from theory_check.models import TabularSoftmax
from theory_check.oracles import ExactOracle
from theory_check.oracles.comparisons.possible import count_trajectories
from theory_check.oracles.comparisons.trajectories import enumerate_trajectories
from theory_check.oracles.control import control_of
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.optima.optimum import find_optimum, optimal_hyperobjective
from theory_check.problems import Problem, tabular

SMALL = [p for p in varied_problems() if p.horizon * p.states * p.actions <= 12]


def close(value: Tensor, reference: Tensor, tolerance: float = 1e-12) -> bool:
    return bool((value - reference).abs().max() <= tolerance * (1 + reference.abs().max()))


@pytest.mark.parametrize("problem", varied_problems())
def test_enumeration_is_the_recursion(problem: Problem) -> None:
    space, found = enumerate_trajectories(problem), naive.paths(problem)
    listed = {
        tuple(zip(states, actions, strict=True)): math.exp(weight)
        for states, actions, weight in zip(
            space.states.tolist(), space.actions.tolist(), space.log_dynamics.tolist(), strict=True
        )
    }
    assert space.size == len(found) == len(listed) == count_trajectories(problem)
    assert listed == pytest.approx({path.visited: path.dynamics for path in found}, rel=1e-13)


def test_counts_of_trajectories_in_closed_form() -> None:
    # Full support: (S A)^H. One successor each: S A^H.
    assert count_trajectories(random_problem(0, (3, 2, 3))) == 6**3
    assert count_trajectories(contract_garnet(branching=1)) == 3 * 2**3
    # Counting alone must not enumerate: 12^20 trajectories exceed any memory.
    assert count_trajectories(random_problem(0, (4, 3, 20))) == 12**20


@pytest.mark.parametrize("problem", varied_problems())
def test_laws_sum_to_one(problem: Problem) -> None:
    log_policy = random_log_policy(1, problem)
    law = enumerate_trajectories(problem).probabilities(log_policy[None])
    assert law.sum().item() == pytest.approx(1, abs=1e-13)
    occupancy = control_of(problem).occupancy(log_policy[None])
    assert close(occupancy.sum((-2, -1)), torch.ones(1, problem.horizon, dtype=torch.float64))


@pytest.mark.parametrize("problem", SMALL)
def test_lower_level_against_enumeration(problem: Problem) -> None:
    reward = naive.reward_table(problem, random_point(2, problem))
    log_policy, control = random_log_policy(3, problem), control_of(problem)
    tables = naive.Tables(problem)
    expected = naive.lower_objective(problem, reward, log_policy)
    assert tables.lower(random_point(2, problem), log_policy).item() == pytest.approx(
        expected.item(), rel=1e-13
    )
    value = control.lower_objective(reward[None], log_policy[None])[0]
    assert value.item() == pytest.approx(expected.item(), rel=1e-12, abs=1e-13)
    best = naive.optimal_log_policy(problem, reward)
    assert close(control.optimal_log_policy(reward[None])[0], best)
    gap = control.lower_gap(log_policy[None], best[None]).item()
    assert gap == pytest.approx(
        (naive.lower_objective(problem, reward, best) - expected).item(), rel=1e-11
    )
    # J* is the start value of section 2.1; for H = 1 it is a sum of log-sum-exps.
    if problem.horizon == 1:
        scaled = problem.reference_policy[0].log() + reward / problem.kl_weight
        start = problem.kl_weight * (problem.initial * torch.logsumexp(scaled, -1)).sum()
        assert naive.lower_objective(problem, reward, best).item() == pytest.approx(
            start.item(), rel=1e-12
        )


def test_gap_is_resolved_far_below_rounding_of_the_objective() -> None:
    # A perturbation of size e moves the gap by a quadratic form in e: halving e divides it by four
    # (up to e), also where the gap is below 1e-16 and a difference of objectives would be noise.
    problem = random_problem(5, (2, 2, 2))
    control = control_of(problem)
    best = control.optimal_log_policy(problem.true_reward[None])
    direction = torch.randn(best.shape, generator=torch.Generator().manual_seed(0)).double()

    def gap(size: float) -> float:
        moved = torch.log_softmax(best + size * direction, -1)
        return control.lower_gap(moved, best).item()

    assert gap(1e-9) < 1e-16
    assert gap(2e-9) / gap(1e-9) == pytest.approx(4, rel=1e-6)
    assert gap(1e-9) / gap(1e-2) == pytest.approx(1e-14, rel=0.05)


@pytest.mark.parametrize(
    "problem", SMALL[:6] + [p for p in SMALL if p.objective != "cross_entropy"]
)
def test_upper_objective_and_its_partials(problem: Problem) -> None:
    phi, log_policy = random_point(4, problem), random_log_policy(5, problem)
    reward = naive.reward_table(problem, phi)
    upper = ExactOracle(problem).evaluate_upper(reward[None], log_policy[None])
    loops = naive.upper_objective_by_loops(problem, reward, log_policy)
    assert upper.value.item() == pytest.approx(loops, rel=1e-12)
    in_reward = naive.gradient(lambda r: naive.upper_objective(problem, r, log_policy), reward)
    in_policy = naive.gradient(lambda t: naive.upper_objective(problem, reward, t), log_policy)
    assert close(upper.reward_gradient[0], in_reward)
    found = naive.along_policies(upper.policy_gradient[0], log_policy)
    assert close(found, naive.along_policies(in_policy, log_policy))
    assert naive.Tables(problem).upper(phi, log_policy).item() == pytest.approx(loops, rel=1e-12)


@pytest.mark.parametrize("index", range(0, 24, 3))
def test_exact_information_is_the_gradient_of_both_levels(index: int) -> None:
    problem = varied_problems()[index]
    tables, information = naive.Tables(problem), ExactInformation(problem)
    phi = random_point(6, problem)
    one, two = (random_log_policy(seed, problem).reshape(-1) for seed in (7, 8))
    lower = information.lower_gradients(phi[None], one[None], two[None], 1, "independent")
    shared = information.lower_gradients(phi[None], one[None], two[None], 1, "shared")
    for logits, found in (
        (one, information.lower_gradient(phi[None], one[None], 1)),
        (one, lower.at_lower),
        (two, lower.at_penalised),
        (one, shared.at_lower),
        (two, shared.at_penalised),
    ):
        expected = naive.gradient(lambda z: -tables.lower(phi, z), logits)
        assert close(found[0], expected)
    upper = information.upper_gradients(phi[None], one[None], 1)
    assert close(upper.in_upper[0], naive.gradient(lambda z: tables.upper(z, one), phi))
    assert close(upper.in_lower[0], naive.gradient(lambda z: tables.upper(phi, z), one))
    difference = naive.gradient(lambda z: tables.lower(z, one) - tables.lower(z, two), phi)
    for coupling in ("independent", "shared"):
        found = information.penalty_difference(phi[None], one[None], two[None], 1, coupling)
        assert close(found[0], difference)


def test_excess_risk_is_cross_entropy_minus_label_entropy() -> None:
    excess, cross = contract_garnet("excess_risk"), contract_garnet("cross_entropy")
    phi = random_point(0, excess)
    tables = naive.Tables(cross)
    policy = naive.optimal_log_policy(cross, naive.reward_table(cross, phi))
    preferred = torch.sigmoid(tables.true_returns[:, None] - tables.true_returns[None, :])
    entropy = torch.distributions.Bernoulli(preferred).entropy()
    law = tables.law(policy)
    difference = ExactOracle(cross).hyperobjective(phi) - ExactOracle(excess).hyperobjective(phi)
    assert difference.item() == pytest.approx((law @ entropy @ law).item(), rel=1e-12)


@pytest.mark.parametrize("discount", [1.0, 0.7])
def test_gauge_invariance(discount: float) -> None:
    problem = random_problem(9, (2, 2, 3), discount=discount)
    oracle, phi = ExactOracle(problem), random_point(9, problem)
    shifted = phi + 0.83  # indicator features: the same constant for every state and action
    assert close(oracle.hyperobjective(shifted), oracle.hyperobjective(phi))
    assert close(oracle.hypergradient(shifted), oracle.hypergradient(phi))
    assert close(oracle.optimal_policy(shifted), oracle.optimal_policy(phi))
    assert oracle.hypergradient(phi).sum().abs() < 1e-13
    assert oracle.hyperobjective(phi + torch.eye(4)[0].double()) != oracle.hyperobjective(phi)


def test_a_shift_of_logits_changes_nothing() -> None:
    model = TabularSoftmax(torch.zeros(2, 3, 2))
    logits = torch.randn(1, 12, generator=torch.Generator().manual_seed(1)).double()
    shift = torch.arange(6).double().reshape(1, 2, 3, 1).expand(1, 2, 3, 2).reshape(1, 12)
    assert close(model.table(logits + shift), model.table(logits))


@pytest.mark.parametrize("objective", ["cross_entropy", "excess_risk"])
def test_a_batch_is_a_loop_and_leading_dimensions_are_kept(objective: str) -> None:
    problem = contract_garnet(objective)
    oracle, phi = ExactOracle(problem), random_point(3, problem, 2, 3)
    methods = {
        (): oracle.hyperobjective,
        (4,): oracle.hypergradient,
        (3, 3, 2): oracle.optimal_policy,
    }
    results = [(shape, method(phi), method) for shape, method in methods.items()]
    for shape, batch, method in results:
        assert batch.shape == (2, 3, *shape)
        for i in range(2):
            for j in range(3):
                assert close(batch[i, j], method(phi[i, j]), 1e-13)
    for method, shape in ((oracle.penalised_objective, ()), (oracle.penalised_gradient, (4,))):
        batch = method(phi, 0.1)
        assert batch.shape == (2, 3, *shape)
        assert close(batch[1, 2], method(phi[1, 2], 0.1), 1e-9)


def test_phi_of_the_wrong_shape_or_type_is_refused() -> None:
    oracle = ExactOracle(contract_garnet())
    with pytest.raises(InvalidArgumentError, match=r"phi.*\(3,\).*\(\.\.\., 4\)"):
        oracle.hyperobjective(torch.zeros(3, dtype=torch.float64))
    with pytest.raises(InvalidArgumentError, match=r"phi.*float32.*float64"):
        oracle.hypergradient(torch.zeros(4, dtype=torch.float32))


def test_enumeration_budget_names_the_number_and_the_remedy() -> None:
    problem = random_problem(0, (2, 3, 4))  # (2 * 3)^4 trajectories
    with pytest.raises(EnumerationBudgetError, match=r"1295.*1296.*enumeration_budget.*1296"):
        ExactOracle(problem, enumeration_budget=1295, way="pairs")
    assert ExactOracle(problem, enumeration_budget=1296).space.size == 1296
    huge = random_problem(0, (4, 3, 20))
    with pytest.raises(EnumerationBudgetError, match=str(12**20)):
        _ = ExactOracle(huge).space


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["cross_entropy", "excess_risk"])
def test_optimum(objective: str) -> None:
    problem = random_problem(3, (2, 2, 2), objective=objective, features=2)
    exact = ExactOracle(problem)
    optimum = find_optimum(exact)
    assert optimum.certified
    assert exact.hypergradient(optimum.phi).norm() <= 1e-7
    assert exact.hyperobjective(optimum.phi).item() == pytest.approx(optimum.value, abs=1e-12)
    at_truth = exact.hyperobjective(problem.true_parameters).item()
    assert optimum.value <= at_truth + 1e-12
    if objective == "excess_risk":
        assert abs(optimum.value) < 1e-12
        assert optimal_hyperobjective(exact) == 0.0
    else:
        assert optimum.value < at_truth - 1e-6  # section 1.4: the true reward is not optimal
        grid = random_point(0, problem, 500) * 3
        assert exact.hyperobjective(grid).min().item() >= optimum.value - 1e-12


@pytest.mark.slow
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    discount=st.sampled_from([1.0, 0.8]),
    shift=st.floats(-3, 3),
)
def test_truth_is_optimal_for_every_realisable_excess_risk(
    seed: int, discount: float, shift: float
) -> None:
    problem = random_problem(seed, (2, 2, 2), objective="excess_risk", discount=discount)
    oracle = ExactOracle(problem)
    truth = problem.true_parameters
    assert abs(oracle.hyperobjective(truth).item()) < 1e-14
    assert oracle.hypergradient(truth).norm() < 1e-12
    assert oracle.hyperobjective(truth + shift * random_point(seed, problem)).item() >= -1e-15


@pytest.mark.parametrize(
    "problem",
    [
        random_problem(31, (2, 2, 2), objective="excess_risk"),
        random_discounted_problem(31, (3, 2), objective="excess_risk", segment_length=2),
    ],
)
def test_excess_risk_is_resolved_far_below_rounding(problem: Problem) -> None:
    # Near the true parameters Phi is a quadratic form, up to the size of the step; D - D* carries a
    # rounding of 1e-16, a share 1e-7 of the step.
    oracle, truth = ExactOracle(problem), problem.true_reward.reshape(-1)
    direction = random_point(31, problem)
    one, two = (oracle.hyperobjective(truth + k * 1e-9 * direction).item() for k in (1, 2))
    assert 0 < one < 1e-17
    assert two / one == pytest.approx(4, rel=1e-5)


MEMORY = """
import resource
import torch
from theory_check.oracles import ExactOracle
from theory_check.problems import garnet
problem = garnet(states=2, actions=2, horizon=6, discount=0.9)
oracle = ExactOracle(problem)
assert oracle.space.size == oracle.space.classes.shape[0] == 4096
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
phi = torch.linspace(-1, 1, 4, dtype=torch.float64).repeat(2, 1)
oracle.hyperobjective(phi)
oracle.hypergradient(phi)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_pair_expectations_use_bounded_memory(tmp_path: Path) -> None:
    # 4096 trajectories that no discount merges: one full pair matrix is 128 MiB a replicate, and a
    # dozen temporaries of two replicates together would exceed the bound.
    assert int(printed_by_text(MEMORY, tmp_path)) * 1024 < 2**30


def test_trajectories_with_equal_visits_are_merged_without_changing_values() -> None:
    # Staying in one state with discount 1, a return depends on how often each action was taken.
    problem = tabular(
        transitions=torch.ones(1, 2, 1),
        initial=[1.0],
        true_reward=[[0.3, -0.4]],
        horizon=4,
    )
    oracle = ExactOracle(problem)
    assert oracle.space.size == 16
    assert oracle.space.classes.shape[0] == 5
    phi = torch.tensor([0.5, 0.1], dtype=torch.float64)
    expected = naive.hyperobjective(problem, phi).item()
    assert oracle.hyperobjective(phi).item() == pytest.approx(expected, rel=1e-12)
