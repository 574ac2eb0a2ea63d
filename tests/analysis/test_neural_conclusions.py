"""Sentences and figures about neural classes, from planted tables whose numbers are known."""

from __future__ import annotations

import pandas as pd

from theory_check.analysis.conclusions import compose_bias, compose_optimality
from theory_check.catalogue import Catalogue
from theory_check.claims.neural import ABSOLUTE, RELATIVE
from theory_check.claims.rates import InequalityRate
from theory_check.thresholds import VANISHED


def optimality_table(gaps: list[float], stationarity: list[float], status: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "problem": "one",
            "seed": range(len(gaps)),
            "width": 8,
            "optimality_gap": gaps,
            "relative_gap": gaps,
            "stationarity": stationarity,
            "initial_stationarity": 1.0,
            "reward_error": 0.25,
            "status": status,
        }
    )


def bounds(claim: str) -> dict[str, float | None]:
    """Return the upper bound of every column that a claim bounds."""
    rates = [
        rate for rate in Catalogue.shipped().claim(claim).rates if isinstance(rate, InequalityRate)
    ]
    return {rate.y: rate.high for rate in rates}


def test_sentences_and_claims_have_the_same_tolerances() -> None:
    assert bounds("global-optimality") == {"optimality_gap": ABSOLUTE, "relative_gap": RELATIVE}
    assert bounds("neural-bias")["largest_floor"] == VANISHED


def test_runs_are_counted_and_those_away_told_apart() -> None:
    # Two reach; of the others one has a gradient of 1e-6 of its start, one of 1e-2.
    table = optimality_table([1e-5, 1e-4, 0.1, 0.3], [1e-9, 1e-9, 1e-6, 1e-2], "ok")
    (sentence,) = compose_optimality({}, {"global-optimality": table})
    assert sentence.startswith(
        "one, width 8: 2 of 4 runs (0.50 [0.07, 0.93]) end within 0.001 nats"
    )
    assert "of Phi*, at a median reward error of 0.25" in sentence
    assert "of the other 2, 1 are stationary" in sentence
    assert "1 still moving, at a median gap of 0.2 nats" in sentence


def test_a_gap_within_one_tolerance_only_is_not_reached() -> None:
    table = optimality_table([5e-3], [1e-9], "optimum not certified")
    (sentence,) = compose_optimality({}, {"global-optimality": table})
    assert "0 of 1 runs" in sentence
    assert "the lowest value known (no optimum is certified)" in sentence


def test_a_run_that_diverged_is_neither_stationary_nor_moving() -> None:
    nan = float("nan")
    table = optimality_table([1e-5, nan, 0.3], [1e-9, nan, 1e-6], "ok")
    (sentence,) = compose_optimality({}, {"global-optimality": table})
    assert "1 of 3 runs" in sentence
    assert "of the other 1, 1 are stationary" in sentence
    assert "0 still moving, at a median gap of 0.3 nats" in sentence
    assert sentence.endswith("; stopped before their end: 1.")
    (sentence,) = compose_optimality({}, {"global-optimality": table.iloc[:2]})
    assert sentence.endswith("a median reward error of 0.25; stopped before their end: 1.")


def test_class_error_and_optimisation_error_are_apart() -> None:
    table = pd.DataFrame(
        {
            "problem": "one",
            "seed": [0, 0],
            "parametric_class": "policy",
            "activation": "tanh",
            "width": [1, 2],
            "floor": [0.4, 1e-9],
            "late_decrease": [0.04, 0.0],
            "median_random": [0.6, 1e-9],
            "start": ["nested", "random"],
        }
    )
    (sentence,) = compose_bias({}, {"neural-bias": table})
    assert "median floor 0.4 (w = 1), 1e-09 (w = 2)" in sentence
    # Of the one floor above 1e-6: 0.04 / 0.4, 0.6 / 0.4, and all of them nested.
    assert "at most 10% of their value" in sentence
    assert "ended at 1.50 times the best, and 100% of the best" in sentence
