"""The binomial sampler against its law, over both algorithms and up to 1e12 trials."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from helpers.statistics import assert_frequencies
from scipy import stats

from theory_check.kernels.binomial import INVERSION_MEAN, _log_ratio_to_mode, binomial
from theory_check.kernels.random_bits import seeded_states

DRAWS = 300_000


@pytest.mark.parametrize(
    ("trials", "probability"),
    [
        (1, 0.3),
        (7, 0.5),
        (40, 0.2),  # inversion, mean 8
        (40, 0.8),  # inversion of the complement
        (10**9, 3e-9),
        (10**12, 9.9e-12),
        (20, 0.5),  # rejection, mean exactly at the threshold
        (45, 0.25),
        (60, 0.7),
        (1000, 0.05),
        (10**6, 0.5),
        (10**9, 0.3),
        (10**9, 2e-8),
        (10**12, 0.01),
        (10**12, 0.999),
    ],
)
def test_law(trials: int, probability: float) -> None:
    """Pearson's chi-square; false alarm 1e-6 for each case."""
    state = seeded_states([hash((trials, probability)) % 2**64])[0]
    drawn = np.array([binomial(state, trials, probability) for _ in range(DRAWS)])
    assert drawn.min() >= 0
    assert drawn.max() <= trials
    law = stats.binom(trials, probability)
    # Categories are intervals that end at quantiles, so that each has some hundred expected draws.
    ends = np.unique(law.ppf(np.linspace(0.01, 0.99, 50)))
    cumulative = np.concatenate([[0.0], law.cdf(ends), [1.0]])
    category = np.searchsorted(ends, drawn, side="left")
    probabilities = np.diff(cumulative)
    counts = np.bincount(category, minlength=len(probabilities)).astype(float)
    rare = probabilities * DRAWS <= 20
    merged = np.append(counts[~rare], counts[rare].sum())
    merged_law = np.append(probabilities[~rare], probabilities[rare].sum())
    if merged_law[-1] * DRAWS <= 20:
        merged, merged_law = merged[:-1], merged_law[:-1] / merged_law[:-1].sum()
    assert_frequencies(merged, merged_law)


def test_cases_cover_both_algorithms() -> None:
    assert 40 * 0.2 < INVERSION_MEAN <= 20 * 0.5


@pytest.mark.parametrize(
    ("trials", "probability", "expected"),
    [
        (0, 0.4, 0),
        (5, 0.0, 0),
        (5, 1.0, 5),
        (10**12, 1.0, 10**12),
        (5, -1e-17, 0),
        (5, 1 + 1e-15, 5),
    ],
)
def test_certain_outcomes(trials: int, probability: float, expected: int) -> None:
    state = seeded_states([1])[0]
    assert binomial(state, trials, probability) == expected


@pytest.mark.parametrize(
    ("trials", "probability"), [(20, 0.5), (1000, 0.02), (10**6, 0.3), (10**9, 0.1), (10**12, 0.4)]
)
def test_log_ratio_to_mode_against_high_precision(trials: int, probability: float) -> None:
    mode = int(np.floor((trials + 1.0) * probability))
    spread = (trials * probability * (1 - probability)) ** 0.5
    with mpmath.workdps(60):
        p = mpmath.mpf(probability)

        def log_mass(successes: int) -> mpmath.mpf:
            return (
                mpmath.loggamma(trials + 1)
                - mpmath.loggamma(successes + 1)
                - mpmath.loggamma(trials - successes + 1)
                + successes * mpmath.log(p)
                + (trials - successes) * mpmath.log(1 - p)
            )

        for distance in (-7.0, -2.0, -0.4, 0.0, 0.7, 3.0, 8.0):
            successes = min(max(int(mode + distance * spread), 0), trials)
            expected = float(log_mass(successes) - log_mass(mode))
            found = _log_ratio_to_mode(
                float(trials),
                float(mode),
                float(successes),
                float(np.log(probability / (1 - probability))),
            )
            # The log-odds carry a rounding error of about 1e-16, which multiplies the distance.
            assert found == pytest.approx(expected, abs=1e-12 + 1e-15 * 8 * spread, rel=1e-12)
