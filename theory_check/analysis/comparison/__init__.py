"""What a comparison of methods found: costs with intervals, exponents against stated rates, profiles."""

from theory_check.analysis.comparison.findings import findings
from theory_check.analysis.comparison.rates import (
    ComparedMethod,
    RateFinding,
    judge_rates,
)
from theory_check.analysis.comparison.results import (
    ComparisonResults,
    Profile,
    compare,
    median_costs,
    outcomes,
    performance_profile,
)
from theory_check.analysis.intervals import Interval, median_interval

__all__ = [
    "ComparedMethod",
    "ComparisonResults",
    "Interval",
    "Profile",
    "RateFinding",
    "compare",
    "findings",
    "judge_rates",
    "median_costs",
    "median_interval",
    "outcomes",
    "performance_profile",
]
