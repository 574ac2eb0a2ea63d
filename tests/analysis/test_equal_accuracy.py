"""Samples at equal accuracy, on planted curves whose ratio is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from theory_check.analysis.equal_accuracy import saving
from theory_check.errors import InvalidArgumentError


def table(
    constant: float, exponent: float, accuracies: np.ndarray, noise: np.ndarray
) -> pd.DataFrame:
    """``samples = constant * accuracy**-exponent``, each seed's accuracy times its own factor."""
    return pd.DataFrame(
        {
            "seed": np.repeat(np.arange(noise.size), accuracies.size),
            "samples": np.tile(constant * accuracies**-exponent, noise.size),
            "ergodic_stationarity": np.outer(noise, accuracies).ravel(),
        }
    )


def test_ratio_of_two_power_laws_at_the_accuracy_both_reach() -> None:
    # 5 a^-3 over 2 a^-2 is 2.5 / a; both reach a = 1e-2, the dearer one no further.
    cheap = table(2.0, 2.0, np.geomspace(1e-1, 1e-3, 5), np.ones(8))
    dear = table(5.0, 3.0, np.geomspace(1e-1, 1e-2, 4), np.ones(8))
    found = saving(cheap, dear)
    assert found.accuracy == pytest.approx(1e-2)
    # The curves are straight on these axes, so interpolation is exact.
    assert found.ratio == pytest.approx(250.0, rel=1e-9)
    assert found.low == pytest.approx(found.high) == pytest.approx(250.0)


def test_interval_covers_the_ratio_and_shrinks_with_the_seeds() -> None:
    # Factors of mean 1: with s.d. 0.2 in the accuracy the log of a mean over 16 seeds has s.d.
    # 0.05, that of the samples 0.1 (p = 2) and 0.15 (p = 3), together 0.18. Of 200 intervals at
    # 95 % at least 178 cover with probability 1 - 1e-3 if the coverage is 94 % or more.
    rng = np.random.default_rng(0)
    grid = np.geomspace(1e-1, 1e-3, 5)
    covered, widths = 0, {16: [], 64: []}
    for seeds in (16, 64):
        for _ in range(200 if seeds == 16 else 20):
            cheap, dear = (
                table(c, p, grid, 1 + 0.2 * rng.standard_normal(seeds)) for c, p in ((2, 2), (5, 3))
            )
            found = saving(cheap, dear)
            truth = 2.5 / found.accuracy
            widths[seeds].append(np.log(found.high / found.low))
            covered += seeds == 16 and found.low <= truth <= found.high
    assert covered >= 178
    assert np.mean(widths[64]) == pytest.approx(0.5 * np.mean(widths[16]), rel=0.15)


def test_what_seeds_have_in_common_cancels() -> None:
    """Each seed's factor is the same in both tables, so accuracy**-2 against **-3 leaves one power.

    The log ratio is log(2.5 / accuracy), moved by a seed's factor f as log f instead of by 2 log f and
    3 log f independently: the interval is narrower by sqrt(4 + 9).
    """
    rng = np.random.default_rng(1)
    factors = 1 + 0.02 * rng.standard_normal(16)
    grid = np.geomspace(1e-1, 1e-3, 5)
    cheap, dear = table(2.0, 2.0, grid, factors), table(5.0, 3.0, grid, factors)
    paired = saving(cheap, dear)
    apart = saving(cheap, dear.assign(seed=dear["seed"] + 100))
    assert paired.ratio == pytest.approx(apart.ratio)
    widths = [np.log(found.high / found.low) for found in (apart, paired)]
    assert widths[0] / widths[1] == pytest.approx(13**0.5, rel=0.02)


def test_what_cannot_be_compared_is_refused() -> None:
    good = table(2.0, 2.0, np.geomspace(1e-1, 1e-3, 5), np.ones(4))
    far = table(2.0, 2.0, np.geomspace(1e-5, 1e-7, 5), np.ones(4))
    with pytest.raises(InvalidArgumentError, match="do not overlap"):
        saving(good, far)
    broken = good.assign(ergodic_stationarity=np.nan)
    with pytest.raises(InvalidArgumentError, match="stopped early"):
        saving(good, broken)
