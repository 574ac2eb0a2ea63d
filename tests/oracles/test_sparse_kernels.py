"""Sparse kernels against tables of the same problem, and a problem whose table nobody could hold."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.fresh import printed_by_text
from helpers.generators import random_discounted_problem, random_problem
from helpers.kernels import with_rows
from scipy import sparse
from torch import Tensor

from theory_check.errors import CertificationError, InvalidArgumentError
from theory_check.oracles.comparisons.possible import count_trajectories
from theory_check.oracles.comparisons.trajectories import enumerate_segments, enumerate_trajectories
from theory_check.oracles.control import control_of, sparse_resolvent
from theory_check.oracles.control.hard_control import hard_optimum
from theory_check.oracles.control.lower_geometry import lower_geometry
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.instruments import instruments_for
from theory_check.oracles.rlhf_truth import comparable_rewards
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import Problem, garnet, gridworld, tabular

OBJECTIVES = ("cross_entropy", "excess_risk")
EPISODIC = [
    random_problem(
        seed,
        [(2, 2, 1), (4, 3, 2), (5, 3, 6), (8, 4, 5)][seed % 4],
        discount=(1.0, 0.9)[seed % 2],
        sparse=seed % 3 == 0,
        features=3,
        objective=OBJECTIVES[(seed // 2) % 2],
    )
    for seed in range(8)
]
DISCOUNTED = [
    random_discounted_problem(
        seed,
        [(2, 2), (4, 3), (8, 3), (20, 3)][seed % 4],
        discount=(0.5, 0.9, 0.97, 0.99, 0.999)[seed % 5],
        segment_length=1 + seed % 2,
        sparse=seed % 3 == 0,
        features=4,
        objective=OBJECTIVES[(seed // 2) % 2],
    )
    for seed in range(10)
]


def masked(problem: Problem) -> Problem:
    """Return the problem without an action of its second state."""
    mask = np.ones((problem.states, problem.actions), dtype=bool)
    mask[1, 0] = False
    return tabular(
        transitions=problem.dynamics.dense("a test"),
        initial=problem.initial,
        true_reward=problem.true_reward,
        features=problem.features,
        horizon=problem.horizon,
        discount=problem.discount,
        segment_length=problem.segment_length,
        kl_weight=problem.kl_weight,
        action_mask=mask,
    )


PROBLEMS = [*EPISODIC, *DISCOUNTED, masked(EPISODIC[1]), masked(DISCOUNTED[1])]


def points(problem: Problem, number: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(number, problem.parameters, dtype=torch.float64, generator=generator)


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp_min(1e-300))


WAYS = ("by their rule", "by sweeps", "by factors")
EVERY_PROBLEM = pytest.mark.parametrize(
    ("index", "solved"),
    # Nothing is solved where steps end.
    [
        (index, way)
        for index, problem in enumerate(PROBLEMS)
        for way in (WAYS if problem.horizon is None else WAYS[:1])
    ],
    indirect=["solved"],
)


@pytest.fixture(params=WAYS)
def solved(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"by sweeps": 5000, "by factors": 0}.get(request.param)
    if few is not None:
        monkeypatch.setattr(sparse_resolvent, "FEW_SWEEPS", few)


@cache
def of_the_table(index: int) -> tuple[str, Tensor, list[tuple[Tensor, Tensor]], Tensor]:
    """Return the way, values, the gradients at points and 1e-6 beside them, and optimal policies."""
    problem = PROBLEMS[index]
    table, phi = ExactOracle(problem), points(problem)
    gradients = [(table.hypergradient(at), table.hypergradient(at + 1e-6)) for at in phi]
    return table.upper.way, table.hyperobjective(phi), gradients, table.optimal_policy(phi)


@pytest.mark.slow
@EVERY_PROBLEM
def test_exact_quantities_are_those_of_the_table(index: int, solved: None) -> None:
    problem = PROBLEMS[index]
    way, values, gradients, policies = of_the_table(index)
    rows = ExactOracle(with_rows(problem))
    phi = points(problem)
    assert way == rows.upper.way
    assert (rows.hyperobjective(phi) - values).abs().max() < 1e-12
    for point, (gradient, beside) in zip(phi, gradients, strict=True):
        found = rows.hypergradient(point)
        assert relative(found, gradient) < 1e-11
        assert relative(found, beside) > 1e-11
    torch.testing.assert_close(rows.optimal_policy(phi), policies, rtol=1e-11, atol=0)
    assert (rows.hypergradient_error(phi) < 1e-9).all()


@pytest.mark.slow
@EVERY_PROBLEM
def test_control_is_that_of_the_table(index: int, solved: None) -> None:
    problem = PROBLEMS[index]
    one, other = control_of(with_rows(problem)), control_of(problem)
    reward = problem.reward_model.table(points(problem))
    optimal = other.optimal_log_policy(reward)
    reference = other.log_reference[None].expand_as(optimal)
    between = other.normalised(0.5 * (optimal + reference))
    step_reward = reward[:, None].expand_as(optimal)
    for name, arguments in (
        ("discounted_occupancy", (between,)),
        ("returns_to_go", (step_reward, between)),
        ("continued_visits", (between, step_reward)),
        ("visit_difference", (optimal, between)),
        ("gap_gradient", (between, optimal)),
        ("lower_gap", (between, optimal)),
    ):
        found, expected = (getattr(each, name)(*arguments) for each in (one, other))
        assert relative(found, expected) < 1e-11, name
    hard, expected_hard = (hard_optimum(each, reward).action_values for each in (one, other))
    torch.testing.assert_close(hard, expected_hard, rtol=1e-11, atol=1e-12)
    shape, expected_shape = (
        lower_geometry(each, reward, between, optimal) for each in (one, other)
    )
    torch.testing.assert_close(shape.gap, expected_shape.gap, rtol=1e-11, atol=0)
    torch.testing.assert_close(shape.ratio, expected_shape.ratio, rtol=1e-9, atol=0)


@pytest.mark.usefixtures("solved")
@pytest.mark.parametrize("discount", [0.5, 0.9, 0.99])
def test_small_occupancies_keep_their_relative_accuracy(discount: float) -> None:
    """In a row of states each step leads one on or starts again: d(s) = (1-gamma) (gamma/2)^s / rest."""
    states = 60
    kernel = np.zeros((states, 1, states))
    kernel[:, 0, 0] = 0.5
    kernel[np.arange(states), 0, np.minimum(np.arange(states) + 1, states - 1)] += 0.5
    problem = tabular(
        transitions=kernel,
        initial=np.eye(states)[0],
        true_reward=np.zeros((states, 1)),
        horizon=None,
        discount=discount,
        features=np.ones((states, 1, 1)),
    )
    occupancy = control_of(with_rows(problem)).state_occupancy(  # type: ignore[attr-defined]
        problem.model_inputs.log_reference[None]
    )[0]
    powers = (discount / 2) ** torch.arange(states, dtype=torch.float64)
    powers[-1] /= 1 - discount / 2  # where the row ends it is stayed in
    expected = powers / powers.sum()
    torch.testing.assert_close(occupancy, expected, rtol=1e-12, atol=0)


def test_a_policy_that_is_not_finite_spoils_no_other() -> None:
    problem = with_rows(DISCOUNTED[1])
    control: Any = control_of(problem)
    policy = problem.model_inputs.log_reference[None].repeat(3, 1, 1, 1)
    policy[1, 0, 0, 0] = torch.nan
    found = control.state_occupancy(policy)
    assert torch.isnan(found[1]).all()
    assert torch.equal(found[0], found[2])
    assert torch.isfinite(found[0]).all()


def test_sweeps_that_do_not_settle_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = with_rows(DISCOUNTED[2])
    monkeypatch.setattr(sparse_resolvent, "sweeps_needed", lambda discount: 1)
    with pytest.raises(CertificationError, match="sweeps over 8 states with a sparse kernel left"):
        control_of(problem).optimal_log_policy(problem.true_reward[None])


def test_a_profile_bounds_the_factors() -> None:
    generator = np.random.default_rng(0)
    for states in (5, 40):
        system = sparse.csr_array(
            np.eye(states) + sparse.random_array((states, states), density=0.1, rng=generator)
        )
        size = np.linalg.cholesky(states * np.eye(states) + np.ones((states, states))).size
        assert states <= sparse_resolvent.profile(system) <= size
    narrow = sparse.diags_array([1.0, 1.0, 1.0], offsets=[-1, 0, 1], shape=(50, 50)).tocsr()
    shuffled = generator.permutation(50)
    assert sparse_resolvent.profile(narrow[shuffled][:, shuffled]) == 99


@pytest.mark.parametrize("index", range(len(PROBLEMS)))
def test_trajectories_are_counted_and_listed_as_of_the_table(index: int) -> None:
    problem, rows = PROBLEMS[index], with_rows(PROBLEMS[index])
    number = count_trajectories(problem)
    assert count_trajectories(rows) == number
    if number <= 4096:
        listed = enumerate_trajectories if problem.horizon is not None else enumerate_segments
        one, other = listed(problem), listed(rows)
        for name in ("states", "actions", "log_dynamics", "class_of"):
            assert torch.equal(getattr(one, name), getattr(other, name))


def test_long_trajectories_are_counted_exactly() -> None:
    assert count_trajectories(with_rows(random_problem(0, (4, 3, 20)))) == 12**20
    assert count_trajectories(with_rows(random_problem(0, (4, 3, 27)))) == 12**27
    assert count_trajectories(with_rows(random_problem(0, (4, 3, 29)))) == 10**30


@pytest.mark.slow
@pytest.mark.parametrize("problem", [EPISODIC[2], DISCOUNTED[2], PROBLEMS[-2], PROBLEMS[-1]])
@pytest.mark.parametrize("coupling", ["independent", "shared"])
def test_the_same_samples_are_drawn_step_by_step(problem: Problem, coupling: Any) -> None:
    """From the same streams. Occupancies differ by rounding: a draw moves with a chance of 1e-11."""
    found = []
    for each in (problem, with_rows(problem)):
        oracle = SampledOracle(each, [1, 2], enumeration_budget=1)
        upper = points(problem)
        lower = oracle.policy_model.initial(torch.zeros(2, 1, dtype=torch.float64))
        generator = torch.Generator().manual_seed(1)
        moved = lower + 0.1 * torch.randn(lower.shape, dtype=torch.float64, generator=generator)
        gradients = oracle.lower_gradients(upper, lower, moved, 30, coupling)
        pairs = oracle.upper_gradients(upper, moved, 30)
        response = oracle.total_gradient(upper, moved, 30, 30)
        difference = oracle.penalty_difference(upper, lower, moved, 30, coupling)
        found.append(
            torch.cat(
                [
                    gradients.at_lower,
                    gradients.at_penalised,
                    pairs.in_upper,
                    pairs.in_lower,
                    response.response,
                    difference,
                ],
                dim=1,
            )
        )
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("problem", [EPISODIC[2], DISCOUNTED[2], DISCOUNTED[3], PROBLEMS[-1]])
@pytest.mark.parametrize("budget", [1, 4096])
def test_expectations_are_those_of_the_table(problem: Problem, budget: int) -> None:
    one, other = (
        ExactInformation(each, enumeration_budget=budget) for each in (with_rows(problem), problem)
    )
    upper = points(problem)
    lower = other.policy_model.initial(torch.zeros(2, 1, dtype=torch.float64))
    generator = torch.Generator().manual_seed(1)
    moved = lower + 0.1 * torch.randn(lower.shape, dtype=torch.float64, generator=generator)
    for found, expected in (
        (each.lower_gradient(upper, moved, 1) for each in (one, other)),
        (each.upper_gradients(upper, moved, 1).in_lower for each in (one, other)),
        (each.penalty_difference(upper, lower, moved, 1, "shared") for each in (one, other)),
        (each.total_gradient(upper, moved, 1, 1).response for each in (one, other)),
        (each.contracted_lower(upper, moved) for each in (one, other)),
        (each.implied_upper(moved) for each in (one, other)),
        (each.adjoint_system(upper, moved).matrix for each in (one, other)),
    ):
        assert relative(found, expected) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("problem", [EPISODIC[2], DISCOUNTED[2]])
def test_penalised_gradients_and_what_is_seen_are_those_of_the_table(problem: Problem) -> None:
    for way in ("pairs", "steps") if problem.horizon is None else ("steps",):
        one, other = (ExactOracle(each, way=way) for each in (with_rows(problem), problem))
        phi = points(problem, 1)
        torch.testing.assert_close(
            one.penalised_gradient(phi, 0.1), other.penalised_gradient(phi, 0.1), rtol=1e-8, atol=0
        )
    one, other = (ExactOracle(each, enumeration_budget=1) for each in (with_rows(problem), problem))
    torch.testing.assert_close(comparable_rewards(one), comparable_rewards(other))


def wide(discount: float, states: int = 6000) -> Problem:
    """Return a problem in which every state leads anywhere: no order of them is narrow."""
    generator = np.random.default_rng(0)
    pairs = 2 * states
    places = (np.repeat(np.arange(pairs), 3), generator.integers(states, size=3 * pairs))
    return tabular(
        transitions=sparse.csr_array((np.full(3 * pairs, 1 / 3), places), shape=(pairs, states)),
        initial=np.full(states, 1 / states),
        true_reward=generator.standard_normal((states, 2)),
        features=generator.standard_normal((states, 2, 3)),
        observations=np.zeros((states, 1)),
        horizon=None,
        discount=discount,
    )


@pytest.mark.slow
def test_a_discount_whose_systems_are_not_affordable_is_refused_before_any_work() -> None:
    with pytest.raises(
        InvalidArgumentError,
        match=r"^discount: received 0\.99999 for tabular, whose 6000 states .* pass at most 0\.99980",
    ):
        ExactOracle(wide(0.99999))


@pytest.mark.slow
def test_tables_that_many_states_leave_no_place_for_are_refused_by_name() -> None:
    problem = wide(0.5)
    exact = ExactInformation(problem)
    upper = points(problem, 1)
    lower = exact.policy_model.initial(torch.zeros(1, 1, dtype=torch.float64))
    for call, text in (
        (lambda: exact.adjoint_system(upper, lower), "the response as a linear system of 6000"),
        (lambda: exact.implied_upper(lower), "inverse soft control for 6003 unknowns"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"^problem: received 6000 states .*{text}"):
            call()
    sampled = SampledOracle(problem, [0])
    with pytest.raises(InvalidArgumentError, match=r"^trajectories: .*sparse kernel, 3 expected"):
        sampled.lower_gradient(upper, lower, 10**9)


@pytest.mark.slow
def test_what_a_run_records_leaves_out_the_projection_of_rewards() -> None:
    problem = wide(0.5)
    instruments = instruments_for(problem, [0])
    upper, lower = instruments.initial_upper([0], 1.0), instruments.initial_lower([0])
    columns = instruments.truth.diagnostics(upper, lower, None, None)
    assert torch.isnan(columns["reward_error"]).all()
    assert all(torch.isfinite(columns[name]).all() for name in columns if name != "reward_error")
    assert torch.isfinite(instruments.truth.hypergradient(upper)).all()


# The peak of this program's own memory: ru_maxrss would start from that of the process that started it.
MEMORY = """
from pathlib import Path
import torch
from theory_check.oracles import ExactOracle
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import gridworld
rows = ["S" * 100, *["." * 100] * 98, "." * 99 + "G"]
{setting}
problem = gridworld(map=rows, features="observations", **setting)
exact = ExactOracle(problem)
phi = torch.linspace(-1, 1, 12, dtype=torch.float64)
gradient = exact.hypergradient(phi)
direction = torch.linspace(1, -0.5, 12, dtype=torch.float64)
# Rounding of values is 1e-14; the third derivative is of order one.
step = 1e-4
ahead, behind = exact.hyperobjective(torch.stack([phi + step * direction, phi - step * direction]))
slope = float(gradient @ direction)
assert abs(float(ahead - behind) / (2 * step) - slope) < 1e-6 * abs(slope), slope
oracle = SampledOracle(problem, [0])
lower = oracle.policy_model.initial(torch.zeros(1, 1, dtype=torch.float64))
for coupling in ("independent", "shared"):
    found = oracle.lower_gradients(phi[None], lower, lower, 100, coupling)
    assert torch.isfinite(found.at_penalised).all()
assert torch.isfinite(oracle.total_gradient(phi[None], lower, 100, 100).response).all()
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize("setting", ["dict(horizon=3)", "dict(horizon=None, discount=0.9)"])
def test_10000_states_take_less_than_a_gibibyte(setting: str, tmp_path: Path) -> None:
    """A table of the kernel would be 3.2 GB; a third of a GiB is torch and compiled code."""
    program = MEMORY.replace("{setting}", f"setting = {setting}")
    assert int(printed_by_text(program, tmp_path)) * 1024 < 2**30


@pytest.mark.slow
def test_optimal_values_of_many_states_satisfy_the_bellman_equation() -> None:
    problem = gridworld(
        map=["S" * 40] * 39 + ["." * 39 + "G"], features="observations", discount=0.9
    )
    control = control_of(problem)
    reward = problem.true_reward[None]
    policy = control.optimal_log_policy(reward)
    value = control.values(reward, policy)  # type: ignore[attr-defined]
    kernel = problem.dynamics.matrix
    ahead = torch.from_numpy(kernel @ value[0].numpy()).reshape(reward.shape)
    scaled = control.log_reference + (reward + 0.9 * ahead) / control.kl_weight
    backed_up = control.kl_weight * scaled.logsumexp(-1)
    torch.testing.assert_close(backed_up, value, rtol=0, atol=1e-13)
    occupancy = control.state_occupancy(policy)[0].numpy()  # type: ignore[attr-defined]
    joint = (occupancy[:, None] * policy[0, 0].exp().numpy()).ravel()
    arrived = 0.1 * problem.initial.numpy() + 0.9 * (kernel.T @ joint)
    np.testing.assert_allclose(arrived, occupancy, rtol=1e-12)


@pytest.mark.slow
def test_a_garnet_of_many_states_is_the_same_from_a_table_and_from_rows() -> None:
    problem = garnet(
        states=1200, actions=2, horizon=None, discount=0.9, features=4, branching=3, seed=1
    )
    phi = points(problem, 1)
    found = ExactOracle(with_rows(problem)).hypergradient(phi)
    assert relative(found, ExactOracle(problem).hypergradient(phi)) < 1e-11
