"""Races of planted runs: who arrives, at what cost, and what ends a race."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from helpers.planted_runs import (
    Curve,
    FallsAt,
    PlantedProblem,
    PlantedSolver,
    PlantedState,
)

from theory_check.catalogue import installed
from theory_check.errors import CertificationError, InvalidArgumentError
from theory_check.problems import quadratic
from theory_check.solvers.method import Plan
from theory_check.tuning.raced_runs import LAG, Caps, RacedRuns, perturbed, race
from theory_check.tuning.units import units_of

FREE = Caps(samples=10**9, iterations=10**6)


def raced(
    curves: Sequence[Curve],
    needed: int | None,
    *,
    planned: int = 1000,
    caps: Caps = FREE,
    **more: Any,
) -> RacedRuns:
    """Race one run for each curve, ten samples an iteration, to an accuracy of 0.1."""
    plan = Plan(planned, PlantedSolver(tuple(curves), 10))
    return race(PlantedProblem(), plan, range(len(curves)), needed, 0.1, caps, **more)


def arriving(iteration: int) -> Curve:
    """Return a curve that meets 0.1 at an even iteration: 0 in its second half, 30 before."""
    return FallsAt(iteration // 2 + 1)


def test_costs_are_those_of_each_run() -> None:
    """Looked at 2 % apart, every iteration below 100."""
    found = raced([arriving(10), arriving(20), arriving(40), FallsAt(10**6)], needed=3)
    assert found.costs().tolist() == [100.0, 200.0, 400.0, math.inf]
    # The third has been kept from 40 to 60; blocks are a sixth of that at most.
    assert 60 <= found.steps <= 60 * (1 + 1 / LAG)
    assert not found.cut


def test_a_race_is_given_up_when_too_few_can_win() -> None:
    curves = [arriving(10), arriving(20), arriving(40), arriving(80)]
    found = raced(curves, needed=3, allowed=300.0)
    # 1.1 times 300 samples are spent after 33 iterations.
    assert found.costs().tolist() == [100.0, 200.0, math.inf, math.inf]
    assert 33 < found.steps <= 36
    # With 364 and more allowed, the third arrives.
    assert raced(curves, needed=3, allowed=364.0).costs()[2] == 400.0


def test_where_every_result_is_wanted_nobody_who_is_lost_ends_the_race() -> None:
    """The first diverges at 3; as one of three that are needed it ends the race, and nobody arrives."""
    curves = [lambda at: 1e200 if at >= 3 else 1.0, arriving(20), arriving(40)]
    assert raced(curves, needed=3).costs().tolist() == [math.inf, math.inf, math.inf]
    assert raced(curves, needed=None).costs().tolist() == [math.inf, 200.0, 400.0]
    # What costs more than anybody wants to know is not waited for.
    found = raced(curves, needed=None, allowed=250.0)
    assert found.costs().tolist() == [math.inf, 200.0, math.inf]
    assert found.steps < 36


def test_the_rule_of_a_method_ends_its_runs() -> None:
    """Planned are 20 iterations: who is there at 20 has until 30 to keep it, who is at 22 has failed."""
    assert raced([arriving(20)], 1, planned=20).costs().tolist() == [200.0]
    late = raced([arriving(22)], 1, planned=20)
    assert late.costs().tolist() == [math.inf]
    assert late.steps == 30
    assert not late.cut, "its own rule is no technical limit"


def test_a_margin_is_kept_to_the_rule_of_a_method_and_to_no_other_limit() -> None:
    """Of 20 planned iterations three quarters are 15; of 20 that a limit allows all may be used."""
    assert raced([arriving(14)], 1, planned=20, margin=0.75).costs().tolist() == [140.0]
    late = raced([arriving(16)], 1, planned=20, margin=0.75)
    assert late.costs().tolist() == [math.inf]
    assert not late.cut, "its own rule is no technical limit"
    allowed = raced([arriving(20)], 1, caps=Caps(10**9, 20), margin=0.75)
    assert allowed.costs().tolist() == [200.0]


def test_the_technical_limit_is_told() -> None:
    limited = Caps(samples=10**9, iterations=20)
    assert raced([arriving(22)], 1, caps=limited).cut
    assert not raced([arriving(20)], 1, caps=limited).cut
    # Where it is no lower than the plan, it decides nothing.
    assert not raced([arriving(22)], 1, planned=20, caps=limited).cut


@pytest.mark.parametrize(("budget", "cost"), [(200, 200.0), (199, math.inf)])
def test_samples_are_capped_at_the_arrival(budget: int, cost: float) -> None:
    """What is drawn to see whether the target is kept counts to no budget."""
    found = raced([arriving(20)], 1, caps=Caps(budget, 10**6))
    assert found.costs(budget).tolist() == [cost]


def test_a_budget_that_allows_no_iteration_leaves_nothing_to_see() -> None:
    found = raced([arriving(20)], 1, caps=Caps(samples=5, iterations=100))
    assert found.costs(5).tolist() == [math.inf]
    assert found.steps == 0
    assert found.status == ["budget exhausted"]


def test_runs_to_the_end_use_all_of_their_iterations() -> None:
    found = raced([arriving(2)], 1, planned=100, to_the_end=True)
    assert found.steps == 150
    assert found.costs().tolist() == [20.0]


def test_a_perturbation_is_as_large_as_stated_and_follows_its_stream() -> None:
    solver = PlantedSolver((FallsAt(1),), 1)
    start = solver.init(
        torch.tensor([[3.0, -1.0], [0.0, 0.0]]).double(), torch.zeros(2, 1).double()
    )

    def moved(streams: Sequence[int]) -> torch.Tensor:
        found: torch.Tensor = perturbed(start, streams, 1e-6).upper - start.upper
        return found

    first, again, other = moved([1, 2]), moved([1, 2]), moved([1, 3])
    assert (first == again).all()
    assert (first[0] == other[0]).all()
    assert (first[1] != other[1]).all()
    # Normal numbers times 3e-6 and 1e-6: beyond six deviations with probability 1e-8.
    assert 0 < first[0].abs().max() < 6 * 3e-6
    assert 0 < first[1].abs().max() < 6 * 1e-6


def test_value_gaps_need_a_true_reward() -> None:
    problem = quadratic(noise=0.3)
    method = installed().methods["hpgd"]
    scales, _ = units_of(problem, range(1000, 1016), 1.0)
    plan = method.configure(0.3, method.centre, scales)
    with pytest.raises(InvalidArgumentError, match="value gap"):
        race(problem, plan, [0], 1, 0.1, Caps(1000, 2), measured="value gap")


class LostAt(PlantedSolver):
    """Asks at its fifth iteration for what cannot be certified."""

    def step(self, oracle: Any, state: PlantedState) -> PlantedState:
        if state.iteration == 4:
            raise CertificationError("planted")
        return super().step(oracle, state)


def test_a_setting_that_leads_where_rounding_decides_has_lost_and_a_chosen_one_is_refused() -> None:
    plan = Plan(1000, LostAt((arriving(10),), 10))
    found = race(PlantedProblem(), plan, range(4), 3, 0.1, FREE)
    assert found.steps == 5
    assert found.status == ["diverged"] * 4
    assert found.costs().tolist() == [math.inf] * 4
    assert not found.cut
    with pytest.raises(CertificationError, match="planted"):
        race(PlantedProblem(), plan, range(4), None, 0.1, FREE)
