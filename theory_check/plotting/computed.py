"""Computed curves and ratios: how far a bound lies above what was measured, a ratio with its band."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from theory_check.analysis import Verdict
from theory_check.analysis.computed_verdicts import Looseness, Ratios, simultaneous
from theory_check.claims.rates import CurveRate, RatioRate
from theory_check.plotting.numbers import general, interval, label_sparsely
from theory_check.plotting.style import STYLE, SeriesStyle, draw_level, problem_styles

LARGEST_END = 1e3
"""Where an interval of a ratio is cut."""


def draw_curve_rate(
    axes: Axes, verdict: Verdict, rate: CurveRate, table: pd.DataFrame, *, logarithmic: bool = True
) -> None:
    """Draw a bound over what was measured against x, all problems; below 1 the bound is broken.

    Markers are the smallest ratio over seeds at each x, the line through the pale area the median, the
    area reaches from the smallest to the largest. Of a statement about means, markers are the ratio of
    means, with the simultaneous 95 % interval of their difference. The legend has the smallest and the
    median ratio of all rows, and how the bound was judged.

    Parameters are those of :func:`theory_check.plotting.power.draw_power_rate`, and

    Parameters
    ----------
    table
        The table that it was judged on.
    logarithmic
        Whether x is on a logarithmic axis.
    """
    judged = [found for found in verdict.rates if found.rate == rate.name]
    styles = problem_styles([found.problem for found in judged])
    with plt.rc_context(STYLE):
        for found in judged:
            style, numbers = styles[found.problem], found.numbers
            assert isinstance(numbers, Looseness)
            rows = table.loc[table["problem"] == found.problem]
            for column, value in rate.where.items():
                rows = rows.loc[rows[column] == value]
            label = f"{found.problem}: {found.status}"
            if numbers.estimate is not None:
                smallest = general(numbers.estimate.value, 3)
                label += f", {smallest}, {general(numbers.median, 3)}"
            if rate.average:
                _draw_means(axes, rate, rows, style, label)
                continue
            rows = rows.loc[rows[rate.y] > 0]
            ratio = (rate.factor * rows[rate.bound] / rows[rate.y]).groupby(rows[rate.x])
            least, middle, most = ratio.min(), ratio.median(), ratio.max()
            x = least.index.to_numpy(dtype=np.float64)
            axes.fill_between(x, least, most, color=style.colour, alpha=0.12, linewidth=0)
            axes.plot(x, middle, color=style.colour, linewidth=0.7)
            shown = np.unique(np.linspace(0, x.size - 1, min(x.size, 24)).round().astype(int))
            axes.plot(
                x[shown],
                least.to_numpy()[shown],
                style.marker,
                color=style.colour,
                markersize=2.4,
                label=label,
            )
        axes.set(xscale="log" if logarithmic else "linear", yscale="log")
        axes.set(xlabel=rate.x_symbol, ylabel=f"{rate.y_symbol}:\nbound / measured")
        if logarithmic:
            label_sparsely(axes.xaxis)
        # Room for the label of the level below it, and for a legend above the curves.
        low, high = axes.get_ylim()
        reach = max(high / low, 4.0)
        axes.set_ylim(min(low, 1.0) / reach**0.15, high * reach**0.35)
        draw_level(axes, 1.0, "theory: at least 1")


def _draw_means(
    axes: Axes, rate: CurveRate, rows: pd.DataFrame, style: SeriesStyle, label: str
) -> None:
    """Draw the mean bound over the mean of what was measured, all replicates at every x."""
    measured, bound = (
        rows.pivot(index="seed", columns=rate.x, values=column).sort_index(axis=1)
        for column in (rate.y, rate.bound)
    )
    curve = rate.factor * bound.to_numpy(dtype=np.float64)
    excess = simultaneous(measured.to_numpy(dtype=np.float64) - curve)
    mean = curve.mean(axis=0)
    centre, low, high = (
        # An interval of what was measured that reaches 0 has no upper end here.
        mean / np.maximum(mean + np.array(end), mean / LARGEST_END)
        for end in zip(*((each.value, each.high, each.low) for each in excess), strict=True)
    )
    axes.errorbar(
        measured.columns.to_numpy(dtype=np.float64),
        centre,
        yerr=[centre - low, high - centre],
        fmt=style.marker,
        color=style.colour,
        elinewidth=0.8,
        capsize=1.2,
        linestyle="none",
        label=label,
    )


def draw_ratio_rate(
    axes: Axes, verdict: Verdict, rate: RatioRate, *, label: str = "", hollow: bool = False
) -> None:
    """Draw a measured over a predicted number against x, all problems, with its band.

    Means over replicates with their simultaneous 95 % intervals. The band is grey, the stated ratio
    dotted. The legend has the ratio that is farthest from it.

    Parameters are those of :func:`theory_check.plotting.power.draw_power_rate`, without ``slope_label``.
    """
    judged = [found for found in verdict.rates if found.rate == rate.name and found.y.size]
    styles = problem_styles([found.problem for found in judged])
    with plt.rc_context(STYLE):
        for found in judged:
            numbers, style = found.numbers, styles[found.problem]
            assert isinstance(numbers, Ratios)
            below = [each.value - each.low for each in numbers.ratios]
            beyond = [each.high - each.value for each in numbers.ratios]
            assert numbers.estimate is not None
            axes.errorbar(
                numbers.x,
                [each.value for each in numbers.ratios],
                yerr=[below, beyond],
                fmt=style.marker,
                color=style.colour,
                markerfacecolor="white" if hollow else style.colour,
                elinewidth=0.8,
                capsize=1.2,
                linestyle="none",
                label=f"{label}{found.problem}: {found.status}, {interval(numbers.estimate, 3)}",
            )
        stated = judged[0].numbers if judged else None
        if isinstance(stated, Ratios):
            axes.axhspan(
                stated.stated.low, stated.stated.high, color="0.5", alpha=0.15, linewidth=0
            )
        draw_level(axes, rate.stated, f"theory: {general(rate.stated)}, band declared")
        axes.set(xscale="log", xlabel=rate.x_symbol, ylabel=rate.y_symbol)
        label_sparsely(axes.xaxis)
