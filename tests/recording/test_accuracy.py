"""When runs arrive: means, windows and what has to be kept, worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.recording.accuracy import RunArrivals, kept, until_kept


def followed(target: float, *series: Sequence[float]) -> RunArrivals:
    """Return what is known after runs with these squared gradients, ten samples an iteration."""
    arrivals = RunArrivals(len(series), target)
    rows = np.array(series).T
    arrivals.add(rows, [SampleCounts(trajectories=10 * (at + 1)) for at in range(len(rows))])
    return arrivals


@pytest.mark.parametrize(
    ("iterations", "mean"),
    [
        (1, 8.0),
        (2, 6.0),  # iteration 2 alone: 1 is not in the last half of (0, 2]
        (3, (6 + 1) / 2),
        (4, (1 + 3) / 2),
        (5, (1 + 3 + 7) / 3),
        (6, (3 + 7 + 2) / 3),
        (7, (3 + 7 + 2 + 4) / 4),
        (8, (7 + 2 + 4 + 5) / 4),
    ],
)
def test_an_accuracy_is_the_mean_over_the_second_half(iterations: int, mean: float) -> None:
    series = [8.0, 6, 1, 3, 7, 2, 4, 5][:iterations]
    arrivals = followed(0.1, series)
    assert arrivals.latest.tolist() == pytest.approx([mean])
    assert arrivals.met_after == (None,)


def test_blocks_of_iterations_are_the_iterations_one_by_one() -> None:
    series = np.random.default_rng(0).exponential(size=(3, 60)) / np.arange(1, 61)
    at_once = followed(0.05, *series)
    single = RunArrivals(3, 0.05)
    for at, row in enumerate(series.T):
        single.add(row[None], [SampleCounts(trajectories=10 * (at + 1))])
    np.testing.assert_array_equal(at_once.latest, single.latest)
    np.testing.assert_array_equal(at_once.iterations, single.iterations)
    assert at_once.met_after == single.met_after


@pytest.mark.parametrize(("met", "until"), [(1, 9), (2, 10), (16, 24), (20, 30), (100, 150)])
def test_a_target_is_kept_for_half_as_long_and_eight_at_least(met: int, until: int) -> None:
    assert until_kept(float(met)) == until
    reached = np.array([float(met)])
    assert not kept(reached, until - 1.0)[0]
    assert kept(reached, float(until))[0]
    assert not kept(np.array([math.inf]), 1e9)[0]


def test_a_run_that_passes_through_the_target_has_not_reached_it() -> None:
    """Of (1, 0, 1 ...) the mean is 0 at iteration 2 alone; from 20 on it is 0, and is kept until 46."""
    dipping = [1.0, 0.0, *[1.0] * 30]
    arrivals = followed(0.1, dipping)
    assert arrivals.iterations.tolist() == [math.inf]
    assert not arrivals.confirmed.any()


def test_the_cost_is_that_of_the_iteration_that_met_it_first() -> None:
    """0 from iteration 5 on: means over (4, 8] and (4, 9] are 0, that over (3, 7] is 1/4."""
    series = [1.0] * 4 + [0.0] * 12
    arrivals = followed(0.1, series)
    assert arrivals.iterations.tolist() == [8.0]
    assert arrivals.met_after == (SampleCounts(trajectories=80),)
    assert arrivals.confirmed.tolist() == [True]
    # Equality is enough: 1/4 at iteration 7.
    assert followed(0.25, series).iterations.tolist() == [7.0]
    assert followed(0.2499, series).iterations.tolist() == [8.0]


def test_what_comes_after_a_confirmed_arrival_does_not_change_it() -> None:
    series = [0.0] * 9 + [100.0] * 30
    assert followed(0.1, series).iterations.tolist() == [1.0]
    assert followed(0.1, series[:8] + [100.0] * 30).iterations.tolist() == [math.inf]


def test_a_lost_run_never_arrives_and_keeps_no_other_from_it() -> None:
    arrivals = followed(0.5, [math.inf] * 12, [1e200] * 12, [0.0] * 12)
    assert arrivals.iterations.tolist() == [math.inf, math.inf, 1.0]
    assert arrivals.latest.tolist() == [math.inf, math.inf, 0.0]
