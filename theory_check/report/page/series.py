"""What is drawn of a rate: observations by seed, averages with intervals, fits and what is predicted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from theory_check.analysis.computed_verdicts import ratio_of_means
from theory_check.analysis.decay import GeometricFit
from theory_check.analysis.intervals import mean_interval, median_interval
from theory_check.analysis.power_law import PowerLawFit
from theory_check.analysis.rate_verdict import RateVerdict, rows_of
from theory_check.analysis.replicates import average_band
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
from theory_check.report.page.symbols import plain

MOST_X, MOST_SEEDS = 20, 16
"""Abscissae and seeds that are drawn of a problem; the intervals are those of all seeds."""

SETTINGS = (
    "instance",
    "sigma",
    "solver.sigma",
    "trajectories",
    "inner_steps",
    "iterations",
    "samples",
)
"""Columns that are told of an observation where its table has them: sigma, n, K and what was spent."""

Row = tuple[Any, ...]


@dataclass
class Plot:
    """A rate on all of its problems, ready to be drawn.

    Attributes
    ----------
    name, x_title, y_title
        Of the rate and its axes.
    logarithmic_x, logarithmic_y
        Whether an axis is.
    interval
        What the bars show, in words.
    averages
        ``problem, x, y, low, high, replicates``.
    columns, observations
        Names of what is told of an observation, ``problem, x, y, seed`` first, and those.
    lines
        ``problem, what, x, y``, where ``what`` is ``"fit"`` or ``"theory"``.
    levels
        Horizontal lines of the theory, each with its label.
    band
        Low and high end of what is allowed, where that is an area.
    left_out
        How many seeds of a problem are not drawn, at most.
    """

    name: str
    x_title: str
    y_title: str
    logarithmic_x: bool = True
    logarithmic_y: bool = True
    interval: str = (
        "averages with 95 % intervals over replicates, over instances where the problem is a family"
    )
    averages: list[Row] = field(default_factory=list)
    columns: tuple[str, ...] = ("problem", "x", "y", "seed")
    observations: list[Row] = field(default_factory=list)
    lines: list[Row] = field(default_factory=list)
    levels: list[tuple[float, str]] = field(default_factory=list)
    band: tuple[float, float] | None = None
    left_out: int = 0

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.averages and not self.observations


Value = Callable[[pd.DataFrame], pd.Series]


@dataclass(frozen=True)
class Kind:
    """How rates of one type are drawn.

    Attributes
    ----------
    y
        What is drawn of a row of the table.
    spread
        What the bars are: ``"mean"``, ``"geometric"`` or ``"range"`` from least to most.
    theory
        Adds to a plot what is predicted, for a rate and its verdicts.
    """

    y: Callable[[Any], Value]
    spread: str
    theory: Callable[[Any, Sequence[RateVerdict], Plot], None]


def plot_of(rate: Rate, verdicts: Sequence[RateVerdict], table: pd.DataFrame) -> Plot:
    """Return what is drawn of a rate.

    Parameters
    ----------
    rate
        One of a claim's rates.
    verdicts
        Those on it, one for each problem.
    table
        The table of the claim's experiment.
    """
    kind = KINDS.get(type(rate), OTHERS)
    plot = Plot(rate.name, _horizontal(rate), plain(rate.y_symbol))
    extra = tuple(
        name for name in SETTINGS if name in table.columns and name not in (rate.x, rate.y)
    )
    plot.columns = ("problem", "x", "y", "seed", *extra)
    for verdict in verdicts:
        rows = rows_of(rate, table, verdict.problem)
        if isinstance(rows, str):
            continue
        if isinstance(rate, CurveRate) and rate.average:
            _add_means(plot, rate, verdict.problem, rows)
        else:
            _add_observations(plot, rate, verdict.problem, rows, kind, extra)
    kind.theory(rate, verdicts, plot)
    _choose_scales(plot)
    return plot


def _inverted(rate: Rate) -> bool:
    """Whether 1/x is drawn: where it, and not x, is what grows in the statement."""
    return isinstance(rate, PowerRate) and rate.reciprocal and rate.limit == "zero"


def _horizontal(rate: Rate) -> str:
    symbol = plain(rate.x_symbol)
    if isinstance(rate, PowerRate) and rate.reciprocal and not _inverted(rate):
        return symbol.replace("1/", "")
    return symbol


def _add_observations(
    plot: Plot, rate: Rate, problem: str, rows: pd.DataFrame, kind: Kind, extra: tuple[str, ...]
) -> None:
    """Add what was observed on a problem, and its averages."""
    x = rows[rate.x].to_numpy(dtype=np.float64)
    shown = pd.DataFrame(
        {
            "problem": problem,
            "x": 1 / x if _inverted(rate) else x,
            "y": kind.y(rate)(rows).to_numpy(dtype=np.float64),
            "seed": rows["seed"].to_numpy(),
            **{name: rows[name].to_numpy() for name in extra},
        }
    )
    # An infinite cost is a target that was missed: it has its place among the ranks of a median.
    places = np.unique(shown["x"])
    places = places[
        np.unique(np.linspace(0, places.size - 1, min(places.size, MOST_X)).round().astype(int))
    ]
    shown = shown[shown["x"].isin(places)]
    # Starts on one instance are no replicates of each other: instances are.
    unit = "instance" if "instance" in extra and shown["instance"].notna().all() else "seed"
    for at in places:
        part = shown[shown["x"] == at]
        values = part.groupby(unit)["y"].mean() if unit == "instance" else part["y"]
        centre, low, high = _bars(values.to_numpy(dtype=np.float64), kind.spread)
        if math.isfinite(centre):
            plot.averages.append((problem, float(at), centre, low, high, values.size))
    seeds = np.unique(shown["seed"])
    plot.left_out = max(plot.left_out, seeds.size - MOST_SEEDS)
    drawn = shown[shown["seed"].isin(seeds[:MOST_SEEDS]) & np.isfinite(shown["y"])]
    plot.observations += list(drawn.itertuples(index=False, name=None))


def _add_means(plot: Plot, rate: CurveRate, problem: str, rows: pd.DataFrame) -> None:
    """Add the ratio of means of a statement about them: of single replicates nothing is said."""
    replicates = rows["seed"].nunique()
    found = ratio_of_means(rate, rows)
    plot.averages += [(problem, *each, replicates) for each in found.T.tolist()]


def _bars(values: Float[np.ndarray, " replicates"], spread: str) -> tuple[float, float, float]:
    """Return what is drawn of the values at one x."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return math.nan, math.nan, math.nan
    if spread == "range":
        return float(np.median(finite)), float(finite.min()), float(finite.max())
    if finite.size < values.size:
        found = median_interval(np.where(np.isfinite(values), values, np.inf))
        return found.value, found.low, found.high
    if finite.size < 2:
        return float(finite[0]), math.nan, math.nan
    if (finite > 0).all() and spread in ("mean", "geometric"):
        band = average_band(finite[:, None], "geometric" if spread == "geometric" else "mean")
        return float(band.centre[0]), float(band.low[0]), float(band.high[0])
    found_mean = mean_interval(finite)
    return found_mean.value, found_mean.low, found_mean.high


def _choose_scales(plot: Plot) -> None:
    """Use logarithmic axes where all is positive, and spans a factor that needs them."""
    for axis, column in (("logarithmic_x", 1), ("logarithmic_y", 2)):
        values = np.array(
            [row[column] for row in (*plot.averages, *plot.observations)], dtype=float
        )
        if axis == "logarithmic_y":
            values = np.concatenate([values, [value for value, _ in plot.levels]])
        positive = values.size > 0 and bool((values > 0).all())
        if not positive or (values.max() < 3 * values.min()):
            setattr(plot, axis, False)
    if plot.logarithmic_y and plot.averages:
        # An interval that reaches 0 or below reaches the end of the axis.
        least = min(row[2] for row in (*plot.averages, *plot.observations))
        plot.averages = [
            (*row[:3], least if row[3] <= 0 else row[3], *row[4:]) for row in plot.averages
        ]


def _column(rate: Any) -> Value:
    return lambda rows: rows[rate.y]


def _none(rate: Any, verdicts: Sequence[RateVerdict], plot: Plot) -> None:
    """State nothing: what is predicted stands in the table."""


def _averages(plot: Plot, problem: str) -> tuple[np.ndarray, np.ndarray]:
    rows = [row for row in plot.averages if row[0] == problem]
    return np.array([row[1] for row in rows]), np.array([row[2] for row in rows])


def _power(rate: PowerRate, verdicts: Sequence[RateVerdict], plot: Plot) -> None:
    """Add the fits over their windows, and the predicted slope through the last point of each."""
    exponent = -rate.exponent if rate.reciprocal and not _inverted(rate) else rate.exponent
    for verdict in verdicts:
        x, y = _averages(plot, verdict.problem)
        if not x.size or (y <= 0).any() or (x <= 0).any():
            continue
        if isinstance(verdict.fit, PowerLawFit):
            start, stop = verdict.fit.window
            window = np.sort(verdict.x)[start:stop]
            window = window[[0, *range(1, window.size - 1, max(1, window.size // 12)), -1]]
            curve = verdict.fit.predict(window) + (verdict.fit.floor_level or 0.0)
            _add_line(
                plot, verdict.problem, "fit", 1 / window if _inverted(rate) else window, curve
            )
        towards_zero = (rate.limit == "zero") != _inverted(rate)
        end = int(np.argmin(x) if towards_zero else np.argmax(x))
        ends = np.array([x.min(), x.max()])
        _add_line(plot, verdict.problem, "theory", ends, y[end] * (ends / x[end]) ** exponent)


def _geometric(rate: GeometricRate, verdicts: Sequence[RateVerdict], plot: Plot) -> None:
    """Add a decay by the fitted factor, from the first point."""
    plot.logarithmic_x = False
    for verdict in verdicts:
        x, y = _averages(plot, verdict.problem)
        if not isinstance(verdict.fit, GeometricFit) or not x.size:
            continue
        log_rho = math.log(verdict.fit.rho.value)
        reach = min(x[-1], x[0] + math.log(max(y.min() / y[0], 1e-16)) / log_rho)
        ends = np.array([x[0], reach])
        _add_line(plot, verdict.problem, "fit", ends, y[0] * np.exp(log_rho * (ends - x[0])))


def _attained(rate: AttainedRate, verdicts: Sequence[RateVerdict], plot: Plot) -> None:
    """Add the stated slope through the largest target."""
    for verdict in verdicts:
        x, y = _averages(plot, verdict.problem)
        if x.size:
            ends = np.array([x.max(), x.min()])
            line = y[np.argmax(x)] * (ends / ends[0]) ** -rate.exponent
            _add_line(plot, verdict.problem, "theory", ends, line)


def _schedule(rate: ScheduleRate, verdicts: Sequence[RateVerdict], plot: Plot) -> None:
    plot.y_title += " over its target"
    plot.levels.append((rate.multiple, f"theory: at most {rate.multiple:g}"))


def _inequality(rate: InequalityRate, verdicts: Sequence[RateVerdict], plot: Plot) -> None:
    plot.interval = "medians, from the smallest to the largest seed"
    plot.levels += [
        (bound, f"theory: at {word} {bound:g}")
        for bound, word in ((rate.low, "least"), (rate.high, "most"))
        if bound is not None
    ]


def _curve(rate: CurveRate, verdicts: Sequence[RateVerdict], plot: Plot) -> None:
    plot.y_title += ": bound over measured"
    plot.interval = (
        "ratios of means, with simultaneous 95 % intervals over replicates"
        if rate.average
        else "medians, from the smallest to the largest seed"
    )
    plot.levels.append((1.0, "theory: at least 1"))


def _ratio(rate: RatioRate, verdicts: Sequence[RateVerdict], plot: Plot) -> None:
    plot.levels.append((rate.stated, f"theory: {rate.stated:g}"))
    plot.band = (rate.stated * (1 - rate.within), rate.stated * (1 + rate.within))


def _bound(rate: BoundRate, verdicts: Sequence[RateVerdict], plot: Plot) -> None:
    """Draw the error against what the fitted bound says of it, where it was fitted: the diagonal."""
    plot.averages, plot.observations, plot.columns = [], [], ("problem", "x", "y", "seed")
    plot.x_title, plot.left_out = f"{plain(rate.x_symbol)} bound as fitted", 0
    for verdict in verdicts:
        if not verdict.y.size:
            continue
        for at, column in zip(verdict.x, verdict.y.T, strict=True):
            centre, low, high = _bars(column, "mean")
            plot.averages.append((verdict.problem, float(at), centre, low, high, column.size))
        ends = np.array([verdict.x.min(), verdict.x.max()])
        _add_line(plot, verdict.problem, "theory", ends, ends)


def _add_line(
    plot: Plot, problem: str, what: str, x: Float[np.ndarray, " m"], y: Float[np.ndarray, " m"]
) -> None:
    plot.lines += [
        (problem, what, float(at), float(value))
        for at, value in zip(x, y, strict=True)
        if math.isfinite(value) and value > 0
    ]


OTHERS = Kind(_column, "mean", _none)
"""Of a rate of another type: what was measured against x, without a line of the theory."""

KINDS: Mapping[type, Kind] = {
    PowerRate: Kind(_column, "mean", _power),
    UpperBoundRate: Kind(_column, "mean", _power),
    GeometricRate: Kind(_column, "geometric", _geometric),
    ScheduleRate: Kind(lambda rate: lambda rows: rows[rate.y] / rows[rate.x], "mean", _schedule),
    AttainedRate: Kind(_column, "geometric", _attained),
    BoundRate: Kind(_column, "mean", _bound),
    InequalityRate: Kind(_column, "range", _inequality),
    CurveRate: Kind(
        lambda rate: (
            lambda rows: rate.factor * rows[rate.bound] / rows[rate.y].where(rows[rate.y] > 0)
        ),
        "range",
        _curve,
    ),
    RatioRate: Kind(lambda rate: lambda rows: rows[rate.y] / rows[rate.predicted], "mean", _ratio),
}


def every_problem(plot: Plot) -> Iterator[str]:
    """Yield the problems of a plot, each once."""
    yield from dict.fromkeys(row[0] for row in (*plot.averages, *plot.observations))
