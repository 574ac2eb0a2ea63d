"""How many neural runs reach the global value, what they have learned, and why the others have not."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from theory_check.analysis.conclusions.base import Conclusion
from theory_check.analysis.inequality_verdict import clopper_pearson
from theory_check.analysis.verdict import Verdict

ABSOLUTE, RELATIVE = 1e-3, 1e-2
# A run away from the optimum is at a stationary point where ‖∇Phi‖² has fallen to this share of its
# start, and is slow where it has not.
STATIONARY = 1e-4


def reached(rows: pd.DataFrame) -> pd.Series:
    """Return whether each run ended within both tolerances, as a boolean column."""
    return (rows["optimality_gap"] <= ABSOLUTE) & (rows["relative_gap"] <= RELATIVE)


def attained(rows: pd.DataFrame) -> bool:
    """Return whether the optimum that gaps are measured from is certified."""
    return bool((rows["status"] != "optimum not certified").all())


def compose(verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return one sentence per problem and width."""
    groups = tables["global-optimality"].groupby(["problem", "width"], sort=False)
    return [_sentence(str(problem), str(width), rows) for (problem, width), rows in groups]


def _sentence(problem: str, width: str, rows: pd.DataFrame) -> str:
    arrived = reached(rows)
    low, high = clopper_pearson(int(arrived.sum()), len(rows))
    name = "Phi*" if attained(rows) else "the lowest value known (no optimum is certified)"
    text = (
        f"{problem}, width {width}: {int(arrived.sum())} of {len(rows)} runs ({arrived.mean():.2f} "
        f"[{low:.2f}, {high:.2f}]) end within {ABSOLUTE:g} nats and {RELATIVE:.0%} of the start of {name}"
    )
    if arrived.any():
        text += f", at a median reward error of {rows.loc[arrived, 'reward_error'].median():.2g}"
    away = rows[~arrived]
    if away.empty:
        return f"{text}."
    # A run that stopped before its end has a row without measurements.
    ended = away[away["optimality_gap"].notna()]
    cut = len(away) - len(ended)
    stopped = f"; stopped before their end: {cut}" if cut else ""
    if ended.empty:
        return f"{text}{stopped}."
    still = int((ended["stationarity"] <= STATIONARY * ended["initial_stationarity"]).sum())
    return (
        f"{text}; of the other {len(ended)}, {still} are stationary (‖∇Phi‖² below {STATIONARY:g} of its "
        f"start) and {len(ended) - still} still moving, at a median gap of "
        f"{ended['optimality_gap'].median():.2g} nats{stopped}."
    )


CONCLUSION = Conclusion("global-optimality", ("global-optimality",), compose)
