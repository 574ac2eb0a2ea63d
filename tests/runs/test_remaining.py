"""How long a sweep still takes: known answers, by arithmetic in the tests."""

from __future__ import annotations

import math

import pytest

from theory_check.runs.remaining import (
    OVERRUN,
    Pace,
    Running,
    Work,
    seconds_left,
    share_done,
    time_in_words,
)


def known(seconds: float) -> Work:
    return Work("run", 1.0, seconds)


def costing(cost: float, kind: str = "run") -> Work:
    return Work(kind, cost)


def test_workers_take_the_next_cell_as_soon_as_they_have_none() -> None:
    """Two that end after 10 and 4; 6 more begin at 4 and 5 more at 10: the last ends at 15."""
    running = [Running(known(12.0), 2.0), Running(known(5.0), 1.0)]
    assert seconds_left([], running, [known(6.0), known(5.0)], 2) == pytest.approx(15.0)
    # One more worker, which has none: 6 begin at 0 and end at 6, 5 begin at 4.
    assert seconds_left([], running, [known(6.0), known(5.0)], 3) == pytest.approx(10.0)
    assert seconds_left([], [], [], 2) == 0.0


def test_a_long_cell_at_the_end_is_not_averaged_away() -> None:
    """Ten short cells are done, one of a hundred seconds is left: the mean would say one second."""
    finished = [(known(1.0), 1.0)] * 10
    assert seconds_left(finished, [], [known(100.0)], 4) == pytest.approx(100.0)
    assert share_done(finished, [], [known(100.0)]) == pytest.approx(10 / 110)


def test_earlier_times_are_scaled_by_how_slow_the_machine_is_now() -> None:
    finished = [(known(1.0), 3.0), (known(2.0), 6.0), (known(1.0), 90.0)]  # one compiled
    assert seconds_left(finished, [], [known(10.0)], 1) == pytest.approx(30.0)


def test_costs_are_compared_within_a_kind() -> None:
    """2 seconds per cost of the first kind; of the second nothing is known but the mean of cells."""
    finished = [(costing(1.0), 2.0), (costing(2.0), 4.0), (costing(1.0), 50.0)]
    pace = Pace.of(finished)
    assert pace.expected(costing(5.0)) == pytest.approx(10.0)
    assert pace.expected(costing(1e6, "other")) == pytest.approx(56.0 / 3)
    # A single one is all that is known, whatever it compiled.
    assert Pace.of(finished[2:]).expected(costing(2.0)) == pytest.approx(100.0)


def test_nothing_is_said_before_anything_is_known() -> None:
    assert math.isnan(seconds_left([], [Running(costing(1.0), 3.0)], [], 1))
    assert math.isnan(seconds_left([], [], [costing(1.0)], 1))
    # A cell that another process ran took nobody knows how long.
    assert math.isnan(seconds_left([(costing(1.0), math.nan)], [], [costing(1.0)], 1))
    # The share is then that of cells.
    assert share_done([], [Running(costing(1.0), 3.0)], [costing(1.0)] * 3) == 0.0
    assert share_done([(costing(1.0), math.nan)], [], [costing(1.0)]) == 0.5
    assert share_done([], [], []) == 1.0


def test_the_progress_of_a_cell_says_how_long_it_and_others_take() -> None:
    """A quarter after 5 seconds: 15 more; one of twice the cost that waits takes 40."""
    running = [Running(costing(1.0), 5.0, 0.25)]
    assert seconds_left([], running, [], 1) == pytest.approx(15.0)
    assert seconds_left([], running, [costing(2.0)], 1) == pytest.approx(55.0)
    assert share_done([], running, [costing(2.0)]) == pytest.approx(5 / 60)
    # The first steps of a cell, in which it compiles, say nothing.
    assert math.isnan(seconds_left([], [Running(costing(1.0), 5.0, 0.001)], [], 1))


def test_a_cell_that_takes_longer_than_expected_is_not_expected_to_end_at_once() -> None:
    running = [Running(known(10.0), 40.0)]
    assert seconds_left([], running, [], 1) == pytest.approx(OVERRUN * 40.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.2, "1 s"),
        (9.4, "10 s"),
        (42.0, "40 s"),
        (88.0, "90 s"),
        (100.0, "2 min"),
        (3000.0, "50 min"),
        (7800.0, "2 h 10 min"),
        (math.nan, "an unknown time"),
    ],
)
def test_times_have_the_digits_of_a_guess(seconds: float, text: str) -> None:
    assert time_in_words(seconds) == text
