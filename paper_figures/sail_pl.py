"""The smallest Polyak-Lojasiewicz ratio of SAIL's objective on balls, for several divergences."""

from collections.abc import Mapping

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import (
    STYLE,
    column_figure,
    draw_level,
    entitle,
    general,
    legend_below,
    problem_styles,
)
from theory_check.plotting.style import SeriesStyle
from theory_check.thresholds import NO_SLOPE

CLAIMS = ("sail-pl", "sail-pl-pulled")
LOWEST = 1e-20
"""A ratio below is drawn here: the gradient is 0 to rounding, and no constant exists."""


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    table = tables["sail-pl"]
    problems = [str(problem) for problem in table["problem"].unique()]
    rates = [rate for claim in CLAIMS for rate in verdicts[claim].claim.rates]
    figure, panels = column_figure(rows=len(problems), row_height=1.75)
    styles = problem_styles([rate.name for rate in rates])
    with plt.rc_context(STYLE):
        for axes, problem in zip(panels, problems, strict=True):
            for rate in rates:
                (name, value), *_ = rate.where.items()
                rows = table.loc[(table["problem"] == problem) & (table[name] == value)]
                _draw_curve(axes, rows, rate.name, styles[rate.name])
            draw_level(axes, NO_SLOPE, "theory: above, with some constant")
            axes.set(ylabel=rates[0].y_symbol, ylim=(LOWEST / 30, 30.0), xscale="log", yscale="log")
            axes.set_xticks(sorted(table["radius"].unique()))
            axes.xaxis.set_major_formatter(lambda x, _: general(x))
            axes.minorticks_off()
            axes.annotate(problem, (0.02, 0.35), xycoords="axes fraction", fontsize=6.5)
        panels[-1].set(xlabel=rates[0].x_symbol)
        entitle(panels[0], *(verdicts[claim] for claim in CLAIMS))
        title = "smallest ratio of all seeds, bars from smallest to largest of a seed;\n"
        title += "at the lower edge: a stationary point other than the minimum"
        legend_below(panels[-1], title, columns=2)
    return figure


def _draw_curve(axes: Axes, rows: DataFrame, name: str, style: SeriesStyle) -> None:
    """Draw the smallest ratio against the radius, with its range over seeds."""
    ratios = rows.groupby("radius")["constant"].agg(["min", "max"]).clip(lower=LOWEST)
    axes.errorbar(
        ratios.index,
        ratios["min"],
        yerr=(0 * ratios["min"], ratios["max"] - ratios["min"]),
        color=style.colour,
        marker=style.marker,
        markersize=3,
        capsize=1.5,
        label=name,
    )
