"""Audits: an assumption against what was measured along runs (``docs/theory.md`` section 5.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.optimize import linprog

from theory_check.analysis.intervals import Interval, mean_interval
from theory_check.analysis.rate_verdict import require_mapping, require_table_of_rows
from theory_check.claims.audits import (
    Audit,
    DominationRule,
    GrowthRule,
    LevelRule,
    StepRule,
)
from theory_check.errors import InvalidArgumentError, nearest, require_instance, require_text

AuditStatus = Literal["met", "not met", "undecided", "not audited"]
Steps = Mapping[str, float | None]
"""Step sizes of a claim's experiment on one problem: ``"outer"`` and ``"inner"``."""

MINIMUM_DECADES = 1.0
# Stands for 0 in logarithms; the square of it is still positive.
SMALLEST = 1e-150
# Below this many points no exponent is fitted to a replicate.
MINIMUM_POINTS = 4


@dataclass(frozen=True)
class Constant(Interval):
    """A measured constant with its 95 % interval over replicates.

    Attributes
    ----------
    value, low, high
        Geometric mean of the replicates' extremes, or mean of exponents and shares; Student's t.
    name
        What it is.
    worst
        The least favourable replicate.
    """

    name: str
    worst: float

    def to_dict(self) -> dict[str, object]:
        """Return the constant, ready for JSON."""
        return {"name": self.name, **self.record("value"), "worst": self.worst}


@dataclass(frozen=True)
class AuditFinding:
    """What was found of an assumption on one problem.

    Attributes
    ----------
    audit, problem
        Id of the audit and label of the problem.
    status
        ``"met"`` and ``"not met"`` where a whole interval lies on one side, ``"undecided"`` where
        none does or the runs do not reach far enough, ``"not audited"`` without usable evidence.
    reason
        One sentence with the numbers behind the status.
    constants
        The measured constants.
    """

    audit: str
    problem: str
    status: AuditStatus
    reason: str
    constants: tuple[Constant, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the finding, ready for JSON."""
        constants = [constant.to_dict() for constant in self.constants]
        return {**vars(self), "constants": constants}


Outcome = tuple[AuditStatus, str, tuple[Constant, ...]]
Series = Sequence[pd.DataFrame]
"""The rows of each seed."""


def audit_problem(
    audit: Audit, rows: pd.DataFrame, problem: str, steps: Steps | None = None
) -> AuditFinding:
    """Hold an audit against the rows of one problem.

    The rule's own function says what decides; each is about per-seed extremes or exponents, so
    ``seed`` is the unit of all intervals.

    Parameters
    ----------
    audit
        The assumption.
    rows
        The rows of one problem in the table of a measurement of kind ``audits``.
    problem
        How the claim's experiment calls the problem.
    steps
        The step sizes that a :class:`StepRule` is about.

    Raises
    ------
    InvalidArgumentError
        If the table lacks a column.
    """
    require_instance("audit", audit, Audit, "pass an audit, such as those of claims.audits")
    require_table_of_rows("rows", rows)
    require_text("problem", problem)
    if steps is not None:
        require_mapping("steps", steps)
    for column in ("seed", "status", *audit.rule.columns):
        if column not in rows.columns:
            raise InvalidArgumentError(
                "rows",
                f"no column {column!r}, needed by the audit {audit.id!r}",
                nearest(column, map(str, rows.columns)),
            )
    stopped = rows.loc[rows["status"] != "ok"]
    if not stopped.empty:
        names = ", ".join(sorted({repr(str(name)) for name in stopped["status"]}))
        return not_audited(audit, problem, f"{stopped['seed'].nunique()} seeds ended with {names}")
    series = [group for _, group in rows.groupby("seed")]
    if len(series) < 2:
        return not_audited(audit, problem, "an interval needs at least 2 seeds")
    for column in audit.rule.columns:
        if not all(series_of.notna().any() for series_of in (one[column] for one in series)):
            return not_audited(audit, problem, f"no values of {column} here")
    status, reason, constants = RULES[type(audit.rule)](audit.rule, series, steps or {})
    return AuditFinding(audit.id, problem, status, reason, constants)


def not_audited(audit: Audit, problem: str, reason: str) -> AuditFinding:
    """Return the finding that there is no usable evidence."""
    return AuditFinding(audit.id, problem, "not audited", f"{reason}.")


def failures_of(findings: Sequence[AuditFinding]) -> dict[str, dict[str, str]]:
    """Return what was found where an assumption is not met: problem to audit id to reason."""
    failed: dict[str, dict[str, str]] = {}
    for finding in findings:
        if finding.status == "not met":
            failed.setdefault(finding.problem, {})[finding.audit] = finding.reason
    return failed


def audit_growth(rule: GrowthRule, series: Series, steps: Steps) -> Outcome:
    """Judge ``y ** power >= scale * mu * x``.

    ``mu`` is the smallest ratio of a seed. The exponent of ``y ** power`` in ``x`` is fitted, by
    least squares within each level of ``uniform_in``, to the smaller half of the decades of ``x``
    that a seed visits; the exponent of ``mu`` in ``uniform_in`` to the smallest ratio of each
    level. *Not met* when the interval of the first lies above 1 + resolution, or that of the
    second above the resolution; *met* when both intervals lie below.
    """
    found = [_growth_of(rule, one) for one in series]
    if any(one is None for one in found):
        few = f"fewer than {MINIMUM_POINTS} resolved values in the smaller half of the decades"
        return "undecided", f"{few} of {rule.x}, in some seed.", ()
    ratios, exponents, spans, trends = map(np.array, zip(*(f for f in found if f), strict=True))
    constants = [_extreme("mu", ratios, np.min), _average("exponent", exponents)]
    limits = [1 + rule.resolution]
    reason = _shown(constants[0]) + f"; {rule.y}^{rule.power} ~ {rule.x}^{constants[1]:.3g}"
    if rule.uniform_in is not None and np.isfinite(trends).all():
        constants.append(_average(f"exponent of mu in {rule.uniform_in}", trends))
        limits.append(rule.resolution)
        reason += f"; mu ~ {rule.uniform_in}^{constants[2]:.3g}"
    reason += f", at most {1 + rule.resolution:g}"
    reason += f" and {rule.resolution:g} allowed." if len(limits) > 1 else " allowed."
    status = _worst(
        _below(constant, limit) for constant, limit in zip(constants[1:], limits, strict=True)
    )
    if status == "met" and np.median(spans) < MINIMUM_DECADES:
        status = "undecided"
        reason = f"{np.median(spans):.1f} decades of {rule.x} are too few; {reason}"
    return status, reason, tuple(constants)


def _growth_of(rule: GrowthRule, one: pd.DataFrame) -> tuple[float, float, float, float] | None:
    """Return smallest ratio, exponent, decades of the fit and trend of the ratio of a seed."""
    levels = [one]
    if rule.uniform_in is not None:
        levels = [rows for _, rows in one.groupby(rule.uniform_in)]
    covered = variance = span = 0.0
    smallest, places = [], []
    for level in levels:
        rows = level.loc[level[rule.x] >= rule.resolved]
        if rows.empty:
            return None
        log_x = np.log10(rows[rule.x].to_numpy(np.float64))
        # A y of 0 at a positive x is the clearest refutation of all: it must not drop out.
        y = np.maximum(rows[rule.y].to_numpy(np.float64), SMALLEST)
        log_y = rule.power * np.log10(y)
        smallest.append(float((log_y - log_x).min() - np.log10(rule.scale)))
        places.append(0.0 if rule.uniform_in is None else np.log10(rows[rule.uniform_in].iloc[0]))
        small = log_x <= (log_x.min() + log_x.max()) / 2
        if small.sum() < MINIMUM_POINTS:
            return None
        centred = log_x[small] - log_x[small].mean()
        covered += float(centred @ log_y[small])
        variance += float(centred @ centred)
        span = max(span, float(np.ptp(log_x[small])))
    if variance <= 0:
        return None
    trend = float(np.polyfit(places, smallest, 1)[0]) if len(set(places)) > 1 else np.nan
    return 10.0 ** min(smallest), covered / variance, span, trend


def audit_domination(rule: DominationRule, series: Series, steps: Steps) -> Outcome:
    """Judge ``y <= c x + floor``.

    Of each seed the affine majorant ``c, floor >= 0`` of smallest mean, a linear programme. *Not
    met* when the interval of the floor, as a share of the seed's largest ``y``, lies above the
    negligible share; *met* when it lies below.
    """
    factors, shares = map(np.array, zip(*(_majorant(rule, one) for one in series), strict=True))
    slope, floor = _extreme("c", factors, np.max), _average("floor share", shares)
    status = _below(floor, rule.negligible)
    reason = (
        f"{_shown(slope)}; floor {floor:.3g} of the largest {rule.y}, at most "
        f"{rule.negligible:g} allowed."
    )
    return status, reason, (slope, floor)


def _majorant(rule: DominationRule, one: pd.DataFrame) -> tuple[float, float]:
    """Return c and floor / max y."""
    finite = one[[rule.x, rule.y]].dropna().to_numpy(np.float64)
    scale = finite.max(0)
    x, y = (finite / scale).T
    solved = linprog(
        [x.mean(), 1.0], A_ub=-np.column_stack([x, np.ones_like(x)]), b_ub=-y, method="highs"
    )
    factor, floor = solved.x
    return float(factor * scale[1] / scale[0]), max(float(floor), 0.0)


def audit_level(rule: LevelRule, series: Series, steps: Steps) -> Outcome:
    """Judge the smallest value of each seed: *not met* below the level, *met* above it."""
    constant = _extreme("smallest", np.array([one[rule.column].min() for one in series]), np.min)
    status: AuditStatus = "undecided"
    if constant.high < rule.level:
        status = "not met"
    elif constant.low >= rule.level:
        status = "met"
    return status, f"{_shown(constant)}, at least {rule.level:g} needed.", (constant,)


def audit_step(rule: StepRule, series: Series, steps: Steps) -> Outcome:
    """Judge step size times the largest curvature of each seed: *not met* above the limit.

    Descent is a matter of each run, so *met* asks it of the least favourable seed as well.
    """
    curvatures = np.array([one[rule.column].max() for one in series])
    curvature = _extreme("L", curvatures, np.max)
    step = steps.get(rule.step)
    if step is None:
        reason = f"{_shown(curvature)}, but no {rule.step} step is taken."
        return "not audited", reason, (curvature,)
    product = _extreme(f"{rule.step} step times L", step * curvatures, np.max)
    reason = f"{_shown(curvature)}; times the {rule.step} step {step:g}: {product:.3g}, "
    reason += f"less than {rule.limit:g} needed."
    status = _below(product, rule.limit)
    if status == "met" and product.worst >= rule.limit:
        return (
            "undecided",
            f"{reason} The worst seed has {product.worst:.3g}.",
            (curvature, product),
        )
    return status, reason, (curvature, product)


RULES: Mapping[type, Callable[[Any, Series, Steps], Outcome]] = {
    GrowthRule: audit_growth,
    DominationRule: audit_domination,
    LevelRule: audit_level,
    StepRule: audit_step,
}
"""How rules of each type are judged."""


def _below(constant: Constant, limit: float) -> AuditStatus:
    if constant.low > limit:
        return "not met"
    return "met" if constant.high <= limit else "undecided"


def _worst(statuses: Any) -> AuditStatus:
    order: tuple[AuditStatus, ...] = ("not met", "undecided", "met")
    return min(statuses, key=order.index)


def _extreme(
    name: str,
    extremes: Float[np.ndarray, " seeds"],
    worst: Callable[[Float[np.ndarray, " seeds"]], float],
) -> Constant:
    """Return the geometric mean of the seeds' extremes, Student's t on their logarithms."""
    logs = np.log(np.maximum(extremes, SMALLEST))
    mean = mean_interval(logs)
    value, low, high = np.exp([mean.value, mean.low, mean.high]).tolist()
    return Constant(value, low, high, name, float(worst(extremes)))


def _average(name: str, values: Float[np.ndarray, " seeds"]) -> Constant:
    mean = mean_interval(values)
    return Constant(mean.value, mean.low, mean.high, name, float(values.max()))


def _shown(constant: Constant) -> str:
    return f"{constant.name} = {constant:.3g}"
