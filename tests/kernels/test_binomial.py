"""The binomial sampler against its law, over both algorithms and up to 1e12 trials."""

from __future__ import annotations

import mpmath
import numba
import numpy as np
import pytest
from helpers.significance import assert_frequencies
from scipy import stats

from theory_check.kernels.binomial import (
    INVERSION_MEAN,
    LARGEST_FACTOR,
    NEAR,
    _below_ratio_to_mode,
    _log_ratio_to_mode,
    _normal_bounds,
    binomial,
)
from theory_check.kernels.random_bits import load_bits, seeded_states

DRAWS = 300_000


@numba.njit
def repeat(state: np.ndarray, trials: int, probability: float, number: int) -> np.ndarray:
    drawn = np.empty(number, dtype=np.int64)
    bits = load_bits(state)
    for i in range(number):
        drawn[i], bits = binomial(bits, trials, probability)
    return drawn


def draw(seed: int, trials: int, probability: float, number: int = DRAWS) -> np.ndarray:
    return repeat(seeded_states([seed])[0], trials, probability, number)


@pytest.mark.slow
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
    drawn = draw(hash((trials, probability)) % 2**64, trials, probability)
    assert drawn.min() >= 0
    assert drawn.max() <= trials
    law = stats.binom(trials, probability)
    # Categories are intervals that end at quantiles, so that each has some hundred expected draws.
    ends = np.unique(law.ppf(np.linspace(0.01, 0.99, 50)))
    cumulative = np.concatenate([[0.0], law.cdf(ends), [1.0]])
    category = np.searchsorted(ends, drawn, side="left")
    probabilities = np.diff(cumulative)
    assert_law(np.bincount(category, minlength=len(probabilities)), probabilities)


def assert_law(counts: np.ndarray, probabilities: np.ndarray) -> None:
    """Pearson's chi-square with rare categories merged."""
    rare = probabilities * DRAWS <= 20
    merged = np.append(counts[~rare], counts[rare].sum()).astype(float)
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
    assert (draw(1, trials, probability, 10) == expected).all()


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


@pytest.mark.parametrize("probability", [1e-9, 1e-3, 0.04, 0.2, 0.37, 0.5])
@pytest.mark.parametrize("mean", [35.0, 90.0, 700.0, 5e4, 3e7, 1e11])
def test_the_squeeze_holds_the_exact_ratio(mean: float, probability: float) -> None:
    """Every distance up to 400, and 400 beyond, on both sides of the mode."""
    trials = round(mean / probability)
    mode = int(np.floor((trials + 1.0) * probability))
    variance = trials * probability * (1 - probability)
    last = 0.5 * variance - 1
    far = np.geomspace(NEAR + 1, max(min(last, 40 * variance**0.5), NEAR + 2), 400).round()
    log_odds = float(np.log(probability / (1 - probability)))
    checked = 0
    for distance in sorted({*np.arange(NEAR + 1, 400), *far.tolist()}):
        if distance >= last:
            break
        centre, slack = _normal_bounds(variance, distance)
        for successes in (mode - distance, mode + distance):
            if 0 <= successes <= trials:
                ratio = _log_ratio_to_mode(float(trials), float(mode), successes, log_odds)
                # The log-odds of the reference are rounded, and multiply the distance.
                rounding = 2.0**-52 * abs(log_odds) * distance
                assert abs(ratio - centre) <= slack + rounding, (distance, ratio, centre, slack)
                checked += 1
    assert checked > 0 or last <= NEAR + 1


@pytest.mark.parametrize(
    ("trials", "probability"), [(25, 0.45), (10**4, 1.1e-3), (10**9, 0.1), (10**15, 0.45)]
)
def test_the_product_of_ratios_decides_as_the_exact_ratio(trials: int, probability: float) -> None:
    mode = float(np.floor((trials + 1.0) * probability))
    assert mode < LARGEST_FACTOR
    odds = probability / (1 - probability)
    for shift in range(-int(NEAR), int(NEAR) + 1):
        successes = mode + shift
        if not 0 <= successes <= trials:
            continue
        with mpmath.workdps(40):
            exact = mpmath.mpf(1)
            for k in range(abs(shift)):
                up = mode + k if shift > 0 else successes + k
                exact *= (trials - mpmath.mpf(up)) / (mpmath.mpf(up) + 1) * mpmath.mpf(odds)
            ratio = float(exact if shift >= 0 else 1 / exact)
        # 15 factors with two roundings each, twice.
        assert _below_ratio_to_mode(ratio * (1 - 2e-14), float(trials), mode, successes, odds)
        assert not _below_ratio_to_mode(ratio * (1 + 2e-14), float(trials), mode, successes, odds)


@pytest.mark.parametrize("trials", [22, 25, 40, 200])
def test_small_supports_cell_by_cell(trials: int) -> None:
    """Every outcome with some expected draws; false alarm 1e-6 for each case."""
    probability = 10.5 / trials  # rejection at its smallest mean, where the tails are products
    probabilities = stats.binom.pmf(np.arange(trials + 1), trials, probability)
    counts = np.bincount(draw(trials, trials, probability), minlength=trials + 1)
    assert_law(counts, probabilities)
