"""The pair loss as trigonometric sums on a window, in closed form and with a bound on the error.

For a step-like odd function ``a`` with ``a(±∞) = ±1`` the alternating sum of its copies at multiples of P
is periodic with period 2 P, equal to ``a`` on ``[-w, w]`` up to what its tails have left at ``P - w``,
and has the frequencies ``w_l = (2 l + 1) pi / P`` only. By Poisson's formula its coefficients are those
of ``a'``'s Fourier transform, known for every preference law (``docs/theory.md`` section 2.9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from theory_check.problems.preferences import BradleyTerry, PreferenceLaw

Floats = NDArray[np.float64]

TRUNCATION = 1e-17
"""Size of what is left out of a sum, and of what the tails of copies leave on the window."""

MODEL = BradleyTerry()
"""The law that reward learners assume."""


@dataclass(frozen=True, eq=False)
class Series:
    """Sums over ``w_l = (l + 1/2) step`` that stand for functions of a difference on a window.

    Attributes
    ----------
    window
        They hold on ``[-window, window]``.
    step
        Distance of the frequencies.
    frequencies
        Shape (frequency,).
    odd
        Coefficients of ``a(x) = sum odd_l sin(w_l x)``: of an advantage.
    even
        Coefficients of ``constant - sum even_l cos(w_l x)``: of the integral of ``a / 2``.
    constant
        A quarter of the period, the mean of the triangle wave that continues the integral. For the
        model's law the whole is ``log(2 cosh(x / 2))``.
    law
        The law of labels.
    """

    window: float
    step: float
    frequencies: Floats
    odd: Floats
    even: Floats
    constant: float
    law: PreferenceLaw

    @cached_property
    def certain(self) -> float:
        """Entropy of a label where the better one always wins, random answers aside."""
        return self.law.entropy(torch.tensor(2 * _tail(self.law), dtype=torch.float64)).item()

    @cached_property
    def entropy(self) -> Floats:
        """Coefficients of ``certain + sum entropy_l cos(w_l x)``: of the entropy of a label.

        A trapezoidal sum over a bump that is analytic in a strip, point by point.
        """
        spacing = math.pi / _band(self.law)
        half = math.ceil(_tail(self.law) / spacing)
        grid = np.arange(0, half + 1) * spacing
        bump = self.law.entropy(torch.from_numpy(grid)).numpy() - self.certain
        total = np.full_like(self.frequencies, bump[0])
        for point, height in zip(grid[1:], bump[1:], strict=True):
            total += 2 * height * np.cos(self.frequencies * point)
        return total * (self.step * spacing / math.pi)


def window_of(range_of_differences: float) -> float:
    """Return a window that covers a range and is one of few: 2 % apart, at least 1."""
    return 1.02 ** math.ceil(math.log(max(range_of_differences, 1.0)) / math.log(1.02))


def frequencies_needed(window: float, law: PreferenceLaw = MODEL) -> int:
    """Return how many frequencies :func:`pair_series` takes."""
    return math.ceil(_band(law) * _period(window, law) / (2 * math.pi)) + 1


@lru_cache(maxsize=256)
def pair_series(window: float, law: PreferenceLaw = MODEL) -> Series:
    """Return the sums for differences up to ``window``.

    Parameters
    ----------
    window
        Largest difference, > 0; one of :func:`window_of`, so that few are computed.
    law
        The law of labels.
    """
    period = _period(window, law)
    step = 2 * math.pi / period
    number = frequencies_needed(window, law)
    frequencies = np.arange(0.5, number, dtype=np.float64) * step
    odd = (2 / period) * law.transform(frequencies) / frequencies
    return Series(
        window=window,
        step=step,
        frequencies=frequencies,
        odd=odd,
        even=odd / (2 * frequencies),
        constant=period / 4,
        law=law,
    )


def _tail(law: PreferenceLaw) -> float:
    """Return the difference from which on a law is settled; a little more for entropies."""
    return 1.15 * law.settled(TRUNCATION)


def _period(window: float, law: PreferenceLaw) -> float:
    return window + _tail(law)


def _band(law: PreferenceLaw) -> float:
    """Return the frequency beyond which transforms are below :data:`TRUNCATION`."""
    return -math.log(TRUNCATION) / law.strip
