"""What a comparison of methods found: costs with intervals, exponents against stated rates, profiles."""

from theory_check.analysis.comparison.aggregates import (
    Profile,
    best_of_pairs,
    budget_ratios,
    cost_ratios,
    improvement,
    profile_of,
    standings,
)
from theory_check.analysis.comparison.findings import findings
from theory_check.analysis.comparison.rates import (
    ComparedMethod,
    RateFinding,
    judge_rates,
)
from theory_check.analysis.comparison.results import (
    AccuracyResults,
    ComparisonResults,
    compare,
    median_costs,
    outcomes,
)
from theory_check.analysis.comparison.spread import leaving, tied, variation
from theory_check.analysis.intervals import Interval, median_interval

__all__ = [
    "AccuracyResults",
    "ComparedMethod",
    "ComparisonResults",
    "Interval",
    "Profile",
    "RateFinding",
    "best_of_pairs",
    "budget_ratios",
    "compare",
    "cost_ratios",
    "findings",
    "improvement",
    "judge_rates",
    "leaving",
    "median_costs",
    "median_interval",
    "outcomes",
    "profile_of",
    "standings",
    "tied",
    "variation",
]
