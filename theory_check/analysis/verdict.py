"""Verdicts: a claim against the table of its experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from theory_check.analysis.audits import AuditFinding
from theory_check.analysis.bound_verdict import judge_bound_rate, terms_stated
from theory_check.analysis.computed_verdicts import (
    Looseness,
    judge_curve_rate,
    judge_ratio_rate,
    ratio_stated,
)
from theory_check.analysis.population import judge_on_units
from theory_check.analysis.power_verdict import judge_power_rate
from theory_check.analysis.rate_verdict import (
    Exponents,
    Numbers,
    RateVerdict,
    Status,
    require_columns,
    require_mapping,
)
from theory_check.analysis.replicate_verdicts import (
    DecayFactor,
    judge_geometric_rate,
    judge_inequality_rate,
    share_needed,
)
from theory_check.analysis.target_verdicts import (
    exponent_stated,
    growth_allowed,
    judge_attained_rate,
    judge_schedule_rate,
)
from theory_check.analysis.upper_bound_verdict import judge_upper_bound_rate
from theory_check.claims.base import CONTROLS, Claim
from theory_check.claims.rates import (
    AttainedRate,
    BoundRate,
    CurveRate,
    GeometricRate,
    InequalityRate,
    PowerRate,
    Rate,
    RatioRate,
    ScheduleRate,
    UpperBoundRate,
)
from theory_check.errors import InvalidArgumentError, require_instance, require_sequence

__all__ = [
    "RateVerdict",
    "Verdict",
    "judge",
    "judge_attained_rate",
    "judge_curve_rate",
    "judge_geometric_rate",
    "judge_inequality_rate",
    "judge_power_rate",
    "judge_ratio_rate",
    "judge_schedule_rate",
]


@dataclass(frozen=True)
class Judge:
    """How rates of one type are judged.

    Attributes
    ----------
    judge
        Of a rate, a table and a problem.
    predicted
        What a rate predicts, for a verdict without a fit.
    """

    judge: Callable[[Any, pd.DataFrame, str], RateVerdict]
    predicted: Callable[[Any], Numbers]


JUDGES: Mapping[type, Judge] = {
    PowerRate: Judge(judge_power_rate, lambda rate: Exponents(float(rate.exponent))),
    UpperBoundRate: Judge(judge_upper_bound_rate, lambda rate: Exponents(float(rate.exponent))),
    GeometricRate: Judge(judge_geometric_rate, lambda rate: DecayFactor()),
    ScheduleRate: Judge(judge_schedule_rate, growth_allowed),
    AttainedRate: Judge(judge_attained_rate, exponent_stated),
    InequalityRate: Judge(judge_inequality_rate, share_needed),
    BoundRate: Judge(judge_bound_rate, terms_stated),
    CurveRate: Judge(judge_curve_rate, lambda rate: Looseness()),
    RatioRate: Judge(judge_ratio_rate, ratio_stated),
}
"""The only place that tells the types of rate apart."""

WORST_FIRST: tuple[Status, ...] = (
    "violated",
    "assumption not met",
    "inconclusive",
    "tight",
    "holds",
    "faster",
)


@dataclass(frozen=True)
class Verdict:
    """What a table says about a claim.

    Attributes
    ----------
    claim
        The claim judged.
    status
        Worst status of any rate on any problem, in the order violated, assumption not met,
        inconclusive, tight, holds, faster; so ``"faster"`` means faster everywhere.
    reason
        One sentence with the numbers of the rate that decided.
    rates
        Every rate on every problem.
    audits
        What was found of the assumptions the claim rests on, one for each problem and audit.
    """

    claim: Claim
    status: Status
    reason: str
    rates: tuple[RateVerdict, ...]
    audits: tuple[AuditFinding, ...] = ()

    def __repr__(self) -> str:
        """Say on one line what is judged, and how."""
        return (
            f"<Verdict {self.claim.id}: {self.status}, of {len(self.rates)} rates; {self.reason}>"
        )

    @property
    def measured(self) -> tuple[Mapping[str, object], ...]:
        """Measured numbers, one record per problem and rate."""
        return tuple(
            {"problem": rate.problem, "rate": rate.rate, **rate.measured} for rate in self.rates
        )

    @property
    def predicted(self) -> tuple[Mapping[str, object], ...]:
        """Predicted numbers, one record per problem and rate."""
        return tuple(
            {"problem": rate.problem, "rate": rate.rate, **rate.predicted} for rate in self.rates
        )

    @property
    def evidence(self) -> tuple[Mapping[str, object], ...]:
        """Fits, windows, decades and audits behind the status, one record per problem and rate."""
        return tuple(
            {
                **rate.evidence,
                **({"population": rate.population} if rate.population else {}),
                **({"spread": rate.spread} if rate.spread else {}),
                "status": rate.status,
                "reason": rate.reason,
                "audits": {
                    finding.audit: finding.status
                    for finding in self.audits
                    if finding.problem == rate.problem
                },
            }
            for rate in self.rates
        )

    @property
    def passed(self) -> bool:
        """Whether the suite succeeds: a claim not violated, or a negative control caught.

        A negative control is caught when every rate is found as expected on every problem. An open
        statement cannot fail the suite, whatever is found of it.
        """
        if self.claim.expected in CONTROLS:
            return bool(self.rates) and not _uncaught(self.claim, self.rates)
        return self.claim.expected == "open" or self.status != "violated"

    def to_dict(self) -> dict[str, object]:
        """Return everything but the fits, ready for JSON."""
        return {
            "claim": self.claim.id,
            "statement": self.claim.statement,
            "source": self.claim.source,
            "provenance": self.claim.provenance,
            "kind": self.claim.kind,
            "otherwise": self.claim.otherwise,
            "finding": self.claim.finding,
            "expected": self.claim.expected,
            "status": self.status,
            "passed": self.passed,
            "reason": self.reason,
            "measured": [dict(record) for record in self.measured],
            "predicted": [dict(record) for record in self.predicted],
            "evidence": [dict(record) for record in self.evidence],
            "audits": [finding.to_dict() for finding in self.audits],
        }


def judge(
    claim: Claim,
    table: pd.DataFrame,
    failed_audits: Mapping[str, Mapping[str, str]] | None = None,
    findings: Sequence[AuditFinding] = (),
    families: Mapping[str, str] | None = None,
) -> Verdict:
    """Judge every rate of a claim on every problem of a table.

    Parameters
    ----------
    claim
        What is judged.
    table
        Tidy: columns ``problem``, ``seed``, those the rates name, and optionally ``status`` and, where a
        problem is a family, ``instance``, which is then the unit of resampling.
    failed_audits
        Assumptions found not to hold: problem to audit to what was found. On these problems no
        rate is fitted, and the status of each is ``"assumption not met"``.
    findings
        All audits, to be kept with the verdict.
    families
        What the instances of a problem that is a family are, in words.

    Raises
    ------
    InvalidArgumentError
        If the table is empty, lacks a column, or has several rows for one seed and x.
    """
    require_instance(
        "claim", claim, Claim, "pass a claim, such as those of Catalogue.installed().claims"
    )
    for argument, given in (("failed_audits", failed_audits), ("families", families)):
        if given is not None:
            require_mapping(argument, given)
    for problem, found in (failed_audits or {}).items():
        require_mapping(f"failed_audits[{problem!r}]", found)
    for finding in require_sequence("findings", findings):
        require_instance("findings", finding, AuditFinding, "pass what audit_problem returns")
    for rate in claim.rates:
        require_columns(rate, table)
    if table.empty:
        raise InvalidArgumentError("table", "no rows", f"run experiment {claim.experiment!r}")
    problems = [str(problem) for problem in table["problem"].unique()]
    failed = failed_audits or {}
    judged = tuple(
        _unjudged(rate, problem, failed[problem])
        if failed.get(problem)
        else judge_on_units(
            rate, table, problem, JUDGES[type(rate)].judge, (families or {}).get(problem, "")
        )
        for problem in problems
        for rate in claim.rates
    )
    deciding = min(judged, key=lambda rate: WORST_FIRST.index(rate.status))
    alike = sum(rate.status == deciding.status for rate in judged)
    reason = (
        f"{alike} of {len(judged)} are {deciding.status}; "
        f"{deciding.problem}, {deciding.rate}: {deciding.reason}"
    )
    uncaught = _uncaught(claim, judged)
    if claim.expected in CONTROLS and uncaught:
        names = "; ".join(f"{rate.problem}, {rate.rate}: {rate.status}" for rate in uncaught)
        reason = f"not caught everywhere ({names}). {reason}"
    return Verdict(claim, deciding.status, reason, judged, tuple(findings))


def _uncaught(claim: Claim, rates: Sequence[RateVerdict]) -> list[RateVerdict]:
    return [rate for rate in rates if rate.status != claim.expected]


def _unjudged(rate: Rate, problem: str, failed: Mapping[str, str]) -> RateVerdict:
    found = "; ".join(f"{name}: {what}" for name, what in failed.items())
    numbers = JUDGES[type(rate)].predicted(rate)
    evidence = {"problem": problem, "rate": rate.name, "failed_audits": dict(failed)}
    reason = f"not judged, {found}"
    return RateVerdict(rate.name, problem, "assumption not met", reason, numbers, evidence)
