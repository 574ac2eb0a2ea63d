"""What an interval speaks about: starts on one problem, or instances of a family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from theory_check.analysis.decay import GeometricFit
from theory_check.analysis.power_law import PowerLawFit
from theory_check.analysis.rate_verdict import RateVerdict
from theory_check.claims.rates import (
    AttainedRate,
    CurveRate,
    GeometricRate,
    InequalityRate,
    PowerRate,
    Rate,
    RatioRate,
    ScheduleRate,
)
from theory_check.errors import InvalidArgumentError

INSTANCE = "instance"
"""Column that numbers the instances of a family; missing, or without a value, on a fixed problem."""

Judge = Callable[[Rate, pd.DataFrame, str], RateVerdict]


def judge_on_units(
    rate: Rate, table: pd.DataFrame, problem: str, judge: Judge, family: str = ""
) -> RateVerdict:
    """Judge a rate with the unit that the table has: starts, or instances of a family.

    The verdict gets ``population``, what the intervals speak about, and, for rates that are fitted,
    ``spread``: the standard deviation over units of the exponent (of rho for a geometric
    rate), ``"between instances"`` and ``"between starts"``.

    Parameters
    ----------
    rate, table, problem
        What is judged.
    judge
        How; it takes ``seed`` as the unit.
    family
        What the instances are, in words.
    """
    rows = _rows(rate, table, problem)
    drawn = rows[rows[INSTANCE].notna()] if INSTANCE in rows else rows.iloc[:0]
    if drawn.empty:
        verdict, curves = judge(rate, table, problem), None
        starts = rows["seed"].nunique()
        population = _on_one_problem(rate, starts)
    else:
        verdict = judge(rate, unit_table(rate, drawn), problem)
        curves = _curves(rate, drawn)
        instances = drawn[INSTANCE].nunique()
        starts = int(drawn.groupby(INSTANCE)["seed"].nunique().max())
        population = (
            f"{instances} random {family or 'instances'}, {_number(starts, 'random start')} each"
        )
    return replace(verdict, population=population, spread=_spread(verdict, curves))


def _on_one_problem(rate: Rate, replicates: int) -> str:
    """Return what the replicates of a fixed problem are."""
    if isinstance(rate, AttainedRate):
        return f"{_number(replicates, 'replicate')} tuned apart, on one problem"
    if isinstance(rate, ScheduleRate):
        return f"{_number(replicates, 'run')} on one problem"
    return f"{_number(replicates, 'random start')} on one instance"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _rows(rate: Rate, table: pd.DataFrame, problem: str) -> pd.DataFrame:
    selected = table["problem"] == problem
    for column, value in rate.where.items():
        selected &= table[column] == value
    return table.loc[selected]


def unit_table(rate: Rate, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of a family with the instance as ``seed``, starts averaged within each.

    An inequality, or a curve that bounds every row, is kept by an instance if all of its starts keep it,
    so nothing is averaged there; of a ratio, numerator and denominator are. A
    start whose ``status`` is not ``"ok"`` leaves its status to the instance.

    Parameters
    ----------
    rate
        What is to be judged.
    rows
        Columns ``problem, instance, seed``, those the rate names, and optionally ``status``.

    Raises
    ------
    InvalidArgumentError
        For a rate whose judge takes more than one column of a start, or for starts of one instance
        that lack a row.
    """
    if isinstance(rate, InequalityRate) or (isinstance(rate, CurveRate) and not rate.average):
        return rows.assign(seed=rows[INSTANCE])
    averaged = _averaged(rate)
    if not averaged:
        raise InvalidArgumentError(
            "table",
            f"instances of a family for the rate {rate.name!r}",
            "judge bounds, schedules and costs on fixed problems",
        )
    keys = ["problem", INSTANCE, rate.x, *rate.where]
    counted = rows.groupby(INSTANCE)["seed"].nunique()
    sizes = rows.groupby([INSTANCE, rate.x])["seed"].agg(["size", "nunique"])
    expected = counted.reindex(sizes.index.get_level_values(INSTANCE)).to_numpy()
    columns = {
        column: (column, lambda values: float(np.mean(values.to_numpy()))) for column in averaged
    }
    if "status" in rows:
        columns["status"] = ("status", _worst)  # type: ignore[assignment]
        if (rows["status"] != "ok").any():
            return rows.groupby(keys, as_index=False).agg(**columns).assign(seed=_seeds)
    if (sizes["size"] != expected).any() or (sizes["nunique"] != expected).any():
        raise InvalidArgumentError(
            "table",
            f"starts with missing or repeated {rate.x}",
            f"select one row per start and {rate.x} by `where` of the rate {rate.name!r}",
        )
    return rows.groupby(keys, as_index=False).agg(**columns).assign(seed=_seeds)


def _averaged(rate: Rate) -> tuple[str, ...]:
    """Return the columns that are averaged over the starts of an instance; none where it says nothing."""
    if isinstance(rate, PowerRate | GeometricRate):
        return (rate.y,)
    if isinstance(rate, CurveRate):
        return rate.y, rate.bound
    return (rate.y, rate.predicted) if isinstance(rate, RatioRate) else ()


def _seeds(table: pd.DataFrame) -> pd.Series[int]:
    return table[INSTANCE].astype(np.int64)


def _worst(statuses: pd.Series[str]) -> str:
    failed = statuses[statuses != "ok"]
    return "ok" if failed.empty else str(failed.iloc[0])


def _curves(rate: Rate, rows: pd.DataFrame) -> Float[np.ndarray, "instance start m"] | None:
    """Return every start's curve, None where they cannot be fitted side by side."""
    if not isinstance(rate, PowerRate | GeometricRate):
        return None
    wide = rows.pivot(index=[INSTANCE, "seed"], columns=rate.x, values=rate.y)
    counts = wide.groupby(level=0).size()
    if counts.nunique() != 1:
        return None
    ordered = wide.sort_index(axis=0).sort_index(axis=1).to_numpy(dtype=np.float64)
    return ordered.reshape(len(counts), -1, wide.shape[1])


def _spread(
    verdict: RateVerdict, curves: Float[np.ndarray, "instance start m"] | None
) -> dict[str, float]:
    """Return standard deviations of the exponent, or of rho, over units and over starts within them."""
    fit, order = verdict.fit, np.argsort(verdict.x)
    if not isinstance(fit, PowerLawFit | GeometricFit) or len(verdict.y) < 2:
        return {}
    x, y = verdict.x[order], verdict.y[:, order]
    if (y <= 0).any():
        return {}
    if isinstance(fit, PowerLawFit):
        windows, abscissa = [fit.window] * len(y), np.log(x)
    else:
        windows, abscissa = list(fit.usable), x
    units = np.array(
        [_rate_of(abscissa, row, window, fit) for row, window in zip(y, windows, strict=True)]
    )
    name = "between starts" if curves is None else "between instances"
    found = {name: float(units.std(ddof=1))}
    if curves is None or curves.shape[1] < 2 or (curves <= 0).any():
        return found
    starts = np.array(
        [
            [_rate_of(abscissa, row, window, fit) for row in instance]
            for instance, window in zip(curves, windows, strict=True)
        ]
    )
    within = starts.var(axis=1, ddof=1).mean()
    return {**found, "between starts": float(np.sqrt(within))}


def _rate_of(
    abscissa: Float[np.ndarray, " m"],
    curve: Float[np.ndarray, " m"],
    window: tuple[int, int],
    fit: PowerLawFit | GeometricFit,
) -> float:
    """Return the least-squares exponent of one curve over a window, or its factor per step."""
    shown = slice(*window)
    slope = float(np.polyfit(abscissa[shown], np.log(curve[shown]), 1)[0])
    return slope if isinstance(fit, PowerLawFit) else float(np.exp(slope))
