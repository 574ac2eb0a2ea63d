"""The smallest Polyak-Lojasiewicz ratio of SAIL's objective on balls, for several divergences."""

from collections.abc import Mapping

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import (
    STYLE,
    draw_level,
    edged,
    general,
    page_figure,
    problem_styles,
    set_apart,
    shared_legend,
    verdict_lines,
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
    figure, panels = page_figure(panels=len(problems), columns=3, row_height=1.9)
    styles = problem_styles([rate.name for rate in rates])
    with plt.rc_context(STYLE):
        for axes, problem in zip(panels, problems, strict=True):
            for place, rate in enumerate(rates):
                (name, value), *_ = rate.where.items()
                rows = table.loc[(table["problem"] == problem) & (table[name] == value)]
                for series in _draw_curve(axes, rows, rate.name, styles[rate.name]):
                    set_apart(axes, series, place, len(rates))
            draw_level(axes, NO_SLOPE, "theory: above")
            axes.set(ylabel=rates[0].y_symbol, ylim=(LOWEST / 30, 30.0), xscale="log", yscale="log")
            axes.set_xticks(sorted(table["radius"].unique()))
            axes.xaxis.set_major_formatter(lambda x, _: general(x))
            axes.minorticks_off()
            axes.set(xlabel=rates[0].x_symbol)
            axes.set_title(problem, loc="left", fontsize=7.5)
        figure.suptitle(verdict_lines(*(verdicts[claim] for claim in CLAIMS)), fontsize=7.5)
        title = "smallest ratio of all seeds, bars from smallest to largest of a seed; "
        title += "at the lower edge, edged in black: a stationary point other than the minimum"
        shared_legend(figure, panels, columns=5, title=title)
    return figure


def _draw_curve(
    axes: Axes, rows: DataFrame, name: str, style: SeriesStyle
) -> tuple[Container | Line2D, ...]:
    """Draw the smallest ratio against the radius, with its range over seeds."""
    ratios = rows.groupby("radius")["constant"].agg(["min", "max"]).clip(lower=LOWEST)
    curve = axes.errorbar(
        ratios.index,
        ratios["min"],
        yerr=(0 * ratios["min"], ratios["max"] - ratios["min"]),
        color=style.colour,
        marker=style.marker,
        markersize=3,
        capsize=1.5,
        label=name,
    )
    lost = ratios.index[ratios["min"] <= NO_SLOPE]
    edge = edged(style.marker, style.colour) | {"markersize": 3.4, "markeredgewidth": 0.5}
    return curve, *axes.plot(lost, ratios["min"][lost], **edge)
