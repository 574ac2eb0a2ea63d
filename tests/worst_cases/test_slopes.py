"""Local and fitted exponents, and the onset of proportionality, on curves that are written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from theory_check.worst_cases.base import local_slopes
from theory_check.worst_cases.quantities.penalty_bias_onset import onset

SIGMAS = (1.0, 0.1, 0.01, 0.001, 0.0001)


def test_a_power_law_has_its_exponent_everywhere() -> None:
    values = [3 * sigma**1.5 for sigma in SIGMAS]
    assert local_slopes(SIGMAS, values) == pytest.approx([1.5] * 4)
    assert local_slopes(SIGMAS, values, reciprocal=True) == pytest.approx([-1.5] * 4)


def test_growth_that_ends_is_seen_by_the_local_exponents() -> None:
    """1 / max(sigma, 0.01): exponent 1 in 1/sigma above 0.01 and 0 below."""
    values = [1 / max(sigma, 0.01) for sigma in SIGMAS]
    assert local_slopes(SIGMAS, values, reciprocal=True) == pytest.approx([1, 1, 0, 0], abs=1e-12)
    # From end to end it is their mean.
    ends = ((SIGMAS[0], SIGMAS[-1]), (values[0], values[-1]))
    assert local_slopes(*ends, reciprocal=True) == pytest.approx([0.5])


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_what_has_no_logarithm_has_no_exponent(bad: float) -> None:
    values = [1.0, 0.1, bad, 0.001, 0.0001]
    assert np.isnan(local_slopes(SIGMAS, values)).tolist() == [False, True, True, False]


def test_the_onset_is_interpolated_between_the_exponents_around_it() -> None:
    """Exponents 0.5, 0.8, 0.95, 1 at 10^-0.5, 10^-1.5, ...: 0.9 lies two thirds from 0.8 to 0.95."""
    values = [1.0]
    for slope in (0.5, 0.8, 0.95, 1.0):
        values.append(values[-1] * 10**-slope)
    assert math.log10(onset(SIGMAS, values)) == pytest.approx(-1.5 - 2 / 3)


def test_the_last_departure_counts_on_either_side() -> None:
    values = [1.0]
    for slope in (1.0, 1.0, 1.3, 1.0):
        values.append(values[-1] * 10**-slope)
    # From 1.3 to 1.0, the band's edge at 1.1 is two thirds of the way.
    assert math.log10(onset(SIGMAS, values)) == pytest.approx(-2.5 - 2 / 3)


def test_the_onset_has_both_ends() -> None:
    assert onset(SIGMAS, SIGMAS) == 1.0
    assert onset(SIGMAS, [sigma**0.5 for sigma in SIGMAS]) == 0.0001
    assert math.isnan(onset(SIGMAS, [1.0, math.nan, 0.01, 0.001, 0.0001]))
