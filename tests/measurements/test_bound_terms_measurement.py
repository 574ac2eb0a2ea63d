"""The factorial design against separate runs, and its means against hand-made traces."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers.generators import random_problem

from theory_check.errors import InvalidArgumentError
from theory_check.measurements.bound_terms import SPLIT, BoundTerms, run_means
from theory_check.recording.run import run
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

SETTINGS = {
    "iterations": (2, 3),
    "sigmas": (0.3,),
    "trajectories": (40, 90),
    "inner_steps": (1, 2),
    "inner_step_size": 0.5,
    "step_size": 0.4,
    "points_per_decade": 40,
}


def hand_made() -> pd.DataFrame:
    """Recorded at iterations 1, 2 and 4, with running means 8, 6 and 5: sums 8, 12 and 20."""
    return pd.DataFrame(
        {
            "iteration": [1, 2, 4],
            "ergodic_stationarity": [8.0, 6.0, 5.0],
            "penalty_bias": [1.0, 2.0, 4.0],
            "inner_error": [10.0, 20.0, 40.0],
            "sampling_error": [0.0, 0.0, 3.0],
            "status": "ok",
        }
    )


def test_means_of_a_hand_made_trace() -> None:
    """Value 1 stands for iteration 1, value 2 for 2 and half of 3, value 3 for the rest."""
    two, three, four = run_means(hand_made(), [2, 3, 4])
    assert [row["ergodic_stationarity"] for row in (two, three, four)] == [6.0, 16 / 3, 5.0]
    assert two["penalty_bias"] == pytest.approx((1 + 2) / 2)
    assert three["penalty_bias"] == pytest.approx((1 + 1.5 * 2 + 0.5 * 4) / 3)
    assert four["inner_error"] == pytest.approx((10 + 1.5 * 20 + 1.5 * 40) / 4)
    assert four["sampling_error"] == pytest.approx(1.5 * 3 / 4)
    assert {row["status"] for row in (two, three, four)} == {"ok"}


def test_a_run_that_stopped_has_no_later_means() -> None:
    stopped = pd.DataFrame({"iteration": [5], "status": ["diverged"]})
    reached, missed = run_means(pd.concat([hand_made(), stopped]), [4, 5])
    assert reached["status"] == "ok"
    assert missed == {"iterations": 5, "status": "diverged"}
    (never,) = run_means(stopped.assign(ergodic_stationarity=np.nan), [4])
    assert never["status"] == "diverged"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("coupling", "levels"),
    [
        ("independent", {"trajectories": (40, 90), "inner_steps": (2,)}),
        ("shared", {"trajectories": (40,), "inner_steps": (1, 2)}),
    ],
)
def test_every_point_is_the_prefix_of_its_own_run(
    coupling: str, levels: dict[str, tuple[int, ...]]
) -> None:
    """The grid is dense enough here to hold every iteration, so every mean is exact."""
    problem = random_problem(51, (2, 2, 2))
    calls = []
    table = BoundTerms(**SETTINGS | levels, coupling=coupling).measure(  # type: ignore[arg-type]
        problem, [4, 7], lambda done, total: calls.append((done, total))
    )
    assert calls == [(1, 2), (2, 2)]
    points = {
        (n, k, t) for n in levels["trajectories"] for k in levels["inner_steps"] for t in (2, 3)
    }
    rows_of_points = table[["trajectories", "inner_steps", "iterations"]].itertuples(index=False)
    assert sorted(map(tuple, rows_of_points)) == sorted([*points, *points])
    assert list(table.columns)[:2] == ["seed", "sigma"]
    assert set(table.status) == {"ok"}
    for (sigma, number, steps, iterations), rows in table.groupby(
        ["sigma", "trajectories", "inner_steps", "iterations"]
    ):
        solver = PenaltyBilevel(sigma, steps, 0.5, 0.4, number, number, coupling)  # type: ignore[arg-type]
        # A run of that length by itself: the longer one must have gone through it.
        trace = run(problem, solver, iterations, [4, 7], points_per_decade=40).table
        for row in rows.itertuples():
            own = trace[trace.seed == row.seed]
            assert len(own) == iterations
            assert row.ergodic_stationarity == pytest.approx(own.stationarity.mean(), rel=1e-12)
            for name in SPLIT:
                assert getattr(row, name) == pytest.approx(own[name].mean(), rel=1e-12)


@pytest.mark.parametrize("argument", ["iterations", "sigmas", "trajectories", "inner_steps"])
def test_values_that_are_listed_twice_are_refused(argument: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{argument}: received .*each of them once"):
        BoundTerms(**{**SETTINGS, argument: (3, 3)})  # type: ignore[arg-type]
