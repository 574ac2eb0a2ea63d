"""Verdicts on a table of one's own: an exponent that is predicted against the one in the rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from theory_check.analysis.power_verdict import ORDERS, judge_power_rate
from theory_check.analysis.rate_verdict import RateVerdict, require_mapping, require_table_of_rows
from theory_check.claims.rates import PowerRate
from theory_check.errors import (
    InvalidArgumentError,
    listed,
    nearest,
    require_choice,
    require_finite,
    require_text,
    shortened,
)

Direction = Literal["upper", "lower", "two-sided"]

RESOLUTION = 0.1
"""Half-width of the band around a predicted exponent where none is declared."""

NEAREST_RIVAL = 0.5
"""Distance of the rivals where none are named: the powers of the field are half-integers."""

SEED = "seed"
"""Column of replicates where none is named."""

WHOLE = "the table"


def power_law_verdict(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    predicted: float,
    direction: Direction = "upper",
    limit: Literal["zero", "infinity"] | None = None,
    resolution: float | None = None,
    rivals: Sequence[float] = (),
    seed: str | None = None,
    where: Mapping[str, object] | None = None,
    floor: Literal["allowed", "unjudged", "refutes"] = "unjudged",
    correction: Literal["none", "linear", "quadratic"] = "none",
    units: Literal["norm", "squared norm", "value"] = "value",
) -> RateVerdict:
    """Judge ``y ~ x ** predicted`` on a table, as :func:`judge_power_rate` judges those of claims.

    Parameters
    ----------
    table
        One row per replicate and value of ``x``. A column ``status``, as in the table of a trace, makes
        the verdict inconclusive where a row has another than ``"ok"``: leaving such rows out would
        favour the statement.
    x, y
        Columns of positive numbers, in any units.
    predicted
        Exponent of ``y`` in ``x``.
    direction
        ``"upper"``: ``y = O(x ** predicted)``, and a ``y`` that is smaller yet at the limit is *faster*.
        ``"lower"``: ``y`` is at least of that order, and *holds* where it is larger yet.
        ``"two-sided"``: both, and another exponent on either side is *violated*.
    limit
        Where the statement is asymptotic, ``x`` towards ``"zero"`` or ``"infinity"``. When absent,
        where ``y`` vanishes as predicted: zero for a positive exponent, infinity for others. A ``y``
        that grows towards the limit, as samples do while an accuracy falls, needs it named.
    resolution
        Half-width of the band around ``predicted`` inside which a difference is not judged; declare it
        before measuring. At most a quarter of the gap to the nearest rival; 0.1, or that quarter where
        it is less, when absent.
    rivals
        Exponents of other explanations; half a power to either side, or four resolutions where
        that is more, when absent.
    seed
        Column that tells replicates apart: independent repetitions of the whole curve, over which
        intervals are taken. When absent, the column ``seed``; without one, the k-th rows of all values
        of ``x`` are replicate k, which is right where rows are independent of each other.
    where
        Rows that are meant: column to required value.
    floor, correction
        As in :class:`~theory_check.claims.rates.PowerRate`.
    units
        Of ``y``: with ``"norm"`` or ``"squared norm"`` exponents are reported in both.

    Returns
    -------
    RateVerdict
        ``status``, ``reason`` and ``measured``; ``evidence["population"]`` says what the replicates
        are, ``evidence["limit"]`` and ``evidence["direction"]`` what was judged.

    Raises
    ------
    InvalidArgumentError
        For a column that is not there or holds no numbers, several rows of one replicate at one ``x``,
        or a band that reaches towards a rival.
    """
    rate = _rate(x, y, predicted, direction, limit, resolution, rivals, floor, correction, units)
    judged, population = _replicates(rate, _selected(table, where), seed)
    verdict = judge_power_rate(rate, judged, WHOLE)
    evidence = {"population": population, "limit": rate.limit, "direction": direction}
    status, reason = verdict.status, verdict.reason
    if status == "faster" and direction != "upper":
        # The judge calls the far side of the prediction the better one; these statements do not.
        both = direction == "two-sided"
        side = "above" if rate.better == "larger" else "below"
        meaning = "and the statement is two-sided" if both else "which the lower bound allows"
        numbers = reason.rpartition(": ")[0]
        status = "violated" if both else "holds"
        reason = f"{numbers}: the whole interval is {side} the band, {meaning}."
    return replace(
        verdict,
        status=status,
        reason=f"{reason} Judged for {x} towards {rate.limit}.",
        evidence={**verdict.evidence, **evidence},
        population=population,
    )


def power_law_verdicts(
    table: pd.DataFrame, by: str | Sequence[str], **statement: Any
) -> dict[Hashable, RateVerdict]:
    """Judge the same on every group of rows.

    Parameters
    ----------
    table
        As in :func:`power_law_verdict`.
    by
        Column, or columns, whose values tell the groups apart, such as ``"problem"``.
    statement
        What is judged of each: the other arguments of :func:`power_law_verdict`.

    Returns
    -------
    dict
        A verdict for the value of each group, or for the tuple of its values where ``by`` is a list; in
        the order in which they appear.

    Raises
    ------
    InvalidArgumentError
        As :func:`power_law_verdict`, and for groups that the table does not name.
    """
    rows = _selected(table, statement.pop("where", None))
    remedy = "pass the name of a column, or a list of names"
    columns = [by] if isinstance(by, str) else listed("by", by, remedy)
    if not columns:
        raise InvalidArgumentError("by", "no column", f"{remedy}, or use power_law_verdict")
    for column in columns:
        require_text("by", column)
        _require_column("by", column, rows)
        _require_named(column, rows)
    groups = rows.groupby(columns[0] if isinstance(by, str) else columns, sort=False)
    return {value: _called(power_law_verdict(part, **statement), value) for value, part in groups}


def _called(verdict: RateVerdict, group: Hashable) -> RateVerdict:
    """Return a verdict with the name of its group."""
    name = ", ".join(map(str, group)) if isinstance(group, tuple) else str(group)
    return replace(verdict, problem=name, evidence={**verdict.evidence, "problem": name})


def _rate(
    x: str,
    y: str,
    predicted: float,
    direction: Direction,
    limit: Literal["zero", "infinity"] | None,
    resolution: float | None,
    rivals: Sequence[float],
    floor: Literal["allowed", "unjudged", "refutes"],
    correction: Literal["none", "linear", "quadratic"],
    units: Literal["norm", "squared norm", "value"],
) -> PowerRate:
    """Return the rate that is stated."""
    for argument, column in (("x", x), ("y", y)):
        require_text(argument, column)
        if column in ("problem", SEED, "status"):
            raise InvalidArgumentError(argument, repr(column), "name a column that is measured")
    if x == y:
        raise InvalidArgumentError("y", repr(y), "name another column than that of x")
    require_finite("predicted", predicted)
    require_choice("direction", direction, get_args(Direction))
    require_choice("floor", floor, ("allowed", "unjudged", "refutes"))
    require_choice("correction", correction, ORDERS)
    require_choice("units", units, ("norm", "squared norm", "value"))
    exponent = float(predicted)
    if limit is None:
        limit = "zero" if exponent > 0 else "infinity"
    require_choice("limit", limit, ("zero", "infinity"))
    named = listed("rivals", rivals, "pass a list of exponents")
    for rival in named:
        require_finite("rivals", rival)
    if resolution is not None:
        require_finite("resolution", resolution)
    others = tuple(map(float, named)) or _default_rivals(exponent, resolution)
    if resolution is None:
        gaps = [abs(rival - exponent) / 4 for rival in others if rival != exponent]
        resolution = min([RESOLUTION, *gaps])
    smaller_is_better = (limit == "infinity") != (direction == "lower")
    return PowerRate(
        name=f"{y} in {x}",
        x=x,
        y=y,
        exponent=exponent,
        reciprocal=False,
        limit=limit,
        better="smaller" if smaller_is_better else "larger",
        resolution=float(resolution),
        rivals=others,
        y_units=units,
        x_symbol=x,
        y_symbol=y,
        floor=floor,
        correction=correction,
    )


def _default_rivals(exponent: float, resolution: float | None) -> tuple[float, float]:
    gap = NEAREST_RIVAL if resolution is None else max(NEAREST_RIVAL, 4 * abs(resolution))
    return exponent - gap, exponent + gap


def _selected(table: pd.DataFrame, where: Mapping[str, object] | None) -> pd.DataFrame:
    """Return the rows that are meant."""
    require_table_of_rows("table", table)
    require_mapping("where", {} if where is None else where)
    rows = table
    for column, value in (where or {}).items():
        _require_column("where", column, table)
        rows = rows[rows[column] == value]
    if rows.empty:
        conditions = ", ".join(f"{key} = {value!r}" for key, value in (where or {}).items())
        received = f"no rows{f' with {conditions}' if conditions else ''}"
        raise InvalidArgumentError("table", received, "pass rows to judge")
    return rows


def _require_column(argument: str, column: Any, table: pd.DataFrame) -> None:
    if column not in table.columns:
        raise InvalidArgumentError(
            argument,
            f"{shortened(column)}, which is no column of the table",
            nearest(str(column), map(str, table.columns)),
        )


def _require_named(column: str, table: pd.DataFrame) -> None:
    missing = int(table[column].isna().sum())
    if missing:
        remedy = "fill them in, or leave these rows out"
        raise InvalidArgumentError("table", f"{missing} rows without a {column!r}", remedy)


def _replicates(rate: PowerRate, rows: pd.DataFrame, seed: str | None) -> tuple[pd.DataFrame, str]:
    """Return the rows as the judge takes them, and what their replicates are."""
    if seed is not None:
        require_text("seed", seed)
        _require_column("seed", seed, rows)
    for argument, measured in (("x", rate.x), ("y", rate.y)):
        _require_column(argument, measured, rows)
    x, y = (_numbers(argument, rows[getattr(rate, argument)]) for argument in ("x", "y"))
    if not np.isfinite(x).all():
        received = f"{int((~np.isfinite(x)).sum())} rows without a finite {rate.x!r}"
        raise InvalidArgumentError("table", received, "leave them out by `where`")
    column = seed or (SEED if SEED in rows.columns else None)
    if column in (rate.x, rate.y):
        argument = "x" if column == rate.x else "y"
        remedy = "pass seed=, the column that tells replicates apart"
        raise InvalidArgumentError(argument, f"{column!r}, the column of replicates", remedy)
    if column is None:
        codes = pd.Series(x).groupby(x).cumcount().to_numpy()
        count = int(codes.max()) + 1
        population = (
            f"{count} replicates: without a column {SEED!r}, the k-th rows of all values of {rate.x} "
            "are replicate k"
        )
    else:
        _require_named(column, rows)
        codes, values = pd.factorize(rows[column])
        if pd.api.types.is_integer_dtype(rows[column]):
            codes = rows[column].to_numpy()
        population = f"{len(values)} replicates, one per value of {column!r}"
    judged = pd.DataFrame({"problem": WHOLE, "seed": codes, rate.x: x, rate.y: y})
    if "status" in rows.columns:
        judged["status"] = rows["status"].to_numpy()
    repeated = judged.duplicated(["seed", rate.x], keep=False).to_numpy()
    if repeated.any():
        raise InvalidArgumentError(
            "table",
            f"several rows of one replicate at one {rate.x}",
            f"{_what_differs(rows[repeated], {rate.x, rate.y, column})}; select rows by `where`, judge "
            "groups by power_law_verdicts(table, by=...), or name the column of replicates by `seed`",
        )
    return judged, population


def _numbers(argument: str, column: pd.Series) -> np.ndarray:
    """Return a column as floats."""
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        received = f"{column.name!r}, a column of {column.dtype}"
        raise InvalidArgumentError(argument, received, "name a column of numbers") from error


def _what_differs(rows: pd.DataFrame, known: set[str | None]) -> str:
    """Name the columns that tell repeated rows apart."""
    found = [str(name) for name in rows.columns if name not in known and _few(rows[name])]
    return f"they differ in {', '.join(found[:5])}" if found else "they differ in no other column"


def _few(column: pd.Series) -> bool:
    """Whether a column has several values, and so few that they may name groups."""
    return 1 < column.astype(str).nunique() <= max(2, len(column) // 2)
