"""Computed curves and ratios: how far a bound lies above what was measured, a ratio with its band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from theory_check.analysis import Verdict
from theory_check.analysis.computed_verdicts import Ratios, ratio_of_means
from theory_check.claims.rates import CurveRate, RatioRate
from theory_check.plotting.numbers import general, label_sparsely
from theory_check.plotting.style import (
    NOTE,
    STYLE,
    SeriesStyle,
    draw_level,
    edged,
    problem_styles,
    set_apart,
)

LARGEST_SHOWN = 1e6
"""Ratios above say no more than that the bound is far away."""


def draw_curve_rate(
    axes: Axes,
    verdict: Verdict,
    rate: CurveRate,
    table: pd.DataFrame,
    *,
    logarithmic: bool = True,
    problems: Sequence[str] = (),
) -> None:
    """Draw a bound over what was measured against x, all problems; below 1 the bound is broken.

    Markers are the smallest ratio over seeds at each x, edged in black where it is below 1, the line
    through the pale area the median, the area reaches from the smallest to the largest. Of a statement
    about means, markers are the ratio of means, with the simultaneous 95 % interval of their difference.
    Ratios above :data:`LARGEST_SHOWN` are left out, and a note says so: they would flatten the rest.

    Parameters are those of :func:`theory_check.plotting.power.draw_power_rate`, and

    Parameters
    ----------
    table
        The table that it was judged on.
    logarithmic
        Whether x is on a logarithmic axis.
    problems
        All that the figure shows, in the order of their styles; those of the rate when empty.
    """
    judged = [found for found in verdict.rates if found.rate == rate.name]
    styles = problem_styles(problems or [found.problem for found in judged])
    with plt.rc_context(STYLE):
        for place, found in enumerate(judged):
            style = styles[found.problem]
            rows = table.loc[table["problem"] == found.problem]
            for column, value in rate.where.items():
                rows = rows.loc[rows[column] == value]
            if rate.average:
                _draw_means(axes, rate, rows, style, found.problem)
                continue
            rows = rows.loc[rows[rate.y] > 0]
            ratio = (rate.factor * rows[rate.bound] / rows[rate.y]).groupby(rows[rate.x])
            least, middle, most = ratio.min(), ratio.median(), ratio.max()
            x = least.index.to_numpy(dtype=np.float64)
            axes.fill_between(x, least, most, color=style.colour, alpha=0.12, linewidth=0)
            axes.plot(x, middle, color=style.colour, linewidth=0.7)
            shown = np.unique(np.linspace(0, x.size - 1, min(x.size, 24)).round().astype(int))
            smallest = axes.plot(
                x[shown],
                least.to_numpy()[shown],
                style.marker,
                color=style.colour,
                markersize=2.4,
                label=found.problem,
            )
            broken = least.to_numpy() < 1
            smallest += axes.plot(
                x[broken], least.to_numpy()[broken], **edged(style.marker, style.colour)
            )
            for markers in smallest:
                set_apart(axes, markers, place, len(judged))
        axes.set(xscale="log" if logarithmic else "linear", yscale="log")
        axes.set(xlabel=rate.x_symbol, ylabel=f"{rate.y_symbol}:\nbound / measured")
        for axis in (axes.xaxis, axes.yaxis)[0 if logarithmic else 1 :]:
            label_sparsely(axis)
        low, high = axes.get_ylim()
        cut = high > LARGEST_SHOWN
        low, high = min(low, 1.0), min(max(high, 1.3), LARGEST_SHOWN)
        # Room for the label of the level below it.
        axes.set_ylim(low / max(high / low, 4.0) ** 0.18, high)
        draw_level(axes, 1.0, "theory: at least 1")
        if cut:
            note = f"cut at {general(LARGEST_SHOWN, 1)}"
            axes.annotate(note, (0.02, 0.9), xycoords="axes fraction", **NOTE)


def _draw_means(
    axes: Axes, rate: CurveRate, rows: pd.DataFrame, style: SeriesStyle, label: str
) -> None:
    """Draw the mean bound over the mean of what was measured, all replicates at every x."""
    x, centre, low, high = ratio_of_means(rate, rows)
    axes.errorbar(
        x,
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
    axes: Axes,
    verdict: Verdict,
    rate: RatioRate,
    *,
    hollow: bool = False,
    problems: Sequence[str] = (),
) -> None:
    """Draw a measured over a predicted number against x, all problems, with its band.

    Means over replicates with their simultaneous 95 % intervals. The band is grey, the stated ratio
    dotted.

    Parameters are those of :func:`theory_check.plotting.power.draw_power_rate`, without ``slope_label``.
    """
    judged = [found for found in verdict.rates if found.rate == rate.name and found.y.size]
    styles = problem_styles(problems or [found.problem for found in judged])
    with plt.rc_context(STYLE):
        for found in judged:
            numbers, style = found.numbers, styles[found.problem]
            assert isinstance(numbers, Ratios)
            below = [each.value - each.low for each in numbers.ratios]
            beyond = [each.high - each.value for each in numbers.ratios]
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
                label=found.problem,
            )
        stated = judged[0].numbers if judged else None
        if isinstance(stated, Ratios):
            axes.axhspan(
                stated.stated.low, stated.stated.high, color="0.5", alpha=0.15, linewidth=0
            )
        draw_level(axes, rate.stated, f"theory: {general(rate.stated)}, band declared")
        axes.set(xscale="log", xlabel=rate.x_symbol, ylabel=rate.y_symbol)
        label_sparsely(axes.xaxis)
