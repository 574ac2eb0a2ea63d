"""Searches over targets on planted methods: best constants, floors and own rules are found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pytest
from helpers.planted_runs import (
    UNITS,
    FallsAt,
    PlantedProblem,
    PlantedSolver,
    PlantedState,
    planted_method,
)

from theory_check.solvers.method import Method, Plan
from theory_check.tuning.one_target import CONFIRMED, Tuned, spread
from theory_check.tuning.raced_runs import Caps, race
from theory_check.tuning.targets import TargetSearch

TARGETS = (0.4, 0.2, 0.1, 0.05)
CENTRE = math.sqrt(8.0)
"""Of the grid of both constants of a planted method."""

CAPS = Caps(samples=10**9, iterations=256)


class Race(NamedTuple):
    """What a setting was run with."""

    plan: Plan
    streams: tuple[int, ...]
    allowed: float
    longest: float


def searched(
    method: Method, first: float = 0.1, caps: Caps = CAPS, evaluations: tuple[int, int] = (60, 24)
) -> dict[float, Tuned]:
    search = TargetSearch(
        method=method,
        instance_of=lambda target: (PlantedProblem(), UNITS, 1.0),
        streams=[1, 2, 3, 4],
        confirming=[5, 6, 7, 8],
        caps=caps,
        measured="stationarity",
        needed=3,
        evaluations=evaluations,
        initial_scale=1.0,
        perturbation=0.0,
    )
    return dict(search.along(TARGETS, first))


def bowl(best: Mapping[str, float], steepness: float = 0.3) -> Method:
    """Return a method that arrives at 8 / epsilon^(1/2), at a cost that is smallest at ``best``.

    Log samples an iteration are a parabola in the binary logarithms of the constants over the best ones,
    which move with the target: ``a`` like its root.
    """

    def plan(epsilon: float, constants: Mapping[str, float]) -> Plan:
        own = {"a": best["a"] * math.sqrt(epsilon / 0.1), "b": best["b"]}
        far = sum(math.log2(constants[name] / own[name]) ** 2 for name in own)
        arrival = 2 * round(4 / math.sqrt(epsilon))
        curve = FallsAt(arrival // 2 + 1)
        return Plan(10_000, PlantedSolver((curve,), round(1000 * math.exp(steepness * far))))

    return planted_method(plan)


@pytest.mark.parametrize(
    "best",
    [
        {"a": 3.0, "b": 3.0},
        {"a": 100.0, "b": 0.02},  # outside of the grid, and of the box of the first round: 8 times
        {"a": 0.02, "b": 200.0},
    ],
)
def test_the_search_finds_the_best_constants_wherever_they_are(best: dict[str, float]) -> None:
    """A change by 2 is made where it pays by 10 %: 0.3 (2 x - 1) > -ln 0.9 for x > 0.68, the rest."""
    found = searched(bowl(best))
    for target, tuned in found.items():
        own = {"a": best["a"] * math.sqrt(target / 0.1), "b": best["b"]}
        for name, value in tuned.constants.items():
            assert abs(math.log2(value / own[name])) <= 0.68, (target, name)
        assert tuned.interior
        assert not tuned.cut
        arrival = 2 * round(4 / math.sqrt(target))
        assert tuned.iterations == arrival
        # At the best constants the cost is 1000 an iteration; what is left is at most 0.3 * 0.68² each.
        assert 1000 * arrival <= tuned.cost <= 1000 * arrival * math.exp(2 * 0.3 * 0.68**2)


def test_a_search_that_is_cut_short_says_that_it_ended_at_an_edge() -> None:
    found = searched(bowl({"a": 100.0, "b": 0.02}), evaluations=(3, 2))
    assert not any(tuned.interior for tuned in found.values())


def floored(floor: float) -> Method:
    """Return a method whose squared gradients never fall below a floor, whatever its constants."""

    def plan(epsilon: float, constants: Mapping[str, float]) -> Plan:
        return Plan(100, PlantedSolver((FallsAt(5, below=floor),), 10))

    return planted_method(plan)


def test_a_floor_is_found_and_nothing_is_searched_below_it() -> None:
    """0.15 is below 0.4 and 0.2 and above the others; the search begins at 0.1 and finds nothing."""
    found = searched(floored(0.15))
    assert {target: math.isfinite(tuned.cost) for target, tuned in found.items()} == {
        0.4: True,
        0.2: True,
        0.1: False,
        0.05: False,
    }
    assert found[0.1].nearest == pytest.approx(1.5)
    assert found[0.05].evaluations == 0
    assert math.isnan(found[0.05].nearest)
    assert found[0.1].evaluations > 0


@pytest.mark.parametrize("first", TARGETS)
def test_targets_are_told_from_the_largest_to_the_smallest(first: float) -> None:
    assert tuple(searched(floored(0.01), first=first)) == TARGETS


def test_what_is_found_on_the_way_down_is_tried_on_the_way_up() -> None:
    """At 0.4 a setting costs more beyond a ridge, which a smaller target does not have.

    Log samples grow with the distance of ``a`` from the centre, up to 32 times it; from 1024 times on an
    iteration takes a single sample. The search at 0.4 stays on its side, at 8 times the centre or less.
    At 0.2 the ridge is missing: samples fall with ``a``, and the search ends beyond 1024 times.
    """

    def plan(epsilon: float, constants: Mapping[str, float]) -> Plan:
        far = math.log2(constants["a"] / CENTRE)
        samples = 2.0 ** (12 - far) if epsilon < 0.4 else 1000 * math.exp(min(abs(far), 5))
        if far >= 9.5:
            samples = 1
        return Plan(10_000, PlantedSolver((FallsAt(4),), max(1, round(samples))))

    found = searched(planted_method(plan), first=0.4)
    assert all(each.constants["a"] >= 1000 * CENTRE for each in found.values())
    assert found[0.4].cost == found[0.05].cost


def test_a_search_that_misses_the_largest_target_begins_once_more() -> None:
    """0.4 is reached from 64 times the centre on, beyond all that is spread; 0.2 everywhere."""

    def plan(epsilon: float, constants: Mapping[str, float]) -> Plan:
        a = constants["a"] / CENTRE
        arrives = epsilon < 0.4 or a >= 64
        return Plan(10_000, PlantedSolver((FallsAt(4 if arrives else 20_000),), round(1e6 / a)))

    found = searched(planted_method(plan), first=0.4)
    assert all(math.isfinite(each.cost) for each in found.values())
    assert found[0.4].constants["a"] >= 64 * CENTRE


def test_a_method_is_stopped_by_its_own_rule_and_not_by_the_limit() -> None:
    """It arrives at 30 whatever the target, and plans 10 / epsilon iterations: 25 at 0.4, 50 at 0.2.

    Within three quarters of 50 it does: 37.5.
    """

    def plan(epsilon: float, constants: Mapping[str, float]) -> Plan:
        return Plan(round(10 / epsilon), PlantedSolver((FallsAt(16),), 10))

    found = searched(planted_method(plan))
    assert {target for target, tuned in found.items() if math.isfinite(tuned.cost)} == {
        0.2,
        0.1,
        0.05,
    }
    assert not found[0.4].cut
    limited = searched(planted_method(plan), caps=Caps(10**9, 20))
    assert all(math.isinf(tuned.cost) for tuned in limited.values())
    assert limited[0.1].cut
    assert not limited[0.4].cut, "there its own rule is the stricter one"


def test_a_setting_that_takes_nearly_all_of_its_iterations_is_not_chosen() -> None:
    """Of 40 iterations 30 may be used. One sample an iteration takes 36 of them, two take 28."""

    def plan(epsilon: float, constants: Mapping[str, float]) -> Plan:
        batch = max(1, round(constants["a"]))
        falls = {1: 19, 2: 15}.get(batch, 13)
        return Plan(40, PlantedSolver((FallsAt(falls),), batch))

    found = searched(planted_method(plan))
    for tuned in found.values():
        assert tuned.cost > 36
        assert tuned.iterations <= 30


def test_settings_that_no_budget_allows_are_no_end() -> None:
    """At the centre one iteration takes 8e5 samples, the budget allows 1e5: smaller batches are found."""

    def plan(epsilon: float, constants: Mapping[str, float]) -> Plan:
        samples = round(1e5 * constants["a"] * constants["b"])
        return Plan(100, PlantedSolver((FallsAt(6),), samples))

    found = searched(planted_method(plan), caps=Caps(10**5, 100))
    assert all(math.isfinite(tuned.cost) for tuned in found.values())
    assert all(tuned.cost <= 10**5 for tuned in found.values())


def test_what_is_spread_fills_the_box() -> None:
    centres = {"a": 2.0, "b": 5.0, "c": 0.1}
    settings = [centres, *spread(centres, 8.0, 16)]
    assert len(settings) == 15
    for name, centre in centres.items():
        places = sorted(math.log(each[name] / centre) / math.log(8.0) for each in settings)
        # With the centre 15 points, a 16th of the box apart: a Sobol sequence without its first point.
        assert places == pytest.approx([-1 + each / 8 for each in range(1, 16)])


def missed_from_below(calls: list[tuple[float, float]]) -> Method:
    """Return a method that reaches 0.1 and below with ``a`` >= 64, 0.2 with ``a`` <= 1, 0.4 with both.

    Nothing that is spread around 64 or more, by 32 at most, is as small as 1; ``a`` is what it draws.
    """

    def plan(epsilon: float, constants: Mapping[str, float]) -> Plan:
        a = constants["a"]
        arrives = {0.4: True, 0.2: a <= 1}.get(epsilon, a >= 64)
        calls.append((epsilon, a))
        return Plan(10_000, PlantedSolver((FallsAt(4 if arrives else 20_000),), round(64 * a)))

    return planted_method(plan)


def test_what_is_missed_from_below_is_tried_from_above() -> None:
    """The search at 0.1 ends where ``a`` is 64: from there 0.2 is missed, and 0.4 goes on to small ones.

    It is reached with the constants of 0.4; what was spent in vain before counts as well.
    """
    calls: list[tuple[float, float]] = []
    found = searched(missed_from_below(calls), evaluations=(60, 60))
    assert all(math.isfinite(tuned.cost) for tuned in found.values())
    assert found[0.1].constants["a"] >= 64
    assert found[0.2].constants["a"] <= 1
    assert found[0.2].evaluations > 17  # what was spread around 64 and a descent


def test_targets_below_a_missed_start_are_searched_when_it_is_reached_from_above() -> None:
    """At 0.1, 2^18 is far from the centre: 0.4 is where the way down begins, each target 32 times on."""
    own = {0.4: 1.0, 0.2: 2.0**9, 0.1: 2.0**18, 0.05: 2.0**18}

    def plan(epsilon: float, constants: Mapping[str, float]) -> Plan:
        far = abs(math.log2(constants["a"] / own[epsilon]))
        arrives = far <= 9
        samples = round(100 * math.exp(min(far, 40)))
        return Plan(10_000, PlantedSolver((FallsAt(4 if arrives else 20_000),), samples))

    found = searched(planted_method(plan))
    assert {target: math.isfinite(tuned.cost) for target, tuned in found.items()} == {
        0.4: True,
        0.2: True,
        0.1: True,
        0.05: True,
    }


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Race]:
    """Note every race."""
    races: list[Race] = []

    def noted(problem: object, plan: Plan, streams: Any, *rest: Any, **more: Any) -> Any:
        races.append(Race(plan, tuple(streams), more["allowed"], more["longest"]))
        return race(problem, plan, streams, *rest, **more)

    monkeypatch.setattr("theory_check.tuning.one_target.race", noted)
    return races


def test_no_setting_is_run_twice_once_it_has_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was spread, where a search goes on from and its neighbours are all different settings.

    So are those that confirm a choice, on other streams.
    """
    races = recorded(monkeypatch)

    def plan(epsilon: float, constants: Mapping[str, float]) -> Plan:
        far = math.log2(constants["a"]) ** 2 + 1.3 * math.log2(constants["b"]) ** 2
        curve = FallsAt(4, above=30.0 / epsilon)
        return Plan(10_000, PlantedSolver((curve,), round(1000 * math.exp(0.1 * far))))

    found = searched(planted_method(plan))
    assert all(math.isfinite(tuned.cost) for tuned in found.values())
    tuning, confirming = (
        [each.plan for each in races if each.streams == streams]
        for streams in ((1, 2, 3, 4), (5, 6, 7, 8))
    )
    assert len(tuning) == len(set(tuning))
    assert len(found) <= len(confirming) == len(set(confirming)) <= CONFIRMED * len(found)
    ran = len(tuning) + len(confirming)
    assert ran == len(races) == sum(each.evaluations for each in found.values())


@pytest.mark.parametrize("dear_arrives", [False, True])
def test_dear_settings_wait_for_a_round_that_allows_as_much(
    monkeypatch: pytest.MonkeyPatch, dear_arrives: bool
) -> None:
    """An iteration costs 100 a², ``a`` over its centre, so that the first round allows 1600.

    A run of an iteration or more beyond that is stopped. All arrive at iteration 40, after the first
    round; or none but those of more than 1600 an iteration, ``a`` above 4, which are then found.
    """
    races = recorded(monkeypatch)

    def plan(epsilon: float, constants: Mapping[str, float]) -> Plan:
        a = constants["a"] / CENTRE
        arrives = 5 if dear_arrives and a > 4 else 40 if not dear_arrives else 20_000
        return Plan(10_000, PlantedSolver((FallsAt(arrives),), round(100 * a * a)))

    found = searched(planted_method(plan))
    assert all(math.isfinite(each.cost) for each in found.values())
    first_round = [each.allowed for each in races if each.longest == 16]
    assert first_round[0] == math.inf  # the centre, whose price is not known before
    assert set(first_round[1:15]) == {1600.0}
    dear = [each.plan for each in races[1:15] if each.plan.solver.samples > 1600]
    again = [each.plan for each in races[15:] if each.plan in dear]
    assert dear
    if dear_arrives:
        assert again  # and what arrives is one of them
        assert found[0.1].constants["a"] > 4 * CENTRE
    else:
        assert found[0.1].constants["a"] < CENTRE


def test_what_is_drawn_before_the_first_iteration_is_no_price(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A set of data of 1000 a², once: no run is stopped for it before one has arrived."""
    races = recorded(monkeypatch)

    @dataclass(frozen=True)
    class Offline(PlantedSolver):
        def step(self, oracle: Any, state: PlantedState) -> PlantedState:
            oracle.draw(self.samples if state.iteration == 0 else 0)
            following = replace(self, samples=0)
            return PlantedSolver.step(following, oracle, state)

    def plan(epsilon: float, constants: Mapping[str, float]) -> Plan:
        return Plan(10_000, Offline((FallsAt(30),), round(1000 * constants["a"] ** 2)))

    found = searched(planted_method(plan))
    assert all(math.isfinite(each.cost) for each in found.values())
    assert {each.allowed for each in races[:15] if each.longest == 16} == {math.inf}


def test_a_setting_that_owes_its_cost_to_its_runs_is_not_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Below ``a`` = 1 settings cost half, and arrive on the tuning runs alone."""

    def plan(epsilon: float, constants: Mapping[str, float]) -> Plan:
        lucky = constants["a"] < 1
        far = math.log2(constants["a"]) ** 2 + math.log2(constants["b"]) ** 2
        samples = round((500 if lucky else 1000) * math.exp(0.1 * far))
        return Plan(10_000 + lucky, PlantedSolver((FallsAt(4),), samples))

    def unlucky(problem: object, plan: Plan, streams: Any, *rest: Any, **more: Any) -> Any:
        if plan.iterations > 10_000 and list(streams) == [5, 6, 7, 8]:
            plan = replace(plan, solver=PlantedSolver((FallsAt(20_000),), 1))
        return race(problem, plan, streams, *rest, **more)

    lucky = searched(planted_method(plan), first=0.05)
    assert all(each.constants["a"] < 1 for each in lucky.values())
    monkeypatch.setattr("theory_check.tuning.one_target.race", unlucky)
    monkeypatch.setattr("theory_check.tuning.one_target.CONFIRMED", 200)
    confirmed = searched(planted_method(plan), first=0.05)
    assert all(each.constants["a"] >= 1 for each in confirmed.values())
    assert all(math.isfinite(each.cost) for each in confirmed.values())


def test_a_confirmed_setting_costs_the_larger_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """All settings take 4 iterations on the tuning runs and 8 on the others, of 100 samples each."""

    def slower(problem: object, plan: Plan, streams: Any, *rest: Any, **more: Any) -> Any:
        if list(streams) == [5, 6, 7, 8]:
            plan = replace(plan, solver=replace(plan.solver, curves=(FallsAt(7),)))
        return race(problem, plan, streams, *rest, **more)

    def same(epsilon: float, constants: Mapping[str, float]) -> Plan:
        return Plan(10_000, PlantedSolver((FallsAt(3),), 100))

    before = searched(planted_method(same))
    monkeypatch.setattr("theory_check.tuning.one_target.race", slower)
    after = searched(planted_method(same))
    for target in TARGETS:
        assert after[target].cost > before[target].cost
        assert after[target].cost == 100 * after[target].iterations
