"""The search against functions whose minimum is known."""

from __future__ import annotations

import math

import pytest

from theory_check.tuning.search import COARSE, FINE, GAIN, Trial, cheapest, neighbours

BEST = {"a": 3.0, "b": 0.02, "c": 40.0}


def bowl(constants: dict[str, float]) -> float:
    """A cost with its minimum at ``BEST``; the product a c trades off against b."""
    logs = [math.log(constants[name] / BEST[name]) for name in BEST]
    return math.exp(0.5 * sum(each**2 for each in logs) + 2 * (logs[0] + logs[2]) ** 2)


def evaluated(cost, limit=None):  # type: ignore[no-untyped-def]
    seen: list[tuple[dict[str, float], float]] = []

    def evaluate(settings, allowed):  # type: ignore[no-untyped-def]
        seen.extend((constants, allowed) for constants in settings)
        costs = [cost(constants) for constants in settings]
        return [Trial(at, found, found, None) for at, found in zip(settings, costs, strict=True)]

    return evaluate, seen


def test_it_ends_within_its_resolution_of_the_minimum_and_says_that_it_is_interior() -> None:
    evaluate, _ = evaluated(bowl)
    found = cheapest(evaluate, [{"a": 1.0, "b": 1.0, "c": 1.0}], 500)
    assert found.interior
    for name, best in BEST.items():
        assert abs(math.log(found.best.constants[name] / best)) <= math.log(2) / 2 + 1e-9
    # All neighbours were tried and none is cheaper beyond what counts.
    tried = {tuple(trial.constants.values()): trial.cost for trial in found.trials}
    for neighbour in neighbours(found.best.constants, FINE[-1]):
        assert tried[tuple(neighbour.values())] > GAIN * found.best.cost


def test_a_ridge_is_followed_by_changing_two_constants_at_once() -> None:
    """One at a time, every move from (1, 1) is uphill, though the minimum is at (64, 1/64)."""

    def ridge(constants: dict[str, float]) -> float:
        along = math.log(constants["a"] / constants["b"] / 64**2)
        across = math.log(constants["a"] * constants["b"])
        return 1 + 0.01 * along**2 + 100 * across**2

    start = {"a": 1.0, "b": 1.0}
    assert all(
        ridge({**start, name: factor}) > ridge(start)
        for name in start
        for factor in (COARSE[-1], 1 / COARSE[-1])
    )
    alone = cheapest(evaluated(ridge)[0], [start], 500, pairs=())
    assert alone.best.constants == start
    found = cheapest(evaluated(ridge)[0], [start], 500)
    assert found.best.constants["a"] == pytest.approx(64, rel=0.2)
    assert found.best.constants["b"] == pytest.approx(1 / 64, rel=0.2)


def test_a_gain_that_noise_could_have_made_moves_nothing() -> None:
    def nearly_flat(constants: dict[str, float]) -> float:
        return 100 - math.log(constants["a"])

    evaluate, seen = evaluated(nearly_flat)
    found = cheapest(evaluate, [{"a": 1.0}], 500)
    assert found.best.constants == {"a": 1.0}
    assert found.interior
    assert len(seen) == 1 + 2 * len(COARSE)
    # Halving a gains 13 % and is followed, however far it leads; below 0.01 there is nothing to gain.
    steep = cheapest(evaluated(lambda at: max(at["a"], 0.01) ** 0.2)[0], [{"a": 1.0}], 500)
    assert 0.002 < steep.best.constants["a"] <= 0.0125


def test_where_no_start_succeeds_the_others_are_tried_and_left_in_large_steps() -> None:
    """The valley is at a = 1000; near 1 nothing arrives and the miss leads away from it."""

    def far(settings, allowed):  # type: ignore[no-untyped-def]
        costs = [1 + abs(math.log(at["a"] / 1000)) if at["a"] > 50 else math.inf for at in settings]
        return [Trial(at, cost, at["a"], None) for at, cost in zip(settings, costs, strict=True)]

    start = [{"a": 1.0}]
    assert math.isinf(cheapest(far, start, 100, FINE).best.cost)
    found = cheapest(far, start, 100, FINE, otherwise=[{"a": 0.1}, {"a": 60.0}])
    assert found.best.constants["a"] == pytest.approx(1000, rel=0.2)
    assert found.interior
    # Where a start succeeds they are not looked at.
    near = cheapest(far, [{"a": 900.0}], 100, FINE, otherwise=[{"a": 0.1}])
    assert all(trial.constants["a"] > 1 for trial in near.trials)


def test_failures_are_told_apart_by_how_far_they_miss() -> None:
    def cliff(settings, allowed):  # type: ignore[no-untyped-def]
        costs = [5.0 if at["a"] <= 0.1 else math.inf for at in settings]
        return [Trial(at, cost, at["a"], None) for at, cost in zip(settings, costs, strict=True)]

    found = cheapest(cliff, [{"a": 100.0}], 500)
    assert found.best.cost == 5
    assert found.interior


def test_evaluations_are_counted_and_an_end_before_the_minimum_is_said() -> None:
    evaluate, seen = evaluated(bowl)
    found = cheapest(evaluate, [{"a": 1.0, "b": 1.0, "c": 1.0}], 7)
    assert len(seen) == len(found.trials) == 7
    assert not found.interior
    never = evaluated(lambda at: math.inf)[0]
    assert not cheapest(never, [{"a": 1.0}], 50).interior


def test_the_change_that_led_down_is_made_again_before_others_are_tried() -> None:
    """Only a matters, four steps of 2 away: after the first of them nothing else comes in between.

    Each way round the other constants' changes are tried in the order of their last failure, so that
    those after the one that led down come before those that have just failed.
    """
    evaluate, seen = evaluated(lambda at: 1 + abs(math.log2(at["b"] / 16.0)))
    found = cheapest(evaluate, [{"a": 1.0, "b": 1.0, "c": 1.0}], 500, (2.0,), pairs=())
    assert found.interior
    tried = [{name: round(math.log2(value)) for name, value in at.items()} for at, _ in seen]
    assert [at["b"] for at in tried[:3]] == [0, 0, 0]  # the start, and a in both directions
    onwards = [{"a": 0, "b": step, "c": 0} for step in (1, 2, 3, 4, 5)]
    assert tried[3:8] == onwards
    # Left are both changes of c, never tried, and then those of a; b has been where it comes from.
    assert [(at["a"], at["c"]) for at in tried[8:]] == [(0, 1), (0, -1), (1, 0), (-1, 0)]


def test_equal_settings_are_evaluated_once_and_the_best_so_far_is_the_limit() -> None:
    evaluate, seen = evaluated(bowl)
    start = {"a": 3.0, "b": 0.02, "c": 40.0}
    # c is rounded to one of two values: most of its changes amount to the same.
    cheapest(evaluate, [start], 500, FINE, same=lambda at: (at["a"], at["b"], at["c"] > 1))
    kinds = [(at["a"], at["b"], at["c"] > 1) for at, _ in seen]
    assert len(kinds) == len(set(kinds))
    best = math.inf
    for constants, allowed in seen:
        assert allowed == best
        best = min(best, bowl(constants))


def test_side_by_side_the_best_neighbour_is_taken_and_the_end_is_the_same() -> None:
    """All neighbours in one batch: fewer batches than settings, and the minimum is as near."""
    evaluate, seen = evaluated(bowl)
    batches: list[int] = []

    def counted(settings, allowed):  # type: ignore[no-untyped-def]
        batches.append(len(settings))
        return evaluate(settings, allowed)

    start = {"a": 1.0, "b": 1.0, "c": 1.0}
    found = cheapest(counted, [start], 5000, at_once=None)
    assert found.interior
    assert sum(batches) == len(seen) == len(found.trials)
    assert len(batches) < len(seen) / 5
    for name, best in BEST.items():
        assert abs(math.log(found.best.constants[name] / best)) <= math.log(2) / 2 + 1e-9
    # The first step goes to the best of the first round, not to the first that is better.
    around = list(neighbours(start, COARSE[0]))
    assert batches[:2] == [1, len(around)]
    best = min(around, key=bowl)
    later = [at for at, _ in seen[1 + len(around) :]]
    assert all(sum(at[name] != best[name] for name in best) <= 2 for at in later[:5])


def test_held_constants_and_changes_that_amount_to_nothing_are_left_out() -> None:
    start = {"a": 1.0, "b": 1.0, "c": 1.0}
    found = list(neighbours(start, 2.0, held=("b",)))
    assert all(at["b"] == 1.0 for at in found)
    assert len(found) == 2 * 2 + 4
    assert len(list(neighbours(start, 2.0, [("a", "c")], ("c",)))) == 2 * 2
    # a is rounded up to 1 at least: there is no smaller one.
    rounded = list(neighbours({"a": 0.3}, 2.0, same=lambda at: max(1, round(at["a"]))))
    assert [at["a"] > 1 for at in rounded] == [True]
