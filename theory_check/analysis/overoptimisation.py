"""Curves of true return against the divergence from the reference policy: peaks, losses and a fitted law.

``docs/theory.md`` section 7.14. Pure functions of curves and of tables of the measurement
``overoptimisation``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from theory_check.analysis.conclusions import Conclusion
from theory_check.analysis.intervals import Interval, median_interval
from theory_check.analysis.verdict import Verdict
from theory_check.arrays import as_floats
from theory_check.claims.overoptimisation import BEYOND
from theory_check.errors import InvalidArgumentError


@dataclass(frozen=True)
class Law:
    """``d (alpha - beta log d)`` of a distance ``d``, the root of a divergence (arXiv 2210.10760).

    Attributes
    ----------
    alpha, beta
        Reward units per root nat.
    error
        Root mean square of what it leaves of the curve that it was fitted to, reward units.
    """

    alpha: float
    beta: float
    error: float

    def __call__(self, distance: float | ArrayLike) -> NDArray[np.float64]:
        """Return its values, 0 at distance 0."""
        d = np.asarray(distance, dtype=np.float64)
        # d log d tends to 0 with d.
        logs = np.log(np.where(d > 0, d, 1.0))
        return np.asarray(d * (self.alpha - self.beta * logs))

    @property
    def peak_distance(self) -> float:
        """Where it is largest, ``exp(alpha/beta - 1)``; infinite where it never falls."""
        return float(np.exp(self.alpha / self.beta - 1)) if self.beta > 0 else np.inf


@dataclass(frozen=True)
class Peak:
    """The largest value of a curve that starts in the origin.

    Attributes
    ----------
    distance, value
        Where it is, and what it is; both 0 where no point lies above the start.
    lost
        By how much the value at the largest distance is smaller.
    """

    distance: float
    value: float
    lost: float

    @property
    def divergence(self) -> float:
        """The divergence there, nats."""
        return self.distance**2


def fit_law(distances: ArrayLike, returns: ArrayLike) -> Law:
    """Fit ``d (alpha - beta log d)`` by least squares, linear in both constants.

    Parameters
    ----------
    distances
        At least 0, shape (m,); two or more different ones above 0, since the law is 0 at 0.
    returns
        True returns less that of the reference policy, shape (m,).

    Raises
    ------
    InvalidArgumentError
        For other shapes, or fewer points.
    """
    d, values = _curve(distances, returns)
    inside = d > 0
    if np.unique(d[inside]).size < 2:
        raise InvalidArgumentError(
            "distances", f"{inside.sum()} of them above 0", "pass two different ones or more"
        )
    d, values = d[inside], values[inside]
    design = np.column_stack([d, -d * np.log(d)])
    (alpha, beta), *_ = np.linalg.lstsq(design, values, rcond=None)
    error = float(np.sqrt(np.mean((design @ [alpha, beta] - values) ** 2)))
    return Law(float(alpha), float(beta), error)


def find_peak(distances: ArrayLike, returns: ArrayLike) -> Peak:
    """Return the largest return along a curve, the reference policy at its start included.

    Parameters
    ----------
    distances, returns
        As of :func:`fit_law`, in any order.
    """
    d, values = _curve(distances, returns)
    d, values = np.append(d, 0.0), np.append(values, 0.0)
    at = int(values.argmax())
    return Peak(float(d[at]), float(values[at]), float(values[at] - values[d.argmax()]))


def _curve(
    distances: ArrayLike, returns: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    d, values = as_floats("distances", distances), as_floats("returns", returns)
    if d.ndim != 1 or d.shape != values.shape or not d.size:
        raise InvalidArgumentError(
            "returns", f"shape {values.shape}", f"pass one for each of {d.shape} distances"
        )
    for name, given in (("distances", d), ("returns", values)):
        if not np.isfinite(given).all():
            raise InvalidArgumentError(name, "values that are not finite", "leave these points out")
    if (d < 0).any():
        raise InvalidArgumentError("distances", f"{d.min():g}", "pass distances of at least 0")
    return d, values


@dataclass(frozen=True)
class Overoptimised:
    """What the curves of all seeds, or instances, say; medians, with intervals between order statistics.

    Returns are shares of what is attainable: what the best policy has more than the reference policy.

    Attributes
    ----------
    divergence, gained
        Where true returns peak, nats, and how high.
    lost
        From there to the largest distance.
    beyond
        Curves that lose more than ``BEYOND``, of all ``curves``.
    curves
        Their number.
    alpha, beta, error
        Of the law, per root nat, and what it leaves.
    """

    divergence: Interval
    gained: Interval
    lost: Interval
    beyond: int
    curves: int
    alpha: Interval
    beta: Interval
    error: Interval


def curves_of(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the rows of every curve: of each seed, and of each instance of a family."""
    units = [name for name in ("instance", "seed") if name in rows.columns]
    for _, curve in rows.groupby(units, sort=False, dropna=False):
        yield curve


def summary_of(rows: pd.DataFrame) -> Overoptimised:
    """Return what the curves of one problem, method and path say.

    Parameters
    ----------
    rows
        Of a table of the measurement; those whose ``status`` is not ``"ok"`` are left out.
    """
    peaks, laws = [], []
    for curve in curves_of(rows[rows["status"] == "ok"]):
        points = curve["distance"], curve["true_return"] / curve["attainable"]
        peaks.append(find_peak(*(each.to_numpy() for each in points)))
        laws.append(fit_law(*(each.to_numpy() for each in points)))

    def median(values: list[float]) -> Interval:
        found = median_interval(np.array(values))
        return Interval(found.value, found.low, found.high)

    return Overoptimised(
        divergence=median([peak.divergence for peak in peaks]),
        gained=median([peak.value for peak in peaks]),
        lost=median([peak.lost for peak in peaks]),
        beyond=sum(peak.lost > BEYOND for peak in peaks),
        curves=len(peaks),
        alpha=median([law.alpha for law in laws]),
        beta=median([law.beta for law in laws]),
        error=median([law.error for law in laws]),
    )


def compose_overoptimisation(
    verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]
) -> list[str]:
    """Return one sentence per problem, number of pairs, path and method."""
    table = next(iter(tables.values()))
    groups = table.groupby(["problem", "pairs", "path", "method"], sort=False)
    return [
        _sentence(str(problem), f"{pairs} pairs", str(path), str(method), summary_of(rows))
        for (problem, pairs, path, method), rows in groups
    ]


def _sentence(problem: str, pairs: str, path: str, method: str, found: Overoptimised) -> str:
    return (
        f"{problem}, {method}, {pairs}, along {'the run' if path == 'training' else 'the budget'}: the "
        f"true return is largest at a divergence of {found.divergence:.2f} nats, {found.gained:.0%} of "
        f"what is attainable above the reference policy; {found.lost:.0%} are lost beyond, more than "
        f"{BEYOND:.0%} in {found.beyond} of {found.curves}; the law "
        f"d ({found.alpha:.2f} - {found.beta:.2f} log d) leaves {found.error:.0%}."
    )


OVEROPTIMISATION = Conclusion(
    "overoptimisation", ("overoptimisation", "overoptimisation-delay"), compose_overoptimisation
)
