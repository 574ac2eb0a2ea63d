"""The search on toy quantities whose worst instance is known, and what the second route is for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from theory_check.errors import CertificationError, InvalidArgumentError
from theory_check.problems import Problem
from theory_check.worst_cases.base import Evaluation, WorstCase
from theory_check.worst_cases.search import find_worst
from theory_check.worst_cases.spaces import BanditSpace, GarnetSpace

SPACE = BanditSpace(states=1, actions=2, features=1)

Route = Callable[[Problem], Evaluation]


def spread(problem: Problem) -> Evaluation:
    """Difference of the rewards over the KL weight: at most 1 / 0.05 = 20, in a corner."""
    reward = problem.true_reward
    return Evaluation((reward.max() - reward.min()).item() / problem.kl_weight, kept=True)


def case(measure: Route = spread, confirm: Route = spread) -> WorstCase:
    return WorstCase(
        id="spread",
        claim="none",
        quantity="spread of the reward over the KL weight",
        unit="units",
        worse="larger",
        predicted="at most 20",
        families=("bandit",),
        measure=measure,
        confirm=confirm,
        tolerance=1e-9,
    )


@pytest.mark.slow
def test_the_planted_worst_instance_is_found() -> None:
    worst = find_worst(case(), SPACE, budget=600, restarts=2, seed=0)
    assert worst.first.value == pytest.approx(20.0, rel=1e-3)
    assert worst.problem.kl_weight == pytest.approx(0.05, rel=1e-3)
    assert worst.source == "optimiser"
    assert worst.rejected == ()
    # Optimisation added something: a random instance needs a spread above 0.9 and a KL weight
    # below 0.0555, of which there is one in 2900.
    assert np.nanmax(worst.random.values) < 18


def test_both_searches_have_the_same_budget_and_the_seed_decides() -> None:
    calls = 0

    def counted(problem: Problem) -> Evaluation:
        nonlocal calls
        calls += 1
        return spread(problem)

    first = find_worst(case(counted), SPACE, budget=30, restarts=3, seed=4)
    # One more where the worst is looked at again.
    assert calls == 61
    assert len(first.optimised.values) == len(first.random.values) == 30
    again = find_worst(case(), SPACE, budget=30, restarts=3, seed=4)
    assert (again.cube == first.cube).all()
    assert again.origin() == first.origin()


def test_a_planted_artefact_is_rejected_by_the_second_route() -> None:
    """The first route is wrong on one instance only, which thereby looks worst."""
    wrong: list[float] = []

    def mistaken(problem: Problem) -> Evaluation:
        if not wrong:
            wrong.append(problem.kl_weight)
        found = spread(problem)
        return Evaluation(1e6, kept=True) if problem.kl_weight == wrong[0] else found

    worst = find_worst(case(mistaken), SPACE, budget=20, restarts=2, seed=1)
    ((first, second),) = worst.rejected
    assert first == 1e6
    assert second < 20
    assert worst.first == worst.second
    values = np.concatenate([worst.optimised.values, worst.random.values])
    assert worst.first.value == np.sort(values)[-2]


def test_an_artefact_that_is_all_there_is_ends_the_search() -> None:
    def doubled(problem: Problem) -> Evaluation:
        return Evaluation(2 * spread(problem).value, kept=True)

    with pytest.raises(CertificationError, match="second route disagrees on the 12 worst"):
        find_worst(case(doubled), SPACE, budget=20, restarts=2, seed=1)


def test_instances_that_are_not_certified_are_counted() -> None:
    def only_some(problem: Problem) -> Evaluation:
        if problem.kl_weight < 0.2:
            raise CertificationError("the lower level is not solved")
        return spread(problem)

    worst = find_worst(case(only_some), SPACE, budget=100, restarts=2, seed=0)
    # log-uniform weights: below 0.2 with probability log 4 / log 20 = 0.46. Of 100, between 20 and
    # 75 but for a probability of 1e-7.
    assert 20 <= worst.random.failed <= 75
    assert worst.problem.kl_weight >= 0.2

    def none(problem: Problem) -> Evaluation:
        raise CertificationError("the lower level is not solved")

    with pytest.raises(CertificationError, match="none of 40 instances has a certified value"):
        find_worst(case(none), SPACE, budget=20, restarts=2, seed=0)


def test_the_second_route_decides_whether_the_claim_is_kept() -> None:
    def sees_further(problem: Problem) -> Evaluation:
        return Evaluation(spread(problem).value, kept=False)

    assert find_worst(case(), SPACE, budget=4, restarts=1, seed=0).kept
    assert not find_worst(case(confirm=sees_further), SPACE, budget=4, restarts=1, seed=0).kept


def test_a_family_that_makes_no_sense_is_refused_before_any_work() -> None:
    def never(problem: Problem) -> Evaluation:
        raise AssertionError("evaluated before it was refused")

    with pytest.raises(InvalidArgumentError, match=r"^family: received 'garnet'"):
        find_worst(case(never), GarnetSpace(), budget=4, restarts=1, seed=0)
    with pytest.raises(InvalidArgumentError, match=r"^budget: received 2"):
        find_worst(case(never), SPACE, budget=2, restarts=4, seed=0)


def test_what_is_not_finite_agrees_with_nothing() -> None:
    nan = Evaluation(float("nan"), kept=True)
    assert not case().agrees(nan, nan)
    assert case().agrees(Evaluation(3.0, kept=True), Evaluation(3.0, kept=False))
    assert not case().agrees(Evaluation(3.0, kept=True), Evaluation(3.0 + 1e-8, kept=True))
