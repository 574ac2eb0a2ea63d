"""The four-term bound, fitted jointly to errors over a factorial design.

    error <= a / T  +  b sigma²  +  c / (sigma² n)  +  d rho^K / sigma²          (coupled: c / n)

``docs/theory.md`` sections 3.3 (b), 4.3 and 4.4 (c), 3.4 (d), 5.2 ``outer-ergodic`` (a). The constants
are non-negative and the scale is logarithmic: errors span decades, and every factor counts alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import optimize, stats

from theory_check.errors import InvalidArgumentError, require_choice, require_positive_integer

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
_RHO_STARTS = (0.2, 0.5, 0.8, 0.95)


@dataclass(frozen=True)
class Estimate:
    """A fitted number with its 95 % interval over replicates."""

    value: float
    low: float
    high: float


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


@dataclass(frozen=True, eq=False)
class BoundFit:
    """The four-term model fitted to one table of errors.

    Attributes
    ----------
    constants
        ``a, b, c, d`` by the names of :data:`TERMS`, in the units of the error.
    rho
        Factor per inner step; without meaning where the inner term is absent.
    predicted
        The model at every design point, shape (m,).
    shares
        Share of every term in ``predicted``, shape (m, 4).
    explained_variance
        One minus residual over total sum of squares of the logarithm of the mean error.
    """

    constants: Mapping[str, Estimate]
    rho: Estimate
    predicted: Float[np.ndarray, " m"]
    shares: Float[np.ndarray, "m 4"]
    explained_variance: float


def design_table(
    table: pd.DataFrame, response: str, *, coupled: bool
) -> tuple[Design, NDArray[np.float64]]:
    """Return the design and the errors (replicates, m) of one problem's rows.

    Parameters
    ----------
    table
        Rows of one problem and coupling, with ``seed``, the factors and ``response``.
    response
        Column with the errors.
    coupled
        As in :class:`Design`.

    Raises
    ------
    InvalidArgumentError
        When a value is missing or not finite: leaving out runs that diverged would favour the
        bound.
    """
    wide = table.pivot(index="seed", columns=list(FACTORS), values=response)
    errors = wide.to_numpy(dtype=np.float64)
    if not np.isfinite(errors).all():
        count = int((~np.isfinite(errors)).sum())
        raise InvalidArgumentError(
            response, f"{count} values that are missing or not finite", "repair those runs first"
        )
    iterations, sigma, trajectories, inner_steps = (
        wide.columns.get_level_values(name).to_numpy(np.float64) for name in FACTORS
    )
    return Design(iterations, sigma, trajectories, inner_steps, coupled), errors


def fit_bound(
    design: Design, errors: NDArray[np.float64], *, resamples: int = 200, seed: int = 0
) -> BoundFit:
    """Fit the four-term model to mean errors by non-negative least squares in the logarithm.

    Parameters
    ----------
    design
        m design points.
    errors
        Positive, shape (replicates, m), at least 2 replicates.
    resamples
        Bootstrap resamples of whole replicates.
    seed
        Of the resampling.

    Raises
    ------
    InvalidArgumentError
        For shapes that disagree, values that are not positive, or fewer points than parameters.
    """
    model = _Model(design, _checked(design, errors), free=None)
    best, spread = _bootstrap(model, errors, resamples, seed)
    absent = NEGLIGIBLE * model.scale
    best[:4] = np.where(best[:4] > absent, best[:4], 0.0)
    spread[:, :4] = np.where(spread[:, :4] > absent, spread[:, :4], 0.0)
    constants = {
        name: _interval(best[index], spread[:, index], len(errors))
        for index, name in enumerate(TERMS)
    }
    terms = model.terms(best)
    predicted = terms.sum(1)
    log_error = np.log(errors.mean(0))
    residual = log_error - np.log(predicted)
    total = log_error - log_error.mean()
    return BoundFit(
        constants=constants,
        rho=_interval(best[4], spread[:, 4], len(errors)),
        predicted=predicted,
        shares=terms / predicted[:, None],
        explained_variance=float(1 - residual @ residual / (total @ total)),
    )


def fit_freed_exponent(
    design: Design,
    errors: NDArray[np.float64],
    name: str,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> Estimate:
    """Fit the model with one of its exponents free, and return that exponent.

    Parameters
    ----------
    design, errors, resamples, seed
        As in :func:`fit_bound`.
    name
        One of :data:`EXPONENTS`. Between -6 and 6; without meaning where its term is absent, which
        the width of the interval shows.

    Raises
    ------
    InvalidArgumentError
        As :func:`fit_bound`, and for an unknown name.
    """
    require_choice("name", name, EXPONENTS)
    model = _Model(design, _checked(design, errors), free=name)
    best, spread = _bootstrap(model, errors, resamples, seed)
    return _interval(best[5], spread[:, 5], len(errors))


def fit_split_exponents(
    design: Design, errors: NDArray[np.float64], factors: Sequence[str]
) -> dict[str, Estimate]:
    """Fit one product of powers to errors, and return its exponents.

    For one column of the exact split, where a single term is seen by itself: ordinary least squares
    of the logarithm of the mean error on the logarithms of the factors, and on K itself, whose
    coefficient is ``log rho``. Intervals are Student's t on the jackknife over replicates.

    Parameters
    ----------
    design, errors
        As in :func:`fit_bound`.
    factors
        Those of :data:`FACTORS` that vary.
    """
    columns = [np.ones(errors.shape[1])]
    for factor in factors:
        levels = getattr(design, factor)
        columns.append(levels if factor == "inner_steps" else np.log(levels))
    contrast = np.linalg.pinv(np.column_stack(columns))
    replicates = len(errors)
    whole = contrast @ np.log(errors.mean(0))
    left_out = np.stack(
        [contrast @ np.log(np.delete(errors, row, 0).mean(0)) for row in range(replicates)]
    )
    error = np.sqrt((replicates - 1) * left_out.var(0))
    reach = stats.t.ppf(0.975, replicates - 1) * error
    return {
        factor: Estimate(float(value), float(value - width), float(value + width))
        for factor, value, width in zip(factors, whole[1:], reach[1:], strict=True)
    }


class _Model:
    """The model in normalised constants: 1 where a term by itself would reach some mean error.

    Parameters are the logarithms of the four constants, the logit of rho and, where one is free,
    an exponent.
    """

    def __init__(self, design: Design, mean: NDArray[np.float64], free: str | None) -> None:
        self.design = design
        self.free = free
        self._powers = design.predicted_exponents()
        self._logs = {name: np.log(getattr(design, name)) for name in FACTORS[:3]}
        self._sign = {name: 1.0 if name == "bias sigma" else -1.0 for name in EXPONENTS}
        # Factors are measured from their geometric centre, or a free exponent and its constant
        # would be nearly the same parameter.
        self._centre = {name: float(values.mean()) for name, values in self._logs.items()}
        shape = self._shapes(self._powers)
        self.scale = (mean[:, None] / shape).min(0)

    def _shapes(self, powers: Mapping[str, float]) -> NDArray[np.float64]:
        """Return the logarithm-free part of all terms but rho^K, shape (m, 4)."""
        logs = np.zeros((self.design.sigma.size, 4))
        for name, (term, factor) in EXPONENTS.items():
            predicted = self._powers[name]
            offset = (powers[name] - predicted) * self._centre[factor]
            logs[:, TERMS.index(term)] += self._sign[name] * (
                powers[name] * self._logs[factor] - offset
            )
        return np.exp(logs)

    def terms(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the four terms (m, 4) for constants, rho and a free exponent in their own units."""
        powers = dict(self._powers)
        if self.free is not None:
            powers[self.free] = float(parameters[5])
        shapes = self._shapes(powers)
        shapes[:, 3] *= parameters[4] ** self.design.inner_steps
        return shapes * parameters[:4]

    def fit(self, log_mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return constants, rho and a free exponent that fit ``log_mean`` best."""
        start = self._start(log_mean)
        solution = optimize.least_squares(
            lambda x: np.log(self.terms(self._natural(x)).sum(1)) - log_mean,
            start,
            jac=self._jacobian,
            method="lm",
            x_scale=1.0,
            ftol=1e-9,
            xtol=1e-7,
        )
        return self._natural(solution.x)

    def _natural(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        constants = np.exp(np.clip(x[:4], np.log(NEGLIGIBLE) - 4, 10)) * self.scale
        rho = 1 / (1 + np.exp(-np.clip(x[4], -12, 12)))
        return np.concatenate([constants, [rho], np.clip(x[5:], -6, 6)])

    def _jacobian(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        natural = self._natural(x)
        terms = self.terms(natural)
        weights = terms / terms.sum(1, keepdims=True)
        columns = [weights, (weights[:, 3] * self.design.inner_steps * (1 - natural[4]))[:, None]]
        if self.free is not None:
            term, factor = EXPONENTS[self.free]
            slope = self._sign[self.free] * (self._logs[factor] - self._centre[factor])
            columns.append((weights[:, TERMS.index(term)] * slope)[:, None])
        return np.concatenate(columns, axis=1)

    def _start(self, log_mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Start at the non-negative least-squares fit of relative errors, over a grid of rho."""
        shapes = self._shapes(self._powers) * self.scale * np.exp(-log_mean)[:, None]
        found = []
        for rho in _RHO_STARTS:
            columns = shapes.copy()
            columns[:, 3] *= rho**self.design.inner_steps
            constants, distance = optimize.nnls(columns, np.ones(log_mean.size))
            found.append((distance, rho, constants))
        _, rho, constants = min(found, key=lambda each: each[0])
        # An absent term starts small, not at zero, where its logarithm could not leave again.
        free = [] if self.free is None else [self._powers[self.free]]
        return np.concatenate(
            [np.log(np.maximum(constants, 1e-3)), [np.log(rho / (1 - rho))], free]
        )


def _bootstrap(
    model: _Model, errors: NDArray[np.float64], resamples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the fit, and those of ``resamples`` tables of resampled replicates."""
    require_positive_integer("resamples", resamples)
    generator = np.random.default_rng(seed)
    best = model.fit(np.log(errors.mean(0)))
    rows = generator.integers(len(errors), size=(resamples, len(errors)))
    spread = np.stack([model.fit(np.log(errors[row].mean(0))) for row in rows])
    return best, spread


def _interval(value: float, spread: NDArray[np.float64], replicates: int) -> Estimate:
    """Return the expanded percentile interval.

    Plain percentiles are too narrow with few replicates; the levels are widened to those at which
    the interval of a mean would be Student's t (Hesterberg, The American Statistician 69, 2015).
    """
    student = stats.t.ppf(0.025, replicates - 1) * np.sqrt(replicates / (replicates - 1))
    tail = float(stats.norm.cdf(student))
    low, high = np.quantile(spread, [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high))


def _checked(design: Design, errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean errors, or refuse what cannot be fitted."""
    points = design.sigma.size
    if errors.ndim != 2 or errors.shape[1] != points or errors.shape[0] < 2:
        raise InvalidArgumentError(
            "errors", f"shape {errors.shape}", f"pass shape (replicates >= 2, {points})"
        )
    if points < 7:
        raise InvalidArgumentError("design", f"{points} points", "pass at least 7 design points")
    if not (np.isfinite(errors) & (errors > 0)).all():
        raise InvalidArgumentError(
            "errors", "values that are not finite and positive", "pass positive errors only"
        )
    return np.asarray(errors.mean(0))
