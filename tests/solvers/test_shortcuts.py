"""Whole loops in one call against the single operations: the same numbers, streams and counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.generators import random_discounted_problem, random_problem
from helpers.passing import Passing

from theory_check.bilevel import InnerPath, lower_shortcut, penalty_shortcut
from theory_check.errors import InvalidArgumentError, SampleBudgetExhausted
from theory_check.oracles.estimates import penalty_loops
from theory_check.oracles.estimates.penalty_loops import PenaltyLoops
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.instruments import instruments_for
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import Problem, Thurstone, bandit, garnet, tabular
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.schedules import ScheduleConstants, get_schedule
from theory_check.solvers.states import PenaltyState, descend_lower

SEEDS = [3, 1, 4]
PROBLEMS: dict[str, Problem] = {
    "bandit": bandit(contexts=4, actions=3, features=4),
    "small": garnet(states=3, actions=2, horizon=2, features=4, branching=2),
    "wide": garnet(states=4, actions=2, horizon=2, features=4, objective="excess_risk"),
    "discount": random_problem(5, (2, 2, 3), discount=0.7, sparse=True, features=3),
    "sure": garnet(states=2, actions=2, horizon=3, features=2, branching=1, seed=2),
    "networks": garnet(states=3, actions=2, horizon=2, features=4).with_classes(
        reward="mlp", policy="mlp"
    ),
    "discounted": random_discounted_problem(3, (3, 2)),
    "longer segments": random_discounted_problem(1, (2, 2), segment_length=2, sparse=True),
    "discounted networks": random_discounted_problem(3, (2, 2)).with_classes(
        reward="mlp", policy="mlp"
    ),
    "other labels": garnet(
        states=3, actions=2, horizon=2, features=4, objective="excess_risk"
    ).with_preferences(Thurstone(deviation=0.7, random_share=0.1)),
    "log-linear": garnet(states=3, actions=2, horizon=2, features=4).with_classes(
        policy="log-linear"
    ),
}
# Longer inner steps leave the optimum of some of these problems and magnify rounding, whichever way is
# taken, until a count differs.
CONSTANTS = ScheduleConstants(
    sigma=1.0,
    iterations=2.0,
    inner_steps=1.6,
    trajectories=30.0,
    pairs=20.0,
    step_size=0.5,
    inner_step_size=0.3,
)
SOLVERS = {
    **{
        name: get_schedule(name).configure(0.05, CONSTANTS)[1]
        for name in ("total-3", "total-2", "total-7/2")
    },
    # Fewer samples than outcomes are drawn one by one.
    "few": PenaltyBilevel(0.3, 2, 0.5, 0.1, trajectories=3, pairs=2, coupling="shared"),
    # Of discounted problems, second legs are drawn one by one.
    "a few more": PenaltyBilevel(0.3, 2, 0.5, 0.1, trajectories=30, pairs=20),
    "many": PenaltyBilevel(0.02, 3, 0.5, 0.15, trajectories=10**10, pairs=10**10),
    "central": PenaltyBilevel(0.3, 2, 0.3, 0.1, trajectories=300, pairs=200, difference="central"),
    "central, few": PenaltyBilevel(0.3, 2, 0.5, 0.1, 3, 2, difference="central"),
}


def streams(oracle: SampledOracle) -> list[np.ndarray]:
    source: Any = oracle.estimates.source  # type: ignore[attr-defined]
    return [source.rollouts, source.pairs, source.reached_pairs, source.continuations]


def advance(solver: PenaltyBilevel, oracle: Any, visited: list[PenaltyState]) -> None:
    """Visit states until the oracle refuses."""
    while True:
        visited.append(solver.step(oracle, visited[-1]))


def worst_difference(first: PenaltyState, second: PenaltyState) -> float:
    """Return the largest difference of two states, relative to the size of each of their tensors."""
    return max(
        float((ours - theirs).abs().max() / theirs.abs().max())
        for ours, theirs in (
            (getattr(first, name), getattr(second, name))
            for name in ("lower", "lower_penalised", "estimate", "next_upper")
        )
    )


def both_ways(
    problem: Problem, solver: PenaltyBilevel, iterations: int, spoil: Callable[[Any], Any] | None
) -> float:
    """Return how far the shortcut is from the operations; streams and counts are the same."""
    fast, slow = (instruments_for(problem, SEEDS) for _ in range(2))
    assert isinstance(fast.sampled, SampledOracle)
    assert isinstance(slow.sampled, SampledOracle)
    if spoil is not None:
        loops = fast.sampled._penalty_loops
        assert loops is not None
        fast.sampled._penalty_loops = replace(loops, tables=spoil(loops.tables))
    ours = theirs = fast.initial_state(solver, SEEDS, 0.7)
    for _ in range(iterations):
        ours = solver.step(fast.sampled, ours)
        theirs = solver.step(Passing(slow.sampled), theirs)
    assert fast.sampled.counts == slow.sampled.counts
    if spoil is None:
        for mine, other in zip(streams(fast.sampled), streams(slow.sampled), strict=True):
            np.testing.assert_array_equal(mine, other)
    return worst_difference(ours, theirs)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("coupling", ["independent", "shared"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_shortcut_is_the_operations(name: str, coupling: Any, solver: str) -> None:
    problem, configured = PROBLEMS[name], replace(SOLVERS[solver], coupling=coupling)
    if problem.horizon is None and coupling == "shared":  # walked step by step, both ways
        configured = replace(configured, trajectories=min(configured.trajectories, 500))
    assert both_ways(problem, configured, 1, None) < 1e-12
    # Their activations round in their own way, which a division by sigma and later steps magnify.
    assert both_ways(problem, configured, 4, None) < (1e-11 if "networks" in name else 1e-12)


PLANTED: dict[str, Callable[[Any], Any]] = {
    "the KL term": lambda tables: tables._replace(kl_weight=0.0),
    "the reference policy": lambda tables: tables._replace(reference=0.0 * tables.reference),
    "the kind of loss": lambda tables: tables._replace(excess=not tables.excess),
    "the annotator": lambda tables: tables._replace(
        labels=tables.labels._replace(returns=-tables.labels.returns)
    ),
    "where steps lead": lambda tables: tables._replace(visited=tables.visited[::-1].copy()),
    "the discount": lambda tables: tables._replace(discounts=np.ones_like(tables.discounts)),
}


PLANTED_IN_SEGMENTS: dict[str, Callable[[Any], Any]] = {
    "the discount": lambda tables: tables._replace(discount=0.9 * tables.discount),
    "the start": lambda tables: tables._replace(initial=tables.initial[::-1].copy()),
    "where segments start": lambda tables: tables._replace(first_state=0 * tables.first_state),
    "the KL term": lambda tables: tables._replace(segments=tables.segments._replace(kl_weight=0.0)),
}


@pytest.mark.parametrize("defect", PLANTED_IN_SEGMENTS)
def test_a_planted_defect_is_seen_without_a_horizon(defect: str) -> None:
    change = PLANTED_IN_SEGMENTS[defect]
    assert both_ways(PROBLEMS["discounted"], SOLVERS["total-3"], 2, change) > 1e-6


@pytest.mark.parametrize("defect", PLANTED)
def test_a_planted_defect_is_seen(defect: str) -> None:
    assert both_ways(PROBLEMS["discount"], SOLVERS["total-3"], 2, PLANTED[defect]) > 1e-6


def test_a_dropped_term_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    descent = PenaltyLoops.descent

    def without_pull(self: PenaltyLoops, *variables: Any) -> Any:
        *iterates, loop, path = variables
        return descent(self, *iterates, replace(loop, sigma=0.0), path)

    monkeypatch.setattr(PenaltyLoops, "descent", without_pull)
    assert both_ways(PROBLEMS["wide"], SOLVERS["total-3"], 2, lambda tables: tables) > 1e-6


@pytest.mark.parametrize("name", ["networks", "discounted networks"])
def test_large_networks_leave_their_products_to_a_library(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(penalty_loops, "MOST_PRODUCTS", 0)
    oracle = instruments_for(PROBLEMS[name], SEEDS).sampled
    assert isinstance(oracle, SampledOracle)
    assert oracle._penalty_loops is not None
    assert oracle._penalty_loops._networks is None
    assert both_ways(PROBLEMS[name], SOLVERS["total-3"], 4, None) < 1e-12


@pytest.mark.parametrize("name", ["networks", "discounted networks", "log-linear"])
def test_networks_take_all_steps_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step size that is not the solver's is seen in compiled networks."""
    oracle = instruments_for(PROBLEMS[name], SEEDS).sampled
    assert isinstance(oracle, SampledOracle)
    assert oracle._penalty_loops is not None
    assert oracle._penalty_loops._networks is not None
    at_once = PenaltyLoops._at_once

    def longer(self: PenaltyLoops, reward: Any, both: Any, loop: Any, path: Any) -> Any:
        return at_once(self, reward, both, replace(loop, step_size=1.001 * loop.step_size), path)

    monkeypatch.setattr(PenaltyLoops, "_at_once", longer)
    assert both_ways(PROBLEMS[name], SOLVERS["total-3"], 2, lambda tables: tables) > 1e-6


@pytest.mark.parametrize(
    ("name", "coupling"),
    [("wide", "independent"), ("wide", "shared"), ("discounted", "independent")],
)
def test_a_budget_ends_both_at_the_same_sample(name: str, coupling: Any) -> None:
    problem, solver = PROBLEMS[name], replace(SOLVERS["total-3"], coupling=coupling)
    unlimited = instruments_for(problem, SEEDS)
    state = unlimited.initial_state(solver, SEEDS, 0.7)
    solver.step(unlimited.sampled, state)
    cost = unlimited.sampled.counts.samples
    for budget in (cost - 1, cost + 1, cost + cost // 2, 2 * cost - solver.pairs, 2 * cost):
        fast, slow = (instruments_for(problem, SEEDS, sample_budget=budget) for _ in range(2))
        assert isinstance(fast.sampled, SampledOracle)
        assert isinstance(slow.sampled, SampledOracle)
        done = []
        for oracle in (fast.sampled, Passing(slow.sampled)):
            visited: list[PenaltyState] = [state]
            with pytest.raises(SampleBudgetExhausted):
                advance(solver, oracle, visited)
            done.append(len(visited) - 1)
        assert done == [budget // cost] * 2
        assert fast.sampled.counts == slow.sampled.counts
        for mine, other in zip(streams(fast.sampled), streams(slow.sampled), strict=True):
            np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("name", ["small", "networks", "discounted"])
def test_who_asks_for_the_path_gets_that_of_the_operations(name: str) -> None:
    problem, solver = PROBLEMS[name], SOLVERS["total-2"]
    fast, slow, untold = (instruments_for(problem, SEEDS) for _ in range(3))
    state = fast.initial_state(solver, SEEDS, 0.7)
    ours: InnerPath = []
    theirs: InnerPath = []
    told = solver.step(fast.sampled, state, ours)
    solver.step(Passing(slow.sampled), state, theirs)
    assert len(ours) == len(theirs) == solver.inner_steps
    for mine, other in zip(ours, theirs, strict=True):
        for point, expected in zip(mine, other, strict=True):
            torch.testing.assert_close(point, expected, rtol=1e-12, atol=1e-12)
    assert worst_difference(solver.step(untold.sampled, state), told) == 0.0


@pytest.mark.parametrize("name", ["small", "discounted"])
def test_iterates_that_are_not_finite_stay_so_and_spoil_no_other(name: str) -> None:
    problem, solver = PROBLEMS[name], SOLVERS["total-3"]
    fast, slow = (instruments_for(problem, SEEDS) for _ in range(2))
    state = fast.initial_state(solver, SEEDS, 0.7)
    lower = state.lower.clone()
    lower[1, 2] = torch.nan
    state = replace(state, lower=lower)
    ours, theirs = solver.step(fast.sampled, state), solver.step(Passing(slow.sampled), state)
    assert bool(ours.estimate[1].isnan().all())
    for mine, other in zip(streams(fast.sampled), streams(slow.sampled), strict=True):  # type: ignore[arg-type]
        np.testing.assert_array_equal(mine, other)
    torch.testing.assert_close(ours.estimate, theirs.estimate, rtol=1e-12, atol=0.0, equal_nan=True)


def test_rows_without_a_stream_are_refused_as_ever() -> None:
    solver = SOLVERS["total-3"]
    tools = instruments_for(PROBLEMS["small"], SEEDS)
    state = tools.initial_state(solver, SEEDS, 0.7)
    more = PenaltyState.start(state.upper[[0, 1, 2, 0]], state.lower[[0, 1, 2, 0]])
    with pytest.raises(InvalidArgumentError, match="one row for each of 3 seeds"):
        solver.step(tools.sampled, more)


def test_where_no_shortcut_is_offered_or_taken() -> None:
    class Derived(SampledOracle):
        pass

    small, loop = PROBLEMS["small"], SOLVERS["total-3"]._loop
    tools = instruments_for(small, SEEDS)
    state = tools.initial_state(SOLVERS["total-3"], SEEDS, 0.7)
    points = (state.upper, state.lower, state.lower)
    assert penalty_shortcut(Passing(tools.sampled)) is None
    assert penalty_shortcut(ExactInformation(small)) is None
    columns = torch.full((3, 1), 0.1, dtype=torch.float64)
    counts = np.full(3, 10)
    others = (replace(loop, sigma=columns), replace(loop, pairs=counts))
    oracles = (Derived(small, SEEDS),)
    for oracle, asked in [
        *((oracle, loop) for oracle in oracles),
        *((tools.sampled, o) for o in others),
    ]:
        offered = penalty_shortcut(oracle)
        assert offered is not None
        assert offered.penalty_descent(*points, asked, None) is None
        assert offered.penalty_estimate(*points, asked) is None
        assert oracle.counts.samples == 0


def test_actions_that_do_not_exist_leave_the_operations() -> None:
    """Compiled softmaxes know nothing of them; the run is that of the operations."""
    mask = np.array([[True, True, False], [True, True, True]])
    problem = tabular(
        transitions=np.full((2, 3, 2), 0.5),
        initial=[0.5, 0.5],
        true_reward=np.arange(6.0).reshape(2, 3) / 6,
        horizon=2,
        action_mask=mask,
    )
    instruments, solver = instruments_for(problem, SEEDS), SOLVERS["few"]
    assert isinstance(instruments.sampled, SampledOracle)
    assert instruments.sampled._penalty_loops is None
    state = solver.step(instruments.sampled, instruments.initial_state(solver, SEEDS, 0.7))
    assert bool(state.estimate.isfinite().all())
    policy = instruments.sampled.policy_model.table(state.lower).exp()
    assert not bool(policy[:, :, 0, 2].any())


LOWER_BATCHES = (3, 30, 3000, 10**10)


def lower_steps(
    problem: Problem, samples: int, *, factor: float = 1.0, budget: int | None = None
) -> tuple[torch.Tensor, torch.Tensor, Any, Any]:
    """Return y after four inner steps, by the shortcut and by the operations, and both oracles."""
    fast, slow = (instruments_for(problem, SEEDS, sample_budget=budget) for _ in range(2))
    upper, start = fast.initial_upper(SEEDS, 0.7), fast.initial_lower(SEEDS)
    given: dict[str, Any] = {"steps": 4, "samples": samples}
    ours = descend_lower(fast.sampled, upper, start, step_size=factor * 0.3, **given)
    theirs = descend_lower(Passing(slow.sampled), upper, start, step_size=0.3, **given)
    return ours, theirs, fast.sampled, slow.sampled


@pytest.mark.parametrize("samples", LOWER_BATCHES)
@pytest.mark.parametrize("name", PROBLEMS)
def test_inner_steps_of_one_lower_variable_are_the_operations(name: str, samples: int) -> None:
    ours, theirs, fast, slow = lower_steps(PROBLEMS[name], samples)
    assert lower_shortcut(fast) is not None
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert fast.counts == slow.counts
    for mine, other in zip(streams(fast), streams(slow), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("name", ["small", "networks", "discounted"])
def test_who_asks_for_the_path_of_one_lower_variable_gets_that_of_the_operations(name: str) -> None:
    fast, slow, untold = (instruments_for(PROBLEMS[name], SEEDS) for _ in range(3))
    upper, start = fast.initial_upper(SEEDS, 0.7), fast.initial_lower(SEEDS)
    given: dict[str, Any] = {"steps": 4, "step_size": 0.3, "samples": 3000}
    ours: InnerPath = []
    theirs: InnerPath = []
    end = descend_lower(fast.sampled, upper, start, **given, path=ours, penalised=start)
    descend_lower(Passing(slow.sampled), upper, start, **given, path=theirs, penalised=start)
    assert len(ours) == len(theirs) == 4
    for (mine, beside), (other, _) in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)
        assert beside is start
    assert torch.equal(descend_lower(untold.sampled, upper, start, **given), end)


@pytest.mark.parametrize("name", ["small", "networks", "discounted"])
def test_another_step_of_one_lower_variable_is_seen(name: str) -> None:
    ours, theirs, *_ = lower_steps(PROBLEMS[name], 3000, factor=1.001)
    assert float((ours - theirs).abs().max()) > 1e-6


@pytest.mark.parametrize("name", ["small", "discounted"])
def test_a_budget_ends_inner_steps_where_the_operations_end(name: str) -> None:
    for oracle_of in (lambda oracle: oracle, Passing):
        tools = instruments_for(PROBLEMS[name], SEEDS, sample_budget=3 * 3000 + 1)
        upper, lower = tools.initial_upper(SEEDS, 0.7), tools.initial_lower(SEEDS)
        with pytest.raises(SampleBudgetExhausted):
            descend_lower(
                oracle_of(tools.sampled), upper, lower, steps=4, step_size=0.3, samples=3000
            )
        assert tools.sampled.counts.samples == 3 * 3000  # type: ignore[attr-defined]


def test_where_inner_steps_of_one_variable_are_not_taken_at_once() -> None:
    tools = instruments_for(PROBLEMS["small"], SEEDS)
    points = tools.initial_upper(SEEDS, 0.7), tools.initial_lower(SEEDS)
    assert lower_shortcut(Passing(tools.sampled)) is None
    assert lower_shortcut(ExactInformation(PROBLEMS["small"])) is None
    offered = lower_shortcut(tools.sampled)
    assert offered is not None
    columns, counts = torch.full((3, 1), 0.1, dtype=torch.float64), np.full(3, 10)
    alike: dict[str, Any] = {"steps": 2, "step_size": 0.1, "samples": 10}
    for other in ({"step_size": columns}, {"samples": counts}):
        assert offered.lower_descent(*points, **{**alike, **other}) is None
    more = (points[0][[0, 1, 2, 0]], points[1][[0, 1, 2, 0]])
    assert offered.lower_descent(*more, **alike) is None
    assert tools.sampled.counts.samples == 0  # type: ignore[attr-defined]
