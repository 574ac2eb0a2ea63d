"""Loops of plateau and valley in one call against the operations: the same bits, streams and counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.passing import Passing

from theory_check.bilevel import Difference, InnerPath, PenaltyLoop, penalty_shortcut
from theory_check.errors import SampleBudgetExhausted
from theory_check.oracles.closed_form import ClosedFormOracle
from theory_check.oracles.estimates import hard_loops
from theory_check.oracles.estimates.hard_loops import HardLoops
from theory_check.oracles.hard_oracle import SampledHardOracle
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import plateau, quadratic, valley
from theory_check.problems.gradient_noise import GaussianNoise
from theory_check.problems.plateau import PlateauProblem
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.stacked import join, stack
from theory_check.solvers.states import PenaltyState

SEEDS = [11, 4, 7]
# Noise that carries the iterates over the edge of the slope, and below z = 0 in the valley.
PROBLEMS: dict[str, Any] = {
    "plateau": plateau(epsilon=0.1, noise=2.0),
    "plateau, curved": plateau(epsilon=0.3, curvature=0.7, stiffness=0.6, slope=3.0, bend=0.3),
    "valley": valley(noise=2.0),
    "valley, steep": valley(depth=2.0, decay=0.5, slope=3.0, bend=1.0),
}
BASE = PenaltyBilevel(0.05, 3, 0.4, 0.2, trajectories=3, pairs=5)
EACH = pytest.mark.parametrize("name", PROBLEMS)
COUPLINGS = pytest.mark.parametrize("coupling", ["independent", "shared"])
DIFFERENCES = pytest.mark.parametrize("difference", ["forward", "central"])
NAMES = ("upper", "lower", "lower_penalised", "estimate", "next_upper")


def solvers_of(stacked: bool, coupling: Any, difference: Difference) -> list[PenaltyBilevel]:
    """Return one setting, or three that differ in all that may differ."""
    one = replace(BASE, coupling=coupling, difference=difference)
    others = [
        replace(one, sigma=0.02, inner_step_size=0.7, step_size=0.1, trajectories=9, pairs=2),
        replace(one, sigma=0.09, inner_step_size=0.2, step_size=0.3, trajectories=4, pairs=40),
    ]
    return [one, *others] if stacked else [one]


def prepared(
    problem: Any, solvers: list[PenaltyBilevel], budget: int | None = None
) -> tuple[PenaltyBilevel, PenaltyState, SampledHardOracle, SampledHardOracle]:
    """Return the settings as one solver, where it starts, and two oracles with the same streams."""
    oracles = [
        instruments_for(problem, SEEDS * len(solvers), sample_budget=budget).sampled for _ in "12"
    ]
    starts = instruments_for(problem, SEEDS)
    state = join([starts.initial_state(solver, SEEDS, 1.0) for solver in solvers])
    solver = stack(solvers, len(SEEDS)) if len(solvers) > 1 else solvers[0]
    assert all(isinstance(oracle, SampledHardOracle) for oracle in oracles)
    return solver, state, *oracles  # type: ignore[return-value]


def advance(solver: PenaltyBilevel, oracle: Any, visited: list[PenaltyState]) -> None:
    """Visit states until the oracle refuses."""
    while True:
        visited.append(solver.step(oracle, visited[-1]))


def assert_same_streams(fast: SampledHardOracle, slow: SampledHardOracle) -> None:
    """Compare what comes next, and all counters."""
    np.testing.assert_array_equal(fast._draws.normal(5), slow._draws.normal(5))
    for name in ("trajectories", "labels", "env_steps", "samples"):
        mine, other = getattr(fast.counts, name), getattr(slow.counts, name)
        np.testing.assert_array_equal(mine, other)
        assert np.asarray(mine).dtype == np.asarray(other).dtype


def worst_difference(
    problem: Any,
    solvers: list[PenaltyBilevel],
    spoil: Callable[[HardLoops], HardLoops] | None = None,
) -> float:
    """Return how far the shortcut is from the operations after 40 iterations, streams compared."""
    solver, ours, fast, slow = prepared(problem, solvers)
    if spoil is not None:
        loops = fast._penalty_loops
        assert loops is not None
        fast._penalty_loops = spoil(loops)
    theirs, worst = ours, 0.0
    for _ in range(40):
        ours, theirs = solver.step(fast, ours), solver.step(Passing(slow), theirs)
        for name in NAMES:
            difference = (getattr(ours, name) - getattr(theirs, name)).abs().max()
            worst = max(worst, float(difference))
    assert_same_streams(fast, slow)
    return worst


@EACH
@COUPLINGS
@DIFFERENCES
@pytest.mark.parametrize("stacked", [False, True])
def test_the_shortcut_is_the_operations_bit_for_bit(
    name: str,
    coupling: Any,
    difference: Any,
    stacked: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = []
    for part in ("descent", "estimate"):
        whole = getattr(HardLoops, part)

        def watched(self: HardLoops, *given: Any, whole: Any = whole) -> Any:
            found = whole(self, *given)
            taken.append(found is not None)
            return found

        monkeypatch.setattr(HardLoops, part, watched)
    assert worst_difference(PROBLEMS[name], solvers_of(stacked, coupling, difference)) == 0.0
    assert taken == [True] * 80


@pytest.mark.parametrize("name", ["plateau", "valley"])
def test_runs_come_to_both_sides_of_every_edge(name: str) -> None:
    """What the comparison above is about: the foot of the slope, and z = 0 of the valley."""
    solver, state, oracle, _ = prepared(PROBLEMS[name], solvers_of(True, "shared", "central"))
    visited = []
    for _ in range(40):
        state = solver.step(oracle, state)
        visited.append(state.lower[:, 0])
    first = torch.cat(visited)
    problem = PROBLEMS[name]
    edge = problem.steepness / problem.curvature if name == "plateau" else 0.0
    assert bool((first < edge).any())
    assert bool((first > edge).any())


@COUPLINGS
def test_loops_that_are_longer_than_a_block_of_numbers(
    coupling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of 50 hold 2 or 3 steps of the 7."""
    monkeypatch.setattr(hard_loops, "BLOCK", 50)
    solvers = [replace(each, inner_steps=7) for each in solvers_of(True, coupling, "central")]
    assert worst_difference(PROBLEMS["valley"], solvers) == 0.0


def with_landscape(**changes: Any) -> Callable[[HardLoops], HardLoops]:
    return lambda loops: replace(loops, landscape=loops.landscape._replace(**changes))


def with_settings(change: Callable[[Any], Any]) -> Callable[[HardLoops], HardLoops]:
    """Plant a defect in what kernels get of the settings."""

    class Spoiled(HardLoops):
        def _counted(self, *given: Any) -> Any:
            return change(super()._counted(*given))

    return lambda loops: Spoiled(loops.landscape, loops.deviation, loops.counter, loops.draws)


PLANTED: dict[str, Callable[[HardLoops], HardLoops]] = {
    "the pull": with_landscape(slope=7.99),
    "its bend": with_landscape(bend=0.49),
    "the stiffness": with_landscape(stiffness=1.01),
    "the height": with_landscape(height=1.01),
    "its shape": with_landscape(shape=0.3),
    "the kind of height": with_landscape(falling=True),
    "the noise": lambda loops: replace(loops, deviation=1.999),
    "whose noise": with_settings(lambda s: replace(s, lower=s.upper, upper=s.lower)),
    "sigma of another setting": with_settings(lambda s: replace(s, sigmas=s.sigmas[::-1].copy())),
    "steps of another setting": with_settings(
        lambda s: replace(s, step_sizes=np.roll(s.step_sizes, 1))
    ),
    "the batches of another setting": with_settings(
        lambda s: replace(s, lower=np.roll(s.lower, 1))
    ),
}


@pytest.mark.parametrize("defect", PLANTED)
def test_a_planted_defect_is_seen(defect: str) -> None:
    solvers = solvers_of(True, "independent", "central")
    assert worst_difference(PROBLEMS["plateau"], solvers, PLANTED[defect]) > 1e-6


@pytest.mark.parametrize("stacked", [False, True])
@COUPLINGS
def test_a_budget_ends_both_at_the_same_sample(stacked: bool, coupling: Any) -> None:
    problem, solvers = PROBLEMS["plateau"], solvers_of(stacked, coupling, "central")
    solver, state, unlimited, _ = prepared(problem, solvers)
    solver.step(unlimited, state)
    cost = int(np.max(unlimited.counts.samples))
    for budget in (cost - 1, cost, cost + 1, cost + cost // 2, 2 * cost - 1):
        solver, state, fast, slow = prepared(problem, solvers, budget)
        done = []
        for oracle in (fast, Passing(slow)):
            visited = [state]
            with pytest.raises(SampleBudgetExhausted):
                advance(solver, oracle, visited)
            done.append(len(visited) - 1)
        assert done == [budget // cost] * 2
        assert_same_streams(fast, slow)


@DIFFERENCES
def test_who_asks_for_the_path_gets_that_of_the_operations(difference: Any) -> None:
    solver, state, fast, slow = prepared(
        PROBLEMS["valley"], solvers_of(True, "independent", difference)
    )
    ours: InnerPath = []
    theirs: InnerPath = []
    solver.step(fast, state, ours)
    solver.step(Passing(slow), state, theirs)
    assert len(ours) == len(theirs) == solver.inner_steps
    for mine, other in zip(ours, theirs, strict=True):
        for point, expected in zip(mine, other, strict=True):
            torch.testing.assert_close(point, expected, rtol=0.0, atol=0.0)


@EACH
def test_iterates_that_are_not_finite_stay_so_and_spoil_no_other(name: str) -> None:
    solver, state, fast, slow = prepared(PROBLEMS[name], solvers_of(True, "independent", "central"))
    lower, penalised = state.lower.clone(), state.lower_penalised.clone()
    lower[1, 0], penalised[4, 1] = torch.nan, torch.inf
    state = replace(state, lower=lower, lower_penalised=penalised)
    ours, theirs = solver.step(fast, state), solver.step(Passing(slow), state)
    assert bool(ours.estimate[1].isnan().any())
    for part in NAMES:
        torch.testing.assert_close(
            getattr(ours, part), getattr(theirs, part), rtol=0.0, atol=0.0, equal_nan=True
        )
    assert bool(ours.estimate[[0, 2, 3, 5, 6, 7, 8]].isfinite().all())


class DerivedOracle(SampledHardOracle):
    """May answer some operation otherwise."""


class DerivedProblem(PlateauProblem):
    """May have other gradients."""


def test_where_no_shortcut_is_taken_nothing_is_drawn_or_counted() -> None:
    problem, loop = PROBLEMS["plateau"], BASE._loop
    oracle = SampledHardOracle(problem, SEEDS)
    points = [torch.zeros(3, 2, dtype=torch.float64)] * 3
    column = torch.full((3, 1), 0.1, dtype=torch.float64)
    counts = np.array([3, 4, 5])
    odd = replace(plateau())
    vars(odd)["gradient_noise"] = GaussianNoise(1.0, 2, 2, along_lower=True)
    derived = DerivedProblem(**{each.name: getattr(problem, each.name) for each in fields(problem)})
    asked: list[tuple[Any, list[torch.Tensor], PenaltyLoop]] = [
        (DerivedOracle(problem, SEEDS), points, loop),
        (SampledHardOracle(derived, SEEDS), points, loop),
        (SampledHardOracle(odd, SEEDS), points, loop),
        (SampledHardOracle(quadratic(upper=2, lower=2, rank=1), SEEDS), points, loop),
        (oracle, [points[0][:2]] * 3, loop),
        (oracle, [points[0].float()] * 3, loop),
        (oracle, points, replace(loop, sigma=column[:, 0])),
        (oracle, points, replace(loop, step_size=column.float())),
        (oracle, points, replace(loop, pairs=counts[:2])),
        (oracle, points, replace(loop, trajectories=counts.astype(float))),
    ]
    for offered, at, what in asked:
        assert penalty_shortcut(offered) is offered
        assert offered.penalty_descent(*at, what, None) is None
        assert offered.penalty_estimate(*at, what) is None
        assert offered.counts.samples == 0
        assert len(offered._draws._block) == 0
    assert penalty_shortcut(ClosedFormOracle(problem)) is None
    assert penalty_shortcut(Passing(oracle)) is None


def test_another_loop_with_the_same_oracle_is_no_remembered_one() -> None:
    """Settings are prepared once for each loop, and told apart by their values."""
    problem = PROBLEMS["plateau"]
    _, state, fast, slow = prepared(problem, [BASE])
    changes: list[dict[str, Any]] = [
        {"sigma": 0.07},
        {"inner_step_size": 0.9},
        {"trajectories": 30},
        {"pairs": 50},
        {"coupling": "shared"},
        {"difference": "central"},
        {},
    ]
    ours = theirs = state
    for change in changes:
        solver = replace(BASE, **change)
        ours, theirs = solver.step(fast, ours), solver.step(Passing(slow), theirs)
        for name in NAMES:
            assert torch.equal(getattr(ours, name), getattr(theirs, name))
    assert_same_streams(fast, slow)
