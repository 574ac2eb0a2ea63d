"""The constants, shares and exponents of the four-term bound, with intervals over replicates.

The intervals are those of the linearised fit: at the least-squares solution every parameter moves
with the logarithm of the mean errors by one row of the pseudo-inverse of the Jacobian, a linear
contrast, for which :func:`theory_check.analysis.replicates.half_width` has the studentised bootstrap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import special, stats

from theory_check.analysis.bound_model import (
    EXPONENTS,
    FACTORS,
    RHO_GRID,
    TERMS,
    BoundModel,
    Design,
)
from theory_check.analysis.intervals import Interval
from theory_check.analysis.replicates import AverageCurve, average_curve, half_width
from theory_check.errors import InvalidArgumentError, require_choice, require_positive_integer

# A constant whose logarithm is less certain than this has an interval on its own scale, where it
# can reach 0.
_CERTAIN = 1.0


@dataclass(frozen=True, eq=False)
class BoundFit:
    """The four-term model fitted to one table of errors.

    Attributes
    ----------
    constants
        ``a, b, c`` and ``d rho^K`` at the fewest inner steps, by the names of :data:`TERMS`, in the
        units of the error: ``d`` by itself is an extrapolation to K = 0. An absent term is 0 with
        the largest constant that the errors allow, at the least favourable rho.
    rho
        Factor per inner step; None where the inner term is absent.
    predicted
        The model at every design point, shape (m,).
    shares
        Share of every term in ``predicted``, shape (m, 4).
    mean_shares
        Their means over the design, by term.
    exponents
        The freed exponents by the names of :data:`EXPONENTS`; empty when none was freed.
    explained_variance
        One minus residual over total sum of squares of the logarithm of the mean error.
    """

    constants: Mapping[str, Interval]
    rho: Interval | None
    predicted: Float[np.ndarray, " m"]
    shares: Float[np.ndarray, "m 4"]
    mean_shares: Mapping[str, Interval]
    exponents: Mapping[str, Interval]
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
    design: Design,
    errors: NDArray[np.float64],
    freed: Sequence[str] = (),
    *,
    resamples: int = 400,
    seed: int = 0,
) -> BoundFit:
    """Fit the four-term model to mean errors by non-negative least squares in the logarithm.

    Parameters
    ----------
    design
        m design points.
    errors
        Positive, shape (replicates, m), at least 2 replicates.
    freed
        Exponents that are fitted too, all of them at once; names of :data:`EXPONENTS`. Between -6
        and 6; without meaning where its term is absent.
    resamples
        Bootstrap resamples of whole replicates.
    seed
        Of the resampling.

    Raises
    ------
    InvalidArgumentError
        For shapes that disagree, values that are not positive, fewer points than parameters, or an
        unknown exponent.
    """
    require_positive_integer("resamples", resamples)
    for index, name in enumerate(freed):
        require_choice(f"freed[{index}]", name, EXPONENTS)
    _check(design, errors, 7 + len(freed))
    curve = average_curve(errors, "mean")
    model = BoundModel(design, np.exp(curve.log_average), freed)
    best = model.fit(curve.log_average)
    intervals = _Intervals(model, best, curve, resamples, np.random.default_rng(seed))
    terms = model.terms(best)
    predicted = terms.sum(1)
    residual = curve.log_average - np.log(predicted)
    return BoundFit(
        constants={name: intervals.constant(index) for index, name in enumerate(TERMS)},
        rho=intervals.rho(),
        predicted=predicted,
        shares=terms / predicted[:, None],
        mean_shares={name: intervals.mean_share(index) for index, name in enumerate(TERMS)},
        exponents={name: intervals.parameter(5 + index) for index, name in enumerate(freed)},
        explained_variance=_explained(residual, curve.log_average),
    )


def single_term_variance(design: Design, errors: NDArray[np.float64]) -> dict[str, float]:
    """Return the explained variance of the logarithm by each term alone, its constant fitted."""
    _check(design, errors, 7)
    log_mean = np.log(errors.mean(0))
    shapes = np.log(BoundModel(design, errors.mean(0)).shapes())
    found = {}
    for index, term in enumerate(TERMS):
        rhos = RHO_GRID if term == "inner" else (1.0,)
        residuals = (log_mean - shapes[:, index] - design.inner_steps * np.log(rho) for rho in rhos)
        found[term] = max(_explained(each - each.mean(), log_mean) for each in residuals)
    return found


def fit_split_exponents(
    design: Design, errors: NDArray[np.float64], factors: Sequence[str]
) -> dict[str, Interval]:
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
    curve = average_curve(errors, "mean")
    quantile = stats.t.ppf(0.975, curve.replicates - 1)
    found = {}
    for factor, row in zip(factors, contrast[1:], strict=True):
        value, reach = float(row @ curve.log_average), quantile * curve.standard_error(row)
        found[factor] = Interval(value, float(value - reach), float(value + reach))
    return found


class _Intervals:
    """Estimates of the parameters of one fit."""

    def __init__(
        self,
        model: BoundModel,
        best: NDArray[np.float64],
        curve: AverageCurve,
        resamples: int,
        generator: np.random.Generator,
    ) -> None:
        self._model, self._best, self._curve = model, best, curve
        self._resamples, self._generator = resamples, generator
        self._terms = model.terms(best)
        self._predicted = self._terms.sum(1)
        self._slopes = model.log_slopes(best)
        self._shares = self._terms / self._predicted[:, None]
        self._jacobian = np.einsum("mi,mip->mp", self._shares, self._slopes)
        # An absent term has no derivative in its logarithm, nor in what else belongs to it alone.
        self._present = np.flatnonzero(np.abs(self._jacobian).max(0) > 0)
        self._contrasts = np.zeros((best.size, curve.log_average.size))
        self._contrasts[self._present] = np.linalg.pinv(self._jacobian[:, self._present])

    def _reach(self, contrast: NDArray[np.float64]) -> float:
        return half_width(self._curve, contrast, self._resamples, self._generator)

    def parameter(self, index: int) -> Interval:
        """Return a parameter whose own scale is that of the fit."""
        value = float(self._best[index])
        if index not in self._present:
            return Interval(value, -np.inf, np.inf)
        reach = self._reach(self._contrasts[index])
        return Interval(value, value - reach, value + reach)

    def constant(self, index: int) -> Interval:
        """Return one of the four constants; that of the inner term at the fewest steps."""
        value, contrast = float(self._best[index]), self._contrasts[index]
        if value == 0.0:
            return Interval(0.0, 0.0, self._largest_absent(index))
        if TERMS[index] == "inner":
            rho, fewest = float(self._best[4]), float(self._model.design.inner_steps.min())
            value *= rho**fewest
            contrast = contrast + fewest * (1 - rho) * self._contrasts[4]
        reach = self._reach(contrast)
        if reach < _CERTAIN:
            return Interval(value, value * float(np.exp(-reach)), value * float(np.exp(reach)))
        return Interval(value, value * max(0.0, 1 - reach), value * (1 + reach))

    def rho(self) -> Interval | None:
        """Return rho, symmetric in its logit."""
        if self._best[3] == 0.0:
            return None
        value = float(self._best[4])
        reach = self._reach(self._contrasts[4])
        logit = np.log(value / (1 - value))
        low, high = (float(special.expit(end)) for end in (logit - reach, logit + reach))
        return Interval(value, low, high)

    def mean_share(self, index: int) -> Interval:
        """Return the mean share of a term over the design."""
        if self._best[index] == 0.0:
            high = self._largest_absent(index, share=True)
            return Interval(0.0, 0.0, min(1.0, high))
        average = np.einsum("mi,mip->mp", self._shares, self._slopes)
        change = self._shares[:, index, None] * (self._slopes[:, index] - average)
        reach = self._reach(change.mean(0) @ self._contrasts)
        value = float(self._shares[:, index].mean())
        return Interval(value, max(0.0, value - reach), min(1.0, value + reach))

    def _largest_absent(self, index: int, *, share: bool = False) -> float:
        """Return the largest constant, or mean share, of an absent term that the errors allow.

        One Gauss-Newton step with the term's constant free, of either sign, plus its half-width.
        """
        residual = self._curve.log_average - np.log(self._predicted)
        ends = []
        for rho in RHO_GRID if TERMS[index] == "inner" else (1.0,):
            shape = self._model.shapes(self._best[5:])[:, index]
            steps = self._model.design.inner_steps
            shape = shape * rho ** (steps - steps.min())
            column = shape / self._predicted
            size = column.max()
            columns = np.column_stack([column / size, self._jacobian[:, self._present]])
            contrast = np.linalg.pinv(columns)[0] / size
            end = max(0.0, float(contrast @ residual) + self._reach(contrast))
            ends.append(end * float(column.mean()) if share else end)
        return max(ends)


def _explained(residual: NDArray[np.float64], log_mean: NDArray[np.float64]) -> float:
    total = log_mean - log_mean.mean()
    return float(1 - residual @ residual / (total @ total))


def _check(design: Design, errors: NDArray[np.float64], minimum: int) -> None:
    """Refuse what cannot be fitted."""
    points = design.sigma.size
    if errors.ndim != 2 or errors.shape[1] != points or errors.shape[0] < 2:
        raise InvalidArgumentError(
            "errors", f"shape {errors.shape}", f"pass shape (replicates >= 2, {points})"
        )
    if points < minimum:
        raise InvalidArgumentError(
            "design", f"{points} points", f"pass at least {minimum} design points"
        )
    if not (np.isfinite(errors) & (errors > 0)).all():
        raise InvalidArgumentError(
            "errors", "values that are not finite and positive", "pass positive errors only"
        )
