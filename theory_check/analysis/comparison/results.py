"""Everything that is computed from a comparison, for tables, figures and findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from theory_check.analysis.comparison.costs import median_costs
from theory_check.analysis.comparison.outcomes import outcomes
from theory_check.analysis.comparison.profile import Profile, performance_profile
from theory_check.analysis.comparison.rates import RateFinding, judge_rates
from theory_check.analysis.comparison.records import ComparedMethod


@dataclass(frozen=True, eq=False)
class ComparisonResults:
    """A comparison, analysed.

    Attributes
    ----------
    methods
        The methods that take part, by id.
    costs
        As from :func:`~theory_check.analysis.comparison.median_costs`; empty without runs to an
        accuracy.
    rates
        A verdict per problem and method.
    outcomes, shift
        As from :func:`~theory_check.analysis.comparison.outcomes`: of the runs to an accuracy, and
        of those under distribution shift, which use all of their iterations; empty without such
        runs.
    profile
        Of the sampled methods; None without any.
    """

    methods: Mapping[str, ComparedMethod]
    costs: pd.DataFrame
    rates: tuple[RateFinding, ...]
    outcomes: pd.DataFrame
    profile: Profile | None
    shift: pd.DataFrame


def compare(
    table: pd.DataFrame,
    shift: pd.DataFrame,
    methods: Mapping[str, ComparedMethod],
    objectives: Mapping[str, str],
) -> ComparisonResults:
    """Analyse a comparison.

    Parameters
    ----------
    table
        Runs that end at an accuracy, one row per seed and target; may be empty.
    shift
        Runs that use all of their iterations, in the same columns; may be empty.
    methods
        The methods by id.
    objectives
        The upper objective of every problem of ``table``, ``""`` where it has none.
    """
    empty = pd.DataFrame()
    costs = empty if table.empty else median_costs(table)
    return ComparisonResults(
        methods=methods,
        costs=costs,
        rates=() if table.empty else judge_rates(table, methods, objectives),
        outcomes=empty if table.empty else outcomes(table),
        profile=None if costs.empty else performance_profile(costs),
        shift=empty if shift.empty else outcomes(shift),
    )
