"""The recorder on scripted solvers, with rows worked out by hand.

The scripted problem is one context with two actions, beta = 1, a uniform reference policy and the
excess risk, where everything is a function of the difference D of the two rewards:

    p = sigmoid(D),   G = 2 p (1-p) k(D),   k(D) = KL(sigmoid(D*) || sigmoid(D)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.generators import contract_garnet, random_log_policy, random_point, random_problem
from torch import Tensor

from theory_check.bilevel import BilevelOracle, Information
from theory_check.errors import InvalidArgumentError
from theory_check.oracles import ExactOracle
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.rlhf_truth import RLHFTruth, comparable_rewards
from theory_check.problems import Problem, tabular
from theory_check.recording.recorder import COLUMNS, Recorder, recording_grid
from theory_check.recording.run import Trace, iterate
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.states import EstimatesHypergradient, PenaltyState

TRUE = 0.8  # difference of the true rewards
NAN = float("nan")


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def divergence(d: float) -> float:
    """KL(P* || P_phi) of a pair of the two actions, label by label."""
    s, p = sigmoid(TRUE), sigmoid(d)
    return s * math.log(s / p) + (1 - s) * math.log((1 - s) / (1 - p))


def phi_of(d: float) -> float:
    p = sigmoid(d)
    return 2 * p * (1 - p) * divergence(d)


def slope_of(d: float) -> float:
    """dPhi/dD by the product rule: p' = p (1-p), k' = sigmoid(D) - s."""
    p = sigmoid(d)
    return 2 * p * (1 - p) * ((1 - 2 * p) * divergence(d) + p - sigmoid(TRUE))


def gap_of(p: float, d: float) -> float:
    """J* - J for the policy (p, 1-p) under rewards (d, 0), from section 1.1."""
    value = p * d - p * math.log(2 * p) - (1 - p) * math.log(2 * (1 - p))
    return math.log((math.exp(d) + 1) / 2) - value


def two_arms() -> Problem:
    return tabular(
        transitions=[[[1.0], [1.0]]],
        initial=[1.0],
        true_reward=[[TRUE, 0.0]],
        horizon=1,
        objective="excess_risk",
    )


@dataclass(frozen=True)
class ScriptedState:
    upper: Tensor
    lower: Tensor
    lower_penalised: Tensor | None
    estimate: Tensor
    next_upper: Tensor


@dataclass(frozen=True)
class Scripted:
    """Plays back states; its expected estimate is the upper iterate itself."""

    name: ClassVar[str] = "scripted"
    information: ClassVar[Information] = "samples"
    states: tuple[ScriptedState, ...]
    penalty: float | None = None

    def init(self, upper: Tensor, lower: Tensor) -> ScriptedState:
        return ScriptedState(upper, lower, None, torch.zeros_like(upper), upper)

    def step(self, oracle: BilevelOracle, state: ScriptedState) -> ScriptedState:
        position = next((i for i, s in enumerate(self.states) if s is state), -1)
        return self.states[position + 1]

    def hypergradient_estimate(self, oracle: BilevelOracle, state: ScriptedState) -> Tensor:
        return state.upper


class Following(EstimatesHypergradient, Scripted):
    """The same, declared to estimate the hypergradient itself."""


def scripted_state(
    differences: Sequence[float], probabilities: Sequence[float], estimates: Sequence[float]
) -> ScriptedState:
    upper = torch.tensor([[d + 0.3, 0.3] for d in differences], dtype=torch.float64)
    logits = [[math.log(p), math.log(1 - p)] for p in probabilities]
    lower = torch.tensor(logits, dtype=torch.float64)
    estimate = torch.tensor([[e, -e] for e in estimates], dtype=torch.float64)
    return ScriptedState(upper, lower, None, estimate, upper)


SCRIPT = (
    scripted_state([0.1, 2.0], [0.5, 0.3], [0.4, -0.2]),
    scripted_state([TRUE, 1.0], [sigmoid(TRUE), 0.8], [0.0, 1.0]),
    scripted_state([-1.0, 0.5], [0.9, 0.6], [0.1, 0.2]),
)


def record(
    states: tuple[ScriptedState, ...],
    seeds: Sequence[int],
    grid: frozenset[int],
    kind: type[Scripted] = Following,
) -> pd.DataFrame:
    problem, solver = two_arms(), kind(states)
    exact = ExactOracle(problem)
    information = ExactInformation(problem)
    recorder = Recorder(
        RLHFTruth(exact, information.policy_model), information, solver, seeds, grid
    )
    count = 0

    def counts() -> SampleCounts:
        return SampleCounts(10 * count, 5 * count, 3 * count, exact_calls=7 * count)

    def progress(done: int, total: int) -> None:
        nonlocal count
        count = done

    start = solver.init(states[0].upper, states[0].lower)
    iterate(solver, information, start, len(states), recorder, counts, progress)
    return recorder.table()


@pytest.mark.slow
def test_rows_of_a_script_are_those_worked_out_by_hand() -> None:
    table = record(SCRIPT, [7, 3], frozenset({1, 3}))
    assert list(table.columns) == list(COLUMNS)
    assert table[["seed", "iteration"]].to_numpy().tolist() == [[3, 1], [3, 3], [7, 1], [7, 3]]
    assert set(table.status) == {"ok"}
    # The counters are read after each iteration; this script raises them between iterations.
    assert table.labels.tolist() == [0, 6, 0, 6]
    assert table.trajectories.tolist() == [0, 10, 0, 10]
    assert table.samples.tolist() == [0, 16, 0, 16]
    assert table.env_steps.tolist() == [0, 20, 0, 20]
    assert table.exact_calls.tolist() == [0, 14, 0, 14]
    differences = {7: (0.1, TRUE, -1.0), 3: (2.0, 1.0, 0.5)}
    probabilities = {7: (0.5, None, 0.9), 3: (0.3, None, 0.6)}
    estimates = {7: (0.4, None, 0.1), 3: (-0.2, None, 0.2)}
    for row in table.itertuples():
        t = int(row.iteration) - 1
        d, e = differences[row.seed][t], estimates[row.seed][t]
        p = probabilities[row.seed][t]
        assert p is not None
        assert e is not None
        gradient, expected = (slope_of(d), -slope_of(d)), (d + 0.3, 0.3)
        stationarity = [2 * slope_of(x) ** 2 for x in differences[row.seed][: t + 1]]
        sampling = (e - expected[0]) ** 2 + (-e - expected[1]) ** 2
        inner = (expected[0] - gradient[0]) ** 2 + (expected[1] - gradient[1]) ** 2
        hand = {
            "hyperobjective": phi_of(d),
            "optimality_gap": phi_of(d),
            "stationarity": stationarity[-1],
            "ergodic_stationarity": sum(stationarity) / (t + 1),
            "hypergradient_error": 2 * (e - gradient[0]) ** 2,
            "penalty_bias": 0.0,
            "inner_error": inner,
            "sampling_error": sampling,
            "lower_gap": gap_of(p, d),
            "policy_regret": gap_of(p, TRUE),
            "true_return": p * TRUE,
            # The gauge is the constants: what is left of (x, y) is half its difference, twice.
            "reward_error": ((d - TRUE) / 2) ** 2,
            "min_policy_probability": min(p, 1 - p),
        }
        for name, value in hand.items():
            assert getattr(row, name) == pytest.approx(value, rel=1e-11, abs=1e-15), name
        assert math.isnan(row.lower_gap_penalised)


@pytest.mark.slow
def test_without_a_surrogate_the_error_is_whole_and_not_split() -> None:
    """Nothing is called free of bias because nobody said what it estimates."""
    whole = record(SCRIPT, [7, 3], frozenset({1, 3}))
    table = record(SCRIPT, [7, 3], frozenset({1, 3}), Scripted)
    assert table[["penalty_bias", "inner_error"]].isna().all(axis=None)
    same = ["hypergradient_error", "sampling_error", "stationarity"]
    pd.testing.assert_frame_equal(table[same], whole[same])


class TwoPoint(Scripted):
    """Follows the mean of two penalised problems, as a method with two penalised levels does."""

    def surrogate_gradient(self, truth: RLHFTruth, state: ScriptedState) -> Tensor:
        ends = [truth.surrogate_gradient(state.upper, sigma) for sigma in (0.2, 0.1)]
        return (ends[0] + ends[1]) / 2


@pytest.mark.slow
def test_a_solver_may_follow_any_combination() -> None:
    row = record(SCRIPT[:1], [0, 1], frozenset({1}), TwoPoint).iloc[0]
    oracle, upper = ExactOracle(two_arms()), SCRIPT[0].upper
    mean = (oracle.penalised_gradient(upper, 0.2) + oracle.penalised_gradient(upper, 0.1)) / 2
    bias = (mean - oracle.hypergradient(upper))[0].square().sum().item()
    inner = (upper - mean)[0].square().sum().item()
    assert bias > 1e-11
    assert (row.penalty_bias, row.inner_error) == pytest.approx((bias, inner), rel=1e-9)


@pytest.mark.slow
def test_truth_has_no_error_and_no_regret() -> None:
    state = scripted_state([TRUE], [sigmoid(TRUE)], [0.0])
    row = record((state,), [0], frozenset({1})).iloc[0]
    for name in ("stationarity", "lower_gap", "policy_regret", "reward_error"):
        assert abs(row[name]) < 1e-30, name
    assert abs(row.optimality_gap) < 1e-15


def test_a_diverged_replicate_says_so_and_leaves_the_others_alone() -> None:
    def broken(state: ScriptedState, field: str) -> ScriptedState:
        parts = {name: getattr(state, name).clone() for name in ("upper", "lower", "estimate")}
        parts["next_upper"] = state.next_upper.clone()
        parts[field][0] = NAN
        return ScriptedState(lower_penalised=None, **parts)

    grid = frozenset({1, 2, 3})
    sound = record(SCRIPT, [7, 3], grid)
    for field in ("lower", "estimate", "next_upper"):
        script = (SCRIPT[0], broken(SCRIPT[1], field), broken(SCRIPT[2], field))
        table = record(script, [7, 3], grid)
        other = table[table.seed == 3].reset_index(drop=True)
        pd.testing.assert_frame_equal(other, sound[sound.seed == 3].reset_index(drop=True))
        lost = table[table.seed == 7]
        assert lost.iteration.tolist() == [1, 2]
        assert lost.status.tolist() == ["ok", "diverged"]
        assert np.isnan(lost.iloc[1].stationarity)
        assert lost.iloc[1].labels == 3
        # The row without measurements counts too: 5 trajectories and 3 labels.
        assert lost.iloc[1].samples == 8


def test_a_divergence_of_all_ends_the_run() -> None:
    end = ScriptedState(
        SCRIPT[1].upper, SCRIPT[1].lower, None, SCRIPT[1].estimate * NAN, SCRIPT[1].next_upper
    )
    table = record((SCRIPT[0], end, SCRIPT[2]), [7, 3], frozenset({1, 3}))
    assert table.iteration.tolist() == [1, 2, 1, 2]
    assert table.status.tolist() == ["ok", "diverged"] * 2


@pytest.mark.parametrize("iterations", [1, 2, 7, 100, 12345])
@pytest.mark.parametrize("density", [1, 10])
def test_grid(iterations: int, density: int) -> None:
    grid = sorted(recording_grid(iterations, density))
    assert grid[0] == 1
    assert grid[-1] == iterations
    assert grid[0] >= 1
    decades = math.log10(iterations)
    assert len(grid) <= density * decades + 2
    # Consecutive points differ by one (rounding) or by at most one spacing of the grid.
    for left, right in pairwise(grid):
        assert right - left == 1 or math.log10((right - 0.5) / (left + 0.5)) <= 1 / density + 1e-9


@pytest.mark.parametrize(("iterations", "density"), [(0, 10), (-1, 10), (10, 0)])
def test_grids_that_are_refused(iterations: int, density: int) -> None:
    with pytest.raises(InvalidArgumentError, match=r"iterations|points_per_decade"):
        recording_grid(iterations, density)


@pytest.mark.slow
def test_the_three_errors_add_up_and_are_what_they_are_called() -> None:
    problem = contract_garnet("excess_risk")
    exact, information = ExactOracle(problem), ExactInformation(problem)
    solver = PenaltyBilevel(
        sigma=0.05, inner_steps=1, inner_step_size=0.1, step_size=0.1, trajectories=1, pairs=1
    )
    phi = random_point(0, problem, 2)
    one, two = (
        torch.stack([random_log_policy(10 * k + r, problem).flatten() for r in range(2)])
        for k in (1, 2)
    )
    state = PenaltyState(phi, phi, one, two, estimate=random_point(5, problem, 2))
    recorder = Recorder(
        RLHFTruth(exact, information.policy_model), information, solver, [0, 1], frozenset({1})
    )
    split = recorder.split_error(state)
    total = split.penalty_bias + split.inner_error + split.sampling_error
    scale = max(part.abs().max() for part in (total, split.inner_error, split.sampling_error))
    assert (total - split.hypergradient_error).abs().max() <= 1e-12 * scale
    gradient, surrogate = exact.hypergradient(phi), exact.penalised_gradient(phi, 0.05)
    expected = solver.hypergradient_estimate(information, state)
    torch.testing.assert_close(split.penalty_bias, surrogate - gradient)
    torch.testing.assert_close(split.inner_error, expected - surrogate)
    torch.testing.assert_close(split.sampling_error, state.estimate - expected)
    torch.testing.assert_close(split.hypergradient_error, state.estimate - gradient)
    recorder.observe(1, state, SampleCounts(), torch.arange(2))
    row = recorder.table().iloc[1]
    for name in ("penalty_bias", "inner_error", "sampling_error", "hypergradient_error"):
        assert row[name] == pytest.approx(getattr(split, name)[1].square().sum().item())
    level = exact.penalised_level(exact.reward_model.table(phi), 0.05)
    least = level.value(exact.penalised_policy(phi, 0.05))
    gap = level.value(two.reshape(2, 3, 3, 2).log_softmax(-1)) - least
    assert row.lower_gap_penalised == pytest.approx(gap[1].item(), rel=1e-9)
    assert gap.min() > 0


@pytest.mark.parametrize("discount", [1.0, 0.5])
def test_reward_error_ignores_exactly_the_gauge(discount: float) -> None:
    # Two steps: state 0, then state 1 whatever is done. Adding u to all rewards of state 0 and w to
    # all of state 1 shifts every return by u + gamma w: a gauge beyond the constants (section 1.5).
    problem = tabular(
        transitions=[[[0.0, 1.0]] * 2, [[0.0, 1.0]] * 2],
        initial=[1.0, 0.0],
        true_reward=[[0.4, -0.2], [1.0, 0.3]],
        horizon=2,
        discount=discount,
    )
    projection = comparable_rewards(ExactOracle(problem))

    def visible(change: list[float]) -> float:
        return (torch.tensor(change, dtype=torch.float64) @ projection).square().mean().item()

    assert visible([1.0, 1.0, 0.0, 0.0]) < 1e-28
    assert visible([0.0, 0.0, 1.0, 1.0]) < 1e-28
    assert visible([1.0, -1.0, 0.0, 0.0]) == pytest.approx(0.5)
    assert visible([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.125)


def test_ergodic_stationarity_is_the_running_mean_of_every_iteration() -> None:
    states = tuple(scripted_state([0.1 * t, 1 - 0.2 * t], [0.5, 0.5], [0.0, 0.0]) for t in range(9))
    table = record(states, [0, 1], frozenset(range(1, 10)))
    for _, rows in table.groupby("seed"):
        running = rows.stationarity.expanding().mean()
        np.testing.assert_allclose(rows.ergodic_stationarity, running, rtol=1e-12)
    sparse = record(states, [0, 1], frozenset({1, 9}))
    full = table[table.iteration == 9].ergodic_stationarity.to_numpy()
    np.testing.assert_allclose(sparse[sparse.iteration == 9].ergodic_stationarity, full, rtol=1e-12)


@pytest.mark.slow
def test_an_unknown_optimum_is_computed_for_the_gap() -> None:
    problem = random_problem(3, (2, 2, 2), features=2)
    exact, information = ExactOracle(problem), ExactInformation(problem)
    upper = random_point(1, problem, 1)
    lower = exact.optimal_policy(upper).flatten(1)
    solver = Scripted(())
    recorder = Recorder(
        RLHFTruth(exact, information.policy_model), information, solver, [0], frozenset({1})
    )
    state = ScriptedState(upper, lower, None, upper, upper)
    recorder.observe(1, state, SampleCounts(), torch.arange(1))
    row = recorder.table().iloc[0]
    assert 0 < row.optimality_gap < row.hyperobjective
    assert row.lower_gap == pytest.approx(0, abs=1e-30)


def test_what_is_printed_of_a_trace_is_one_line() -> None:
    lost = ScriptedState(
        SCRIPT[1].upper,
        SCRIPT[1].lower,
        None,
        SCRIPT[1].estimate * torch.tensor([[NAN], [1.0]], dtype=torch.float64),
        SCRIPT[1].next_upper,
    )
    table = record((SCRIPT[0], lost, SCRIPT[2]), [7, 3], frozenset({1, 2, 3}))
    trace = Trace(table=table, final_upper=SCRIPT[2].upper)
    # Seed 7 has its first row and the one that says why it ended, seed 3 has three.
    assert repr(trace) == (
        f"<Trace: 5 rows, {len(COLUMNS)} columns, 2 seeds, up to iteration 3; ended: 1 ok, 1 diverged>"
    )
    empty = Trace(table=table.iloc[:0], final_upper=SCRIPT[2].upper)
    assert repr(empty) == f"<Trace: 0 rows, {len(COLUMNS)} columns, 0 seeds, ended: none>"
