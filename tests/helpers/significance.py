"""Tests of moments and laws with a stated false-alarm probability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FALSE_ALARM = 1e-6

Floats = NDArray[np.float64]


def assert_mean(samples: Floats, expected: Floats, false_alarm: float = FALSE_ALARM) -> None:
    """Check the mean of every column of ``samples`` (replicate, component) against ``expected``.

    Student statistics with a Bonferroni correction over the components; the false-alarm probability
    holds up to the normal approximation of means over the replicates. Columns without variance
    must agree to rounding.
    """
    samples, expected = np.atleast_2d(samples), np.asarray(expected)
    number, components = samples.shape
    error = np.abs(samples.mean(0) - expected)
    deviation = samples.std(0, ddof=1) / np.sqrt(number)
    threshold = stats.t.ppf(1 - false_alarm / (2 * components), number - 1)
    scale = 1e-12 * (1 + np.abs(expected))
    worst = int((error - threshold * deviation).argmax())
    assert (error <= threshold * deviation + scale).all(), (
        f"component {worst}: mean {samples.mean(0)[worst]:.6g}, expected {expected[worst]:.6g}, "
        f"standard error {deviation[worst]:.2g}, threshold {threshold:.2f} standard errors"
    )


def assert_second_moments(samples: Floats, mean: Floats, covariance: Floats) -> None:
    """Check the covariance of ``samples`` (replicate, component), whose mean is known."""
    centred = np.asarray(samples) - mean
    products = centred[:, :, None] * centred[:, None, :]
    upper = np.triu_indices(centred.shape[1])
    assert_mean(products[:, upper[0], upper[1]], np.asarray(covariance)[upper])


def assert_same_moments(first: Floats, second: Floats) -> None:
    """Check that two independent samples (replicate, component) share means and variances."""
    centre = np.concatenate([first, second]).mean(0)
    for one, two in ((first, second), ((first - centre) ** 2, (second - centre) ** 2)):
        deviation = np.sqrt(one.var(0, ddof=1) / len(one) + two.var(0, ddof=1) / len(two))
        threshold = stats.norm.ppf(1 - FALSE_ALARM / (4 * one.shape[1]))
        error = np.abs(one.mean(0) - two.mean(0))
        assert (error <= threshold * deviation + 1e-12).all(), (error / deviation).max()


def assert_frequencies(counts: Floats, probabilities: Floats) -> None:
    """Check observed counts of categories against their law by Pearson's chi-square."""
    counts, expected = np.asarray(counts, dtype=float), counts.sum() * np.asarray(probabilities)
    assert counts[expected == 0].sum() == 0
    keep = expected > 0
    assert expected[keep].min() > 20, "too few expected per category for the chi-square law"
    statistic = ((counts[keep] - expected[keep]) ** 2 / expected[keep]).sum()
    assert stats.chi2.sf(statistic, keep.sum() - 1) > FALSE_ALARM, statistic
