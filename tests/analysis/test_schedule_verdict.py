"""Verdicts on schedules: planted courses of accuracy over target."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from theory_check.analysis import judge_schedule_rate
from theory_check.analysis.target_verdicts import growth_of_ratio
from theory_check.claims.schedules import SCHEDULE_3_RATE as RATE
from theory_check.errors import InvalidArgumentError

TARGETS = np.geomspace(0.1, 1e-3, 5)


def planted(
    ratio: np.ndarray, noise: float = 0.05, seeds: int = 16, **columns: object
) -> pd.DataFrame:
    """Rows whose mean accuracy is ``ratio`` times the target."""
    generator = np.random.default_rng(3)
    targets = TARGETS[: ratio.size]
    scatter = np.exp(noise * generator.standard_normal((seeds, ratio.size)))
    return pd.DataFrame(
        {
            "problem": "planted",
            "seed": np.repeat(np.arange(seeds), ratio.size),
            "epsilon": np.tile(targets, seeds),
            "half_stationarity": (ratio * targets * scatter).ravel(),
            "sampling_error": 0.01,
            "schedule": "total-3",
            "status": "ok",
            **columns,
        }
    )


def judged(ratio: list[float], **changes: object) -> str:
    return judge_schedule_rate(RATE, planted(np.array(ratio), **changes), "planted").status


def test_a_course_below_the_multiple_holds_whether_it_is_flat_or_falls() -> None:
    assert judged([0.93, 0.89, 0.98, 1.0, 1.02]) == "holds"
    # What total-3, and what wasteful batches reach on natural problems: sufficient, and never tight.
    assert judged([0.087, 0.05, 0.03, 0.02, 0.012]) == "holds"
    assert judged([0.07, 1e-2, 1e-3, 4e-4, 1e-4]) == "holds"


def test_growth_is_violated_however_small_the_ratio() -> None:
    """n = 1000 epsilon^(-3/2) on a bandit falls at first, and grows at its last targets."""
    assert judged([0.08, 0.02, 0.009, 0.016, 0.028]) == "violated"
    assert judged([1e-6, 1e-6, 3e-6, 9e-6, 2.7e-5]) == "violated"
    assert judged([0.93, 1.1, 1.5, 2.2, 3.37]) == "violated"
    assert judged([0.1, 0.3, 0.9, 3.0, 10.0]) == "violated"


def test_a_flat_course_above_the_multiple_is_violated() -> None:
    assert judged([3.0, 3.0, 3.0, 3.0, 3.0]) == "violated"
    # At one target only.
    assert judged([3.0, 1.0, 1.0, 1.0, 1.0]) == "violated"


def test_what_intervals_do_not_decide_is_inconclusive() -> None:
    assert judged([2.0, 2.0, 2.0, 2.0, 2.0]) == "inconclusive"
    assert judged([1.0, 1.0, 1.0, 1.0, 1.0], noise=1.5, seeds=4) == "inconclusive"
    # A growth of 1/8, the limit of what counts as none.
    assert judged(list(0.1 * (TARGETS / TARGETS[0]) ** -0.125)) == "inconclusive"


def test_runs_without_sampling_error_say_nothing_about_samples() -> None:
    table = planted(np.full(5, 0.5), sampling_error=0.0)
    verdict = judge_schedule_rate(RATE, table, "planted")
    assert verdict.status == "inconclusive"
    assert "nothing about samples" in verdict.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[t.epsilon > 0.02], "2 targets over 0.5 decades"),
        (lambda t: t.assign(status="diverged"), "'diverged'"),
        (lambda t: t.assign(half_stationarity=0.0), "not positive"),
        (lambda t: t.assign(schedule="total-2"), "no rows"),
    ],
)
def test_what_cannot_be_judged(change: object, words: str) -> None:
    table = change(planted(np.full(5, 0.5)))  # type: ignore[operator]
    verdict = judge_schedule_rate(RATE, table, "planted")
    assert verdict.status == "inconclusive"
    assert words in verdict.reason
    with pytest.raises(InvalidArgumentError, match="sampling_error"):
        judge_schedule_rate(RATE, table.drop(columns="sampling_error"), "planted")


def test_the_growth_is_that_of_the_smallest_targets_in_any_unit() -> None:
    """Exact powers without noise: -1 over the large targets, +0.7 over the three smallest."""
    ratio = np.where(TARGETS > 0.02, TARGETS / 1e-2, (TARGETS / 1e-2) ** -0.7)
    for unit in (1e-9, 1.0, 1e9):
        curves = np.tile(unit * ratio[::-1], (8, 1))
        found = growth_of_ratio(unit * TARGETS[::-1], curves)
        assert (found.value, found.low, found.high) == pytest.approx((0.7,) * 3, abs=1e-9)


def test_the_order_of_rows_does_not_matter() -> None:
    table = planted(np.array([0.9, 0.8, 1.0, 1.1, 1.0]))
    shuffled = table.sample(frac=1, random_state=1)
    first, second = (judge_schedule_rate(RATE, t, "planted") for t in (table, shuffled))
    assert first.measured == second.measured


@pytest.mark.slow
def test_false_violated_of_a_flat_course_is_rare() -> None:
    """500 studies of 8 seeds with 30 % scatter of the runs and 10 % of their points.

    The standard error of the growth is 0.1 / (1.15 sqrt(2) sqrt(8)) = 0.022. *violated* takes an error of
    0.125 / 0.022 = 5.7 of them beyond the half-width. The studentised bootstrap of 8 replicates has
    quantiles of 2 to 8, so that about one interval in fifteen reaches 0.125 and decides nothing.
    """
    generator = np.random.default_rng(5)
    statuses = []
    for _ in range(500):
        logs = 0.3 * generator.standard_normal((8, 1)) + 0.1 * generator.standard_normal((8, 5))
        table = planted(np.full(5, 0.8), noise=0.0, seeds=8)
        table["half_stationarity"] *= np.exp(logs).ravel()
        statuses.append(judge_schedule_rate(RATE, table, "planted").status)
    assert statuses.count("violated") == 0
    assert statuses.count("holds") >= 440
