"""Gap of the return along unregularised policy gradient, and its ratio to the leading term."""

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
    draw_power_rate,
    entitle,
    label_sparsely,
    legend_below,
    power_summary,
    problem_styles,
)

CLAIMS = ("inner-sublinear",)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    verdict = verdicts["inner-sublinear"]
    (rate,) = verdict.claim.rates
    figure, (gaps, ratios) = column_figure(rows=2, row_height=2.4)
    entitle(gaps, verdict)
    draw_power_rate(gaps, verdict, rate)
    legend_below(gaps, power_summary((verdict, rate, "")))
    with plt.rc_context(STYLE):
        _draw_ratios(ratios, tables["inner-sublinear"])
        entitle(ratios, verdict, subject="gap over its leading term")
        legend_below(ratios, "mean and range over replicates")
    return figure


def _draw_ratios(axes: Axes, table: DataFrame) -> None:
    styles = problem_styles([str(problem) for problem in table["problem"].unique()])
    for problem, rows in table.groupby("problem", sort=False):
        style = styles[str(problem)]
        ratio = rows.groupby("inner_iteration")["leading_ratio"].agg(["mean", "min", "max"])
        steps = ratio.index.to_numpy()
        axes.fill_between(
            steps, ratio["min"], ratio["max"], color=style.colour, alpha=0.2, linewidth=0
        )
        axes.loglog(
            steps,
            ratio["mean"],
            color=style.colour,
            marker=style.marker,
            markevery=4,
            label=str(problem),
        )
    draw_level(axes, 1.0, "theory: tends to 1")
    axes.set_ylim(0.1, 5)
    label_sparsely(axes.yaxis)
    axes.set(xlabel="$K$", ylabel=r"gap $\times\, A\, \alpha K / (N (A-1))$")
