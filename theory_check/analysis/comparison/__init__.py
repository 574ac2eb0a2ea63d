"""What a comparison of methods found: costs with intervals, exponents against stated rates, profiles."""

from theory_check.analysis.comparison.costs import median_costs, median_interval
from theory_check.analysis.comparison.findings import findings
from theory_check.analysis.comparison.outcomes import outcomes
from theory_check.analysis.comparison.profile import Profile, performance_profile
from theory_check.analysis.comparison.rates import RateFinding, judge_rates
from theory_check.analysis.comparison.records import ComparedMethod, Interval
from theory_check.analysis.comparison.results import ComparisonResults, compare

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
