"""Fits, intervals, decay criteria and verdicts: pure functions of tables."""

from theory_check.analysis.audits import AuditFinding, audit_problem
from theory_check.analysis.computed_verdicts import judge_curve_rate, judge_ratio_rate
from theory_check.analysis.decay import (
    DecayComparison,
    GeometricFit,
    compare_decay,
    fit_geometric,
)
from theory_check.analysis.intervals import Interval
from theory_check.analysis.power_law import PowerLawFit, fit_power_law
from theory_check.analysis.power_verdict import judge_power_rate
from theory_check.analysis.rate_verdict import RateVerdict
from theory_check.analysis.replicate_verdicts import judge_geometric_rate
from theory_check.analysis.table_verdict import power_law_verdict, power_law_verdicts
from theory_check.analysis.target_verdicts import judge_attained_rate, judge_schedule_rate
from theory_check.analysis.verdict import Verdict, judge
from theory_check.analysis.window import LackOfFit

__all__ = [
    "AuditFinding",
    "DecayComparison",
    "GeometricFit",
    "Interval",
    "LackOfFit",
    "PowerLawFit",
    "RateVerdict",
    "Verdict",
    "audit_problem",
    "compare_decay",
    "fit_geometric",
    "fit_power_law",
    "judge",
    "judge_attained_rate",
    "judge_curve_rate",
    "judge_geometric_rate",
    "judge_power_rate",
    "judge_ratio_rate",
    "judge_schedule_rate",
    "power_law_verdict",
    "power_law_verdicts",
]
