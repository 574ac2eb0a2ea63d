"""The exact oracle of discounted problems against sums over time, and identities it must obey."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import naive, naive_discounted, stationary
from helpers.fresh import printed_by_text
from helpers.generators import (
    random_discounted_problem,
    random_log_policy,
    random_point,
    varied_discounted_problems,
)
from torch import Tensor

from theory_check.errors import CertificationError, EnumerationBudgetError
from theory_check.models import TabularSoftmax
from theory_check.oracles import ExactOracle
from theory_check.oracles.comparisons import comparisons_of
from theory_check.oracles.comparisons.possible import count_trajectories
from theory_check.oracles.comparisons.trajectories import enumerate_segments
from theory_check.oracles.control import control_of, discounted_control
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.optima.optimum import find_optimum, optimal_hyperobjective
from theory_check.oracles.rlhf_truth import RLHFTruth, comparable_rewards
from theory_check.problems import Problem, garnet, tabular

PROBLEMS = varied_discounted_problems()
CASES = pytest.mark.parametrize("index", range(len(PROBLEMS)))
SMALL = pytest.mark.parametrize("index", [i for i, p in enumerate(PROBLEMS) if p.states <= 6])


def close(value: Tensor, reference: Tensor, tolerance: float = 1e-12) -> bool:
    return bool((value - reference).abs().max() <= tolerance * (1 + reference.abs().max()))


def control_and_policy(problem: Problem) -> tuple[DiscountedControl, Tensor]:
    control = control_of(problem)
    assert isinstance(control, DiscountedControl)
    return control, random_log_policy(1, problem)[None]


@CASES
def test_enumeration_is_the_recursion(index: int) -> None:
    problem = PROBLEMS[index]
    space, found = enumerate_segments(problem), naive_discounted.segments(problem)
    listed = {
        tuple(zip(states, actions, strict=True)): math.exp(weight)
        for states, actions, weight in zip(
            space.states.tolist(), space.actions.tolist(), space.log_dynamics.tolist(), strict=True
        )
    }
    assert space.size == len(found) == len(listed) == count_trajectories(problem)
    assert listed == pytest.approx(found, rel=1e-13)


def test_counts_of_segments_in_closed_form() -> None:
    # Full support: (S A)^L. Counting alone must not enumerate.
    assert count_trajectories(random_discounted_problem(0, (3, 2), segment_length=3)) == 6**3
    assert count_trajectories(random_discounted_problem(0, (4, 3), segment_length=20)) == 12**20


def test_segments_start_where_some_policy_gets() -> None:
    # 0 -> 1 -> 1 whatever is done; state 2 leads to 0 and is never reached.
    problem = tabular(
        transitions=[[[0.0, 1.0, 0.0]] * 2, [[0.0, 1.0, 0.0]] * 2, [[1.0, 0.0, 0.0]] * 2],
        initial=[1.0, 0.0, 0.0],
        true_reward=[[0.3, -0.2], [0.5, 0.1], [2.0, -1.0]],
        horizon=None,
        discount=0.9,
        segment_length=2,
    )
    oracle = ExactOracle(problem)
    assert oracle.space.states.tolist() == [[0, 1]] * 4 + [[1, 1]] * 4
    occupancy = oracle.control.reward_occupancy(random_log_policy(0, problem)[None])[0]
    assert (occupancy[2] == 0).all()
    # The same entry taken twice counts twice.
    assert oracle.space.steps.amax() == 2
    # Shifts of the rewards of state 1, and of state 0 to match, change no comparison but those of
    # segments that start in different states: only the constant is left, and the unseen state 2.
    seen = comparable_rewards(oracle)
    assert torch.linalg.matrix_rank(seen) == 3
    gauge = torch.tensor([1.0, 1.0, 1.0, 1.0, 5.0, -7.0]).double()
    assert (seen @ gauge).abs().max() < 1e-14


@CASES
def test_occupancy_and_law_are_the_sums_over_time(index: int) -> None:
    problem = PROBLEMS[index]
    control, log_policy = control_and_policy(problem)
    occupancy = control.state_occupancy(log_policy)
    assert close(occupancy[0], stationary.occupancy(problem, log_policy[0, 0]), 1e-13)
    visits = naive_discounted.discounted_visits(problem, log_policy[0, 0])
    assert close(visits * (1 - problem.discount), occupancy[0], 1e-13)
    total = control.discounted_occupancy(log_policy).sum().item()
    assert total == pytest.approx(1 / (1 - problem.discount), rel=1e-13)
    comparisons = comparisons_of(problem, control)
    law = comparisons.probabilities(log_policy)
    assert law.sum().item() == pytest.approx(1, abs=1e-13)


@SMALL
def test_lower_level_is_the_sum_over_time(index: int) -> None:
    problem = PROBLEMS[index]
    control, log_policy = control_and_policy(problem)
    reward = naive.reward_table(problem, random_point(2, problem))
    expected = stationary.lower_objective(problem, reward, log_policy[0, 0])
    found = control.lower_objective(reward[None], log_policy)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12, abs=1e-12)
    assert (problem.initial * control.values(reward[None], log_policy)).sum().item() == (
        pytest.approx(expected.item(), rel=1e-12, abs=1e-12)
    )
    best = naive_discounted.optimal_log_policy(problem, reward)
    assert close(control.optimal_log_policy(reward[None])[0, 0], best, 1e-11)
    gap = stationary.lower_objective(problem, reward, best) - expected
    assert control.lower_gap(log_policy, best[None, None]).item() == pytest.approx(
        gap.item(), rel=1e-10
    )


@SMALL
def test_upper_objective_and_its_partials(index: int) -> None:
    problem = PROBLEMS[index]
    tables, log_policy = naive_discounted.Tables(problem), random_log_policy(5, problem)
    reward = naive.reward_table(problem, random_point(4, problem))
    upper = ExactOracle(problem).evaluate_upper(reward[None], log_policy[None])
    expected = tables.upper_of_tables(reward, log_policy)
    assert upper.value.item() == pytest.approx(expected.item(), rel=1e-12)
    in_reward = naive.gradient(lambda r: tables.upper_of_tables(r, log_policy), reward)
    in_policy = naive.gradient(lambda t: tables.upper_of_tables(reward, t), log_policy)
    assert close(upper.reward_gradient[0], in_reward)
    # The rows of the naive table are free, also in the occupancy.
    found = naive.along_policies(upper.policy_gradient[0], log_policy)
    assert close(found, naive.along_policies(in_policy, log_policy))


@SMALL
def test_policy_gradient_is_the_score_of_fixed_weights(index: int) -> None:
    problem = PROBLEMS[index]
    tables, (control, log_policy) = naive_discounted.Tables(problem), control_and_policy(problem)
    comparisons = comparisons_of(problem, control)
    order = {tuple(map(tuple, visited)): i for i, visited in enumerate(tables.visited)}
    listed = torch.stack([comparisons.space.states, comparisons.space.actions], dim=-1).tolist()
    match = torch.tensor([order[tuple(map(tuple, visited))] for visited in listed])
    weights = torch.randn(len(match), generator=torch.Generator().manual_seed(0)).double()

    def score(table: Tensor) -> Tensor:
        return (weights * tables.law(table)[match].log()).sum()

    expected = naive.gradient(score, log_policy[0])
    found = comparisons.policy_gradient(log_policy, weights[None])[0]
    assert close(
        naive.along_policies(found, log_policy[0]), naive.along_policies(expected, log_policy[0])
    )


@pytest.mark.parametrize("segment_length", [1, 2])
def test_a_long_episode_is_the_discounted_problem(segment_length: int) -> None:
    problem = random_discounted_problem(3, (3, 2), discount=0.8, segment_length=segment_length)
    steps = 200  # 0.8^200 = 4e-20
    episodic = replace(
        problem,
        horizon=steps,
        segment_length=1,
        reference_policy=problem.reference_policy.expand(steps, -1, -1),
    )
    reward = random_point(3, problem).reshape(1, 3, 2)
    best = control_of(problem).optimal_log_policy(reward)
    assert close(control_of(episodic).optimal_log_policy(reward)[:, :1], best, 1e-12)
    log_policy = random_log_policy(3, problem)[None]
    repeated = log_policy.expand(-1, steps, -1, -1)
    for quantity in ("lower_objective", "lower_gap"):
        first = reward if quantity == "lower_objective" else log_policy
        last = log_policy if quantity == "lower_objective" else best
        long = [t.expand(-1, steps, -1, -1) if t.ndim == 4 else t for t in (first, last)]
        value = getattr(control_of(problem), quantity)(first, last)
        assert close(getattr(control_of(episodic), quantity)(*long), value, 1e-12)
    visits = control_of(episodic).reward_occupancy(repeated)
    assert close(control_of(problem).reward_occupancy(log_policy), visits, 1e-12)


@pytest.mark.parametrize("segment_length", [1, 2, 3])
def test_gauge_invariance(segment_length: int) -> None:
    problem = random_discounted_problem(9, (2, 2), segment_length=segment_length)
    oracle, phi = ExactOracle(problem), random_point(9, problem)
    shifted = phi + 0.83  # indicator features: the same constant for every state and action
    assert close(oracle.hyperobjective(shifted), oracle.hyperobjective(phi))
    assert close(oracle.hypergradient(shifted), oracle.hypergradient(phi))
    assert close(oracle.optimal_policy(shifted), oracle.optimal_policy(phi))
    assert oracle.hypergradient(phi).sum().abs() < 1e-13
    change = torch.randn(4, generator=torch.Generator().manual_seed(1)).double()
    seen = comparable_rewards(oracle)
    assert (seen @ torch.ones(4).double()).abs().max() < 1e-14
    assert close(oracle.hypergradient(phi + change - seen @ change), oracle.hypergradient(phi))
    assert not close(oracle.hypergradient(phi + change), oracle.hypergradient(phi), 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["cross_entropy", "excess_risk"])
def test_a_batch_is_a_loop_and_leading_dimensions_are_kept(objective: str) -> None:
    problem = random_discounted_problem(6, (3, 2), objective=objective, segment_length=2)
    oracle, phi = ExactOracle(problem), random_point(3, problem, 2, 3)
    for method, shape, tolerance, members in (
        (oracle.hyperobjective, (), 1e-13, 6),
        (oracle.hypergradient, (6,), 1e-13, 6),
        (oracle.optimal_policy, (3, 2), 1e-13, 6),
        (lambda point: oracle.penalised_objective(point, 0.1), (), 1e-11, 1),
        (lambda point: oracle.penalised_gradient(point, 0.1), (6,), 1e-9, 1),
        (lambda point: oracle.penalised_policy(point, 0.1), (3, 2), 1e-9, 1),
    ):
        batch = method(phi)
        assert batch.shape == (2, 3, *shape)
        for member in range(6 - members, 6):
            i, j = divmod(member, 3)
            assert close(batch[i, j], method(phi[i, j]), tolerance)


@pytest.mark.parametrize("index", [2, 5, 14])
def test_penalised_gradient_tends_to_the_hypergradient_like_sigma(index: int) -> None:
    # Section 3.3: the difference is sigma / 2 times a gradient, with an error of order sigma².
    problem = PROBLEMS[index]
    oracle, phi = ExactOracle(problem), random_point(index, problem)
    gradient = oracle.hypergradient(phi)
    biases = [(oracle.penalised_gradient(phi, s) - gradient).norm().item() for s in (1e-2, 1e-3)]
    assert biases[0] > 1e-8
    assert biases[0] / biases[1] == pytest.approx(10, rel=0.05)


def test_gap_is_resolved_far_below_rounding_of_the_objective() -> None:
    problem = random_discounted_problem(5, (3, 2), discount=0.95)
    control = control_of(problem)
    best = control.optimal_log_policy(problem.true_reward[None])
    direction = random_log_policy(0, problem)[None]

    def gap(size: float) -> float:
        return control.lower_gap(torch.log_softmax(best + size * direction, -1), best).item()

    # A quadratic form in the perturbation, up to its size.
    assert gap(1e-9) < 1e-15
    assert gap(2e-9) / gap(1e-9) == pytest.approx(4, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["cross_entropy", "excess_risk"])
def test_optimum(objective: str) -> None:
    problem = random_discounted_problem(3, (2, 2), objective=objective, features=2)
    exact = ExactOracle(problem)
    optimum = find_optimum(exact, starts_per_scale=2)
    assert exact.hyperobjective(optimum.phi).item() == pytest.approx(optimum.value, abs=1e-12)
    assert optimum.value <= exact.hyperobjective(problem.true_parameters).item() + 1e-12
    if objective == "excess_risk":
        assert optimum.certified
        assert abs(optimum.value) < 1e-12
        assert optimal_hyperobjective(exact) == 0.0
        assert exact.hypergradient(problem.true_parameters).norm() < 1e-12
    else:
        assert exact.hypergradient(optimum.phi).norm() <= 1e-6
        grid = random_point(0, problem, 500) * 3
        assert exact.hyperobjective(grid).min().item() >= optimum.value - 1e-12


def test_diagnostics_of_iterates() -> None:
    problem = random_discounted_problem(8, (3, 2), segment_length=2)
    exact, sigma = ExactOracle(problem), 0.1
    model = problem.policy_model
    assert isinstance(model, TabularSoftmax)
    truth = RLHFTruth(exact, model)
    phi = random_point(8, problem, 2)
    lower = torch.stack([random_log_policy(seed, problem).reshape(-1) for seed in (1, 2)])
    found = truth.diagnostics(phi, lower, lower, sigma)
    tables = naive_discounted.Tables(problem)
    for row in range(2):
        reward = naive.reward_table(problem, phi[row])
        best = naive_discounted.optimal_log_policy(problem, reward).reshape(-1)
        gap = tables.lower(phi[row], best) - tables.lower(phi[row], lower[row])
        assert found["lower_gap"][row].item() == pytest.approx(gap.item(), rel=1e-10)
        minimiser = exact.penalised_policy(phi[row], sigma).reshape(-1)
        above = tables.penalised(phi[row], lower[row], sigma) - tables.penalised(
            phi[row], minimiser, sigma
        )
        assert found["lower_gap_penalised"][row].item() == pytest.approx(above.item(), rel=1e-9)
    at_best = exact.penalised_policy(phi, sigma).flatten(1)
    assert truth.penalised_distance(phi, at_best, sigma).max() < 1e-9
    at_truth = problem.true_parameters[None]
    error = truth.diagnostics(at_truth, lower[:1], None, None)["reward_error"]
    assert error.item() < 1e-25


def test_a_broken_replicate_does_not_spoil_the_others() -> None:
    problem = random_discounted_problem(7, (3, 2))
    oracle = ExactOracle(problem)
    sound = random_point(1, problem, 1)
    broken = torch.cat([torch.full_like(sound, torch.nan), sound])
    solution = oracle.solve_penalised(oracle.reward_model.table(broken), 0.1)
    assert solution.certified.tolist() == [False, True]
    assert close(
        solution.log_policy[1],
        oracle.solve_penalised(oracle.reward_model.table(sound), 0.1).log_policy[0],
        1e-10,
    )


def test_a_policy_changed_in_place_is_not_mistaken_for_the_last_one() -> None:
    problem = random_discounted_problem(7, (3, 2))
    control, log_policy = control_and_policy(problem)
    before = control.state_occupancy(log_policy)
    log_policy.copy_(random_log_policy(2, problem)[None])
    expected = stationary.occupancy(problem, log_policy[0, 0])
    assert close(control.state_occupancy(log_policy)[0], expected, 1e-13)
    assert not close(before[0], expected, 1e-3)


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e6])
def test_large_rewards_reach_the_greedy_policy(scale: float) -> None:
    # Where pi* is deterministic to rounding, its value is that of plain value iteration.
    problem = random_discounted_problem(4, (5, 3), discount=0.95)
    control = control_of(problem)
    reward = scale * problem.true_reward
    value = torch.zeros(5, dtype=torch.float64)
    for _ in range(900):  # 0.95^900 = 9e-21
        value = (reward + 0.95 * problem.transitions @ value).amax(-1)
    found = control.optimal_log_policy(reward[None])
    assert (found.exp().amax(-1) > 0.999).all()
    best = control.lower_objective(reward[None], found).item()
    # The KL term costs at most beta log(1 / min pi_ref) / (1 - gamma).
    penalty = problem.kl_weight * -problem.reference_policy.log().min().item() / 0.05
    optimal = (problem.initial @ value).item()
    assert optimal - penalty <= best <= optimal + 1e-12 * abs(optimal)


def test_a_policy_that_cannot_be_certified_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("theory_check.oracles.control.discounted_control.MAXIMUM_ITERATIONS", 2)
    problem = random_discounted_problem(4, (5, 3), discount=0.95)
    with pytest.raises(CertificationError, match=r"after 2 improvements; use a smaller discount"):
        ExactOracle(problem).hyperobjective(random_point(4, problem))


# The peak of this program's own memory: ru_maxrss would start from that of the process that started it.
MEMORY = """
from pathlib import Path
import torch
from theory_check.oracles import ExactOracle
from theory_check.problems import garnet
problem = garnet(states=500, actions=5, horizon=None, discount=0.95, features=8, branching=5)
gradient = ExactOracle(problem).hypergradient(torch.linspace(-1, 1, 8, dtype=torch.float64))
assert torch.isfinite(gradient).all()
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_500_states_take_less_than_a_gibibyte(tmp_path: Path) -> None:
    # The whole process: a quarter of it is torch itself. One array over pairs of segments is 48 MiB.
    assert int(printed_by_text(MEMORY, tmp_path)) * 1024 < 2**30


def test_enumeration_budget_names_the_number_and_the_remedy() -> None:
    problem = random_discounted_problem(0, (2, 3), segment_length=4)  # (2 * 3)^4 segments
    with pytest.raises(
        EnumerationBudgetError, match=r"1295.*1296 segments.*shorten segments.*budget.*1296"
    ):
        ExactOracle(problem, enumeration_budget=1295, way="pairs")
    assert ExactOracle(problem, enumeration_budget=1296).space.size == 1296


@pytest.mark.slow
def test_sweeps_before_policy_iteration_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many states with few successors start elsewhere and end at the same optimum."""
    problem = garnet(
        states=60, actions=3, horizon=None, discount=0.95, branching=1, features=4, seed=1
    )
    phi = torch.randn(2, 4, dtype=torch.float64)
    expected = ExactOracle(problem).hypergradient(phi)
    monkeypatch.setattr(discounted_control, "MANY_STATES", 10)
    exact = ExactOracle(problem)
    assert exact.control._sparse_moves is not None  # type: ignore[attr-defined]
    torch.testing.assert_close(exact.hypergradient(phi), expected, rtol=1e-12, atol=1e-15)
