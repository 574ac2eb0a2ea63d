"""The bound on one problem: whether its terms explain the error, each with its exponents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from theory_check.analysis.bound_model import EXPONENTS, TERMS, Design
from theory_check.analysis.bound_terms import (
    BoundFit,
    design_table,
    fit_bound,
    fit_split_exponents,
    single_term_variance,
)
from theory_check.analysis.intervals import Interval, in_both_units
from theory_check.analysis.rate_verdict import (
    NOTHING,
    Numbers,
    RateVerdict,
    Row,
    Status,
    basis,
    exponent_text,
    require_judged,
    rows_of,
)
from theory_check.claims.rates import BoundRate
from theory_check.errors import InvalidArgumentError

DOMINANT = 0.5
"""Share of the error from which a term dominates."""

# 1 where a larger exponent beats the bound, -1 where a smaller one does: the error falls with T, n
# and sigma (bias), and grows with 1/sigma.
_BETTER: Mapping[str, int] = {
    "optimisation 1/T": 1,
    "bias sigma": 1,
    "sampling 1/sigma": -1,
    "sampling 1/n": 1,
    "inner 1/sigma": -1,
}

# What each column of the exact split is expected to depend on.
_SPLIT: Mapping[str, tuple[str, ...]] = {
    "penalty_bias": ("iterations", "sigma"),
    "sampling_error": ("sigma", "trajectories"),
}


# How docs/theory.md section 5.6 writes the constants; that of the inner term by itself would be an
# extrapolation to K = 0.
_CONSTANTS: Mapping[str, str] = dict(
    zip(TERMS, ("a", "b", "c", "d rho^K at the fewest K"), strict=True)
)


@dataclass(frozen=True)
class TermNumbers(Numbers):
    """The numbers of a bound, exponents in squared-norm units.

    Attributes
    ----------
    stated
        The exponents of the bound, by the names of ``EXPONENTS``.
    needed
        Share of the variance of the log mean error that it has to explain.
    explained
        The share that it does explain; None where nothing was fitted.
    exponents
        Those that the design identifies.
    constants, shares
        Of every term, the constant and the mean share of the error.
    """

    stated: Mapping[str, float]
    needed: float
    explained: float | None = None
    exponents: Mapping[str, Interval] = field(default_factory=dict)
    constants: Mapping[str, Interval] = field(default_factory=dict)
    shares: Mapping[str, Interval] = field(default_factory=dict)

    estimate = None

    def predicted(self) -> dict[str, object]:
        """Return the exponents of the bound in both units, and the share to be explained."""
        return {**_with_units(self.stated), "explained variance": self.needed}

    def measured(self) -> dict[str, object]:
        """Return the freed exponents in both units, the share explained and the constants."""
        if self.explained is None:
            return {}
        return {
            **_with_units(_records(self.exponents)),
            "explained variance": self.explained,
            "constants": _records(self.constants),
        }

    def rows(self, name: str) -> Iterator[Row]:
        """Yield a line for the share explained, for each exponent and for each constant."""
        fitted = self.explained is not None
        yield name, f"R² {self.explained:.3f}" if fitted else NOTHING, f">= {self.needed:g}"
        for exponent, stated in self.stated.items():
            found = NOTHING
            if exponent in self.exponents:
                found = _in_both_units(self.exponents[exponent])
            elif fitted:
                share = self.shares.get(EXPONENTS[exponent][0])
                most = "" if share is None else f" (mean share at most {100 * share.high:.1f} %)"
                found = f"not identified{most}"
            yield f"  {exponent}", found, _in_both_units(stated)
        for term, constant in self.constants.items():
            share = self.shares.get(term)
            mean = "" if share is None else f", mean share {share.scaled(100.0):.1f} %"
            yield f"  {_CONSTANTS[term]}", f"{constant:.3g}{mean}", ""


def _in_both_units(exponent: float | Interval) -> str:
    return f"{exponent_text(exponent)} squared, {exponent_text(exponent, 0.5)} norm"


def _records(found: Mapping[str, Interval]) -> dict[str, object]:
    return {name: each.record("value") for name, each in found.items()}


def terms_stated(rate: BoundRate) -> TermNumbers:
    """Return the exponents of the bound, and the share of the variance that it has to explain."""
    none = np.empty(0)
    exponents = Design(none, none, none, none, rate.coupled).predicted_exponents()
    return TermNumbers(exponents, rate.minimum_explained)


def judge_bound_rate(rate: BoundRate, table: pd.DataFrame, problem: str) -> RateVerdict:
    """Judge the four-term bound on one problem.

    The model is fitted twice: with the exponents of the bound, and with those freed, all at once,
    whose term holds at least half of the error at ``minimum_points`` design points. The first rule
    that applies decides:

    1. *inconclusive*: unusable rows, values that are not positive, too few design points;
    2. *violated*: a freed exponent's whole interval is worse than its band, the resolution or a
       quarter of the gap to the nearest rival where that is smaller;
    3. *violated*: the bound explains less than ``minimum_explained`` of the variance of the log mean
       error, unless freed exponents of required terms are better than predicted and with them it
       explains enough;
    4. *inconclusive*: a required term that does not dominate, so that nothing is known of it; an
       exponent of such a term with an interval wider than ``widest_interval``; a best single term
       that explains all but ``minimum_gain``;
    5. *inconclusive*: an interval that reaches into its band without lying inside it, from the
       worse side, or from either where the term is required;
    6. *faster*: the whole interval of a required term's exponent is better than its band;
    7. *tight*: the intervals of all freed exponents lie inside their bands, an equivalence test; the
       better side of a term that is not required decides nothing.

    Raises
    ------
    InvalidArgumentError
        If the table lacks a column or has several rows for one seed and design point.
    """
    require_judged(BoundRate, rate, table, problem)
    unjudged = terms_stated(rate)
    evidence = basis(rate, problem, unjudged)

    def refused(why: str) -> RateVerdict:
        reason = f"cannot be judged: {why}."
        return RateVerdict(rate.name, problem, "inconclusive", reason, unjudged, evidence)

    rows = _design_rows(rate, table, problem)
    if isinstance(rows, str):
        return refused(rows)
    try:
        design, errors = design_table(rows, rate.y, coupled=rate.coupled)
        fit = fit_bound(design, errors)
        judged = judged_exponents(rate, design, fit)
        freed = fit_bound(design, errors, judged)
        alone = single_term_variance(design, errors)
    except InvalidArgumentError as refusal:
        return refused(f"{refusal.argument}: {refusal.received}")
    status, because = _status(rate, design, fit, freed, alone)
    numbers = TermNumbers(
        unjudged.stated,
        unjudged.needed,
        fit.explained_variance,
        freed.exponents,
        fit.constants,
        fit.mean_shares,
    )
    evidence |= _evidence(design, fit, freed, alone) | {
        "measured": numbers.measured(),
        "split": _split(rows, rate.coupled),
    }
    summary = (
        f"the bound explains {100 * fit.explained_variance:.1f} % of the variance of log {rate.y}, "
        f"{_best_alone(alone)}; "
        + (
            "exponents "
            + ", ".join(f"{name} {found:.2f}" for name, found in freed.exponents.items())
            if freed.exponents
            else "no exponent is identified"
        )
    )
    return RateVerdict(
        rate.name,
        problem,
        status,
        f"{summary}: {because}.",
        numbers,
        evidence,
        None,
        fit.predicted,
        errors,
    )


def judged_exponents(rate: BoundRate, design: Design, fit: BoundFit) -> tuple[str, ...]:
    """Return the exponents that the design identifies, names of ``EXPONENTS``."""
    dominated = (fit.shares >= DOMINANT).sum(0)
    return tuple(
        name
        for name, (term, factor) in EXPONENTS.items()
        if dominated[TERMS.index(term)] >= rate.minimum_points
        and np.unique(getattr(design, factor)).size >= 2
    )


def _design_rows(rate: BoundRate, table: pd.DataFrame, problem: str) -> pd.DataFrame | str:
    """Return one row per seed and design point, or a sentence that says why there are none."""
    found = rows_of(rate, table, problem)
    if isinstance(found, str):
        return found
    rows = found.rename(columns={rate.x: "iterations"})
    if rows.duplicated(["seed", "iterations", "sigma", "trajectories", "inner_steps"]).any():
        raise InvalidArgumentError(
            "table",
            f"several rows of {problem!r} with the same seed and design point",
            f"select one of them by `where` of the rate {rate.name!r}",
        )
    return rows


def _status(
    rate: BoundRate,
    design: Design,
    fit: BoundFit,
    freed: BoundFit,
    alone: Mapping[str, float],
) -> tuple[Status, str]:
    """Apply the rules of :func:`judge_bound_rate`."""
    predicted, bands = design.predicted_exponents(), design.bands(rate.resolution)
    better, worse, straddling = [], [], []
    for name, found in freed.exponents.items():
        sign, target = _BETTER[name], _BETTER[name] * predicted[name]
        low, high = sorted((sign * found.low, sign * found.high))
        band, required = bands[name], EXPONENTS[name][0] in rate.required
        if high < target - band:
            worse.append(name)
        elif low < target - band or (required and low <= target + band < high):
            straddling.append(name)
        # The inner term with its exponent freed and rho near 1 is any constant at all, so it cannot
        # speak for the bound.
        if low > target + band and required:
            better.append(name)
    if worse:
        return "violated", f"{', '.join(worse)} worse than predicted"
    enough = rate.minimum_explained
    if fit.explained_variance < enough and not (better and freed.explained_variance >= enough):
        return "violated", (
            f"less than {100 * enough:g} % is explained, "
            f"{100 * freed.explained_variance:.1f} % with exponents freed"
        )
    for name, (term, _) in EXPONENTS.items():
        if term not in rate.required:
            continue
        if name not in freed.exponents:
            high = fit.mean_shares[term].high
            return "inconclusive", (
                f"{name} is not identified, {term} dominates at too few design points (mean share at "
                f"most {100 * high:.0f} %)"
            )
        width = freed.exponents[name].high - freed.exponents[name].low
        if width > rate.widest_interval:
            return "inconclusive", (
                f"the interval of {name} is wider than {rate.widest_interval:g}"
            )
    if fit.explained_variance - max(alone.values()) < rate.minimum_gain:
        best = max(alone, key=lambda term: alone[term])
        return "inconclusive", f"{best} alone explains nearly as much, the design is too narrow"
    if straddling:
        names = ", ".join(f"{name} (± {bands[name]:g})" for name in straddling)
        return "inconclusive", f"the interval overlaps the band without lying inside it: {names}"
    if better:
        return "faster", f"{', '.join(better)} better than predicted"
    return "tight", _agreement(rate, predicted, bands, freed) + _absent(fit)


def _agreement(
    rate: BoundRate, predicted: Mapping[str, float], bands: Mapping[str, float], freed: BoundFit
) -> str:
    """Say how close the exponents are: inside their intervals, or only within their bands."""
    outside = {
        name: f"{name} excludes {predicted[name]:g}"
        for name, found in freed.exponents.items()
        if not found.low <= predicted[name] <= found.high
    }
    if not outside:
        return "the interval of every exponent that is identified contains its prediction"
    # A better exponent of a term that is not required may lie beyond its band and decides nothing.
    ignored = [
        name
        for name in outside
        if EXPONENTS[name][0] not in rate.required
        and not freed.exponents[name].within(
            predicted[name] - bands[name], predicted[name] + bands[name]
        )
    ]
    rest = f", but for {', '.join(ignored)}, which decides nothing," if ignored else ""
    return (
        f"the interval of every exponent that is identified{rest} lies inside its band; "
        f"the interval of {', that of '.join(outside.values())}"
    )


def _best_alone(alone: Mapping[str, float]) -> str:
    """Say what the best single term explains; a fit by itself can be worse than the mean."""
    best = max(alone, key=lambda term: alone[term])
    if alone[best] <= 0:
        return "no single term explains any of it"
    return f"{best} alone {100 * alone[best]:.1f} %"


def _absent(fit: BoundFit) -> str:
    """Say which terms hold next to nothing of the error."""
    never = [
        f"{term} (mean share at most {100 * fit.mean_shares[term].high:.1f} %)"
        for index, term in enumerate(TERMS)
        if (fit.shares[:, index] < DOMINANT).all()
    ]
    return f"; loose in the bound, dominating nowhere: {', '.join(never)}" if never else ""


def _evidence(
    design: Design, fit: BoundFit, freed: BoundFit, alone: Mapping[str, float]
) -> dict[str, object]:
    dominated = (fit.shares >= DOMINANT).sum(0)
    return {
        "points": int(design.sigma.size),
        "explained_variance": fit.explained_variance,
        "explained_variance_freed": freed.explained_variance,
        "explained_variance_alone": dict(alone),
        "gain_over_best_term": fit.explained_variance - max(alone.values()),
        "gain_over_optimisation": fit.explained_variance - alone["optimisation"],
        "rho": None if fit.rho is None else fit.rho.record("value"),
        "mean_shares": _records(fit.mean_shares),
        "largest_shares": {
            term: float(fit.shares[:, index].max()) for index, term in enumerate(TERMS)
        },
        "dominated_points": {term: int(dominated[index]) for index, term in enumerate(TERMS)},
    }


def _split(rows: pd.DataFrame, coupled: bool) -> dict[str, object]:
    """Return the exponents of every column of the exact split that the table has.

    The inner error is fitted apart at the largest batch, where it is that of stopping, and at the
    smallest, where the noise of the inner loops is part of it.
    """
    cases = {name: (name, rows, factors) for name, factors in _SPLIT.items()}
    batches = rows["trajectories"]
    for label, batch in (("largest", batches.max()), ("smallest", batches.min())):
        cases[f"inner_error, {label} batch"] = (
            "inner_error",
            rows.loc[batches == batch],
            ("iterations", "sigma", "inner_steps"),
        )
    found: dict[str, object] = {}
    for label, (column, chosen, factors) in cases.items():
        if column not in rows.columns:
            continue
        # The recorder leaves NaN where a penalised minimiser is not certified.
        if not np.isfinite(chosen[column]).all() or (chosen[column] <= 0).any():
            found[label] = None
            continue
        varied = [factor for factor in factors if chosen[factor].nunique() > 1]
        design, errors = design_table(chosen, column, coupled=coupled)
        found[label] = _records(fit_split_exponents(design, errors, varied))
    return found


def _with_units(exponents: Mapping[str, object]) -> dict[str, object]:
    return {"exponents": in_both_units(exponents, norm=0.5, squared_norm=1.0)}
