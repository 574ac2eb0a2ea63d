"""Verdicts on planted sample complexities of few targets: rarely wrong, and floors are caught."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from theory_check.analysis.complexity_calibration import (
    CLAIMS,
    PlantedComplexity,
    claimed_rate,
    complexity_shares,
    plant_complexity,
)
from theory_check.claims import get_claim
from theory_check.errors import InvalidArgumentError

TRIALS = 60


@pytest.mark.parametrize("case", ["6 targets", "burn-in"])
def test_coverage_false_alarms_and_power(case: str) -> None:
    """Each bound is crossed with probability below 1e-4 by shares of 92 %, 1 % and 95 %."""
    found = complexity_shares([case], trials=TRIALS).set_index("worse_by")
    at_least = stats.binom(TRIALS, 0.92).ppf(1e-4)
    assert (found["coverage"] * TRIALS >= at_least).all()
    assert found.loc[0.0, "violated"] * TRIALS <= stats.binom(TRIALS, 0.01).isf(1e-4)
    assert found.loc[2.0, "violated"] * TRIALS >= stats.binom(TRIALS, 0.95).ppf(1e-4)


@pytest.mark.parametrize("case", ["floor", "floor, 5 targets"])
def test_planted_floors_are_caught(case: str) -> None:
    """A power of 95 % falls below the bound with probability below 1e-4."""
    found = complexity_shares([case], worse_by=(0.0,), trials=TRIALS)
    assert found["violated"].iloc[0] * TRIALS >= stats.binom(TRIALS, 0.95).ppf(1e-4)


def test_the_rates_are_those_of_the_claims() -> None:
    """What is calibrated is what is judged, and a floor refutes it."""
    for claim in CLAIMS:
        rate = claimed_rate(claim)
        assert (rate,) == get_claim(claim).rates
        assert rate.floor == "refutes"
    with pytest.raises(InvalidArgumentError, match=r"^claim: received penalty-bias; pass one of"):
        claimed_rate("penalty-bias")


def test_planted_table_without_noise_is_its_formula() -> None:
    planted = PlantedComplexity(points=4, start=0.5, floor=2.0, scatter=0.0, noise=0.0)
    rate = claimed_rate("total-3")
    table = plant_complexity(planted, rate, 3.0, 2, np.random.default_rng(0))
    targets = 0.15 * 10 ** -np.linspace(0, 2.3, 4)
    one = table[table["seed"] == 1]
    np.testing.assert_allclose(one["samples_per_log"], targets**-3)
    np.testing.assert_allclose(one["samples"], targets**-3 * np.log(1 / targets))
    excess = 1 + 0.5 * (targets / 0.15) ** 3
    np.testing.assert_allclose(one[rate.y], targets * excess + 2 * targets[-1])


def test_same_seed_same_table_other_seed_other_table() -> None:
    first, same, other = (
        complexity_shares(["5 targets"], worse_by=(0.0,), trials=3, seed=seed) for seed in (0, 0, 1)
    )
    assert first.equals(same)
    assert first["width"].iloc[0] != other["width"].iloc[0]
