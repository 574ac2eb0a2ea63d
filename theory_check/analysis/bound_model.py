"""The four-term bound as a function of its constants, and its least-squares fit.

    error <= a / T  +  b sigma²  +  c / (sigma² n)  +  d rho^K / sigma²          (coupled: c / n)

``docs/theory.md`` sections 3.3 (b), 4.3 and 4.4 (c), 3.4 (d), 5.2 ``outer-ergodic`` (a). The constants
are non-negative and the scale is logarithmic: errors span decades, and every factor counts alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import optimize

TERMS = ("optimisation", "bias", "sampling", "inner")
"""``a / T``, ``b sigma²``, ``c / (sigma² n)`` or ``c / n``, ``d rho^K / sigma²``."""

FACTORS = ("iterations", "sigma", "trajectories", "inner_steps")

EXPONENTS: Mapping[str, tuple[str, str]] = {
    "optimisation 1/T": ("optimisation", "iterations"),
    "bias sigma": ("bias", "sigma"),
    "sampling 1/sigma": ("sampling", "sigma"),
    "sampling 1/n": ("sampling", "trajectories"),
    "inner 1/sigma": ("inner", "sigma"),
}
"""Exponents that can be freed: name to (term, factor)."""

# A constant below this share of the largest that any one design point allows is reported as 0.
NEGLIGIBLE = 1e-6
RHO_GRID = (0.2, 0.5, 0.8, 0.95)
_LARGEST_EXPONENT = 6.0


@dataclass(frozen=True)
class Design:
    """The points of a factorial design.

    Attributes
    ----------
    iterations, sigma, trajectories, inner_steps
        T, sigma, n and K of each point, shape (m,).
    coupled
        Whether the sampling term is ``c / n`` rather than ``c / (sigma² n)``.
    """

    iterations: Float[np.ndarray, " m"]
    sigma: Float[np.ndarray, " m"]
    trajectories: Float[np.ndarray, " m"]
    inner_steps: Float[np.ndarray, " m"]
    coupled: bool = False

    def predicted_exponents(self) -> dict[str, float]:
        """Return the exponents of the bound, by their names in :data:`EXPONENTS`."""
        return {
            "optimisation 1/T": 1.0,
            "bias sigma": 2.0,
            "sampling 1/sigma": 0.0 if self.coupled else 2.0,
            "sampling 1/n": 1.0,
            "inner 1/sigma": 2.0,
        }

    def bands(self, resolution: float) -> dict[str, float]:
        """Return the half-width of the band around each exponent.

        ``resolution``, or a quarter of the gap to the nearest rival where that is smaller: 1/2 for
        1/T (what diminishing steps leave) and for 1/n (heavy tails), 1 for sigma.
        """
        rivals = {
            "optimisation 1/T": 0.5,
            "bias sigma": 1.0,
            "sampling 1/sigma": 1.0,
            "sampling 1/n": 0.5,
            "inner 1/sigma": 1.0,
        }
        return {
            name: min(resolution, abs(exponent - rivals[name]) / 4)
            for name, exponent in self.predicted_exponents().items()
        }


class BoundModel:
    """The model in normalised constants: 1 where a term by itself would reach some mean error.

    Natural parameters, shape (5 + freed,): the four constants, rho, and the freed exponents.

    Parameters
    ----------
    design
        m design points.
    mean
        Mean errors, shape (m,).
    freed
        Exponents that are fitted too, names of :data:`EXPONENTS`; jointly.
    """

    def __init__(
        self, design: Design, mean: NDArray[np.float64], freed: Sequence[str] = ()
    ) -> None:
        self.design = design
        self.freed = tuple(freed)
        self._powers = design.predicted_exponents()
        self._logs = {name: np.log(getattr(design, name)) for name in FACTORS[:3]}
        self._sign = {name: 1.0 if name == "bias sigma" else -1.0 for name in EXPONENTS}
        # Factors are measured from their geometric centre, or a free exponent and its constant
        # would be nearly the same parameter.
        self._centre = {name: float(values.mean()) for name, values in self._logs.items()}
        self.scale = (mean[:, None] / self.shapes()).min(0)

    def shapes(self, freed: Sequence[float] | NDArray[np.float64] = ()) -> NDArray[np.float64]:
        """Return all terms but rho^K for constants of 1, shape (m, 4)."""
        values = dict(zip(self.freed, freed, strict=True)) if len(freed) else {}
        logs = np.zeros((self.design.sigma.size, len(TERMS)))
        for name, (term, factor) in EXPONENTS.items():
            predicted = self._powers[name]
            power = values.get(name, predicted)
            offset = (power - predicted) * self._centre[factor]
            logs[:, TERMS.index(term)] += self._sign[name] * (power * self._logs[factor] - offset)
        return np.exp(logs)

    def terms(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the four terms, shape (m, 4), for natural parameters."""
        shapes = self.shapes(parameters[5:])
        shapes[:, 3] *= parameters[4] ** self.design.inner_steps
        return shapes * parameters[:4]

    def fit(self, log_mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the natural parameters that fit ``log_mean`` (m,) best; absent constants are 0."""
        solution = optimize.least_squares(
            lambda x: np.log(self.terms(self._natural(x)).sum(1)) - log_mean,
            self._start(log_mean),
            jac=self._jacobian,
            method="lm",
            x_scale=1.0,
            ftol=1e-10,
            xtol=1e-8,
        )
        natural = self._natural(solution.x)
        natural[:4] = np.where(natural[:4] > NEGLIGIBLE * self.scale, natural[:4], 0.0)
        return natural

    def log_slopes(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivatives of the logarithm of every term.

        Shape (m, 4, 5 + freed): in the logarithms of the constants, the logit of rho and the freed
        exponents.
        """
        slopes = np.zeros((self.design.sigma.size, len(TERMS), parameters.size))
        for index in range(len(TERMS)):
            slopes[:, index, index] = 1.0
        slopes[:, 3, 4] = self.design.inner_steps * (1 - parameters[4])
        for index, name in enumerate(self.freed):
            term, factor = EXPONENTS[name]
            slope = self._sign[name] * (self._logs[factor] - self._centre[factor])
            slopes[:, TERMS.index(term), 5 + index] = slope
        return slopes

    def _natural(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        constants = np.exp(np.clip(x[:4], np.log(NEGLIGIBLE) - 4, 10)) * self.scale
        rho = 1 / (1 + np.exp(-np.clip(x[4], -12, 12)))
        exponents = np.clip(x[5:], -_LARGEST_EXPONENT, _LARGEST_EXPONENT)
        return np.concatenate([constants, [rho], exponents])

    def _jacobian(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        natural = self._natural(x)
        terms = self.terms(natural)
        weights = terms / terms.sum(1, keepdims=True)
        jacobian: NDArray[np.float64] = np.einsum("mi,mip->mp", weights, self.log_slopes(natural))
        return jacobian

    def _start(self, log_mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Start at the non-negative least-squares fit of relative errors, over a grid of rho."""
        shapes = self.shapes() * self.scale * np.exp(-log_mean)[:, None]
        found = []
        for rho in RHO_GRID:
            columns = shapes.copy()
            columns[:, 3] *= rho**self.design.inner_steps
            constants, distance = optimize.nnls(columns, np.ones(log_mean.size))
            found.append((distance, rho, constants))
        _, rho, constants = min(found, key=lambda each: each[0])
        # An absent term starts small, not at zero, where its logarithm could not leave again.
        return np.concatenate(
            [
                np.log(np.maximum(constants, 1e-3)),
                [np.log(rho / (1 - rho))],
                [self._powers[name] for name in self.freed],
            ]
        )
