"""Lower-level gap along exact policy gradient: geometric, and not a power of k."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import RateVerdict, Verdict
from theory_check.plotting import (
    NOTE,
    STYLE,
    column_figure,
    draw_departures,
    entitle,
    geometric_summary,
    legend_below,
    problem_styles,
)

CLAIMS = ("inner-linear",)
FLOOR = 1e-20


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    verdict = verdicts["inner-linear"]
    (rate,) = verdict.claim.rates
    judged = [found for found in verdict.rates if found.y.size]
    figure, (runs, departures) = column_figure(rows=2, row_height=2.5)
    with plt.rc_context(STYLE):
        entitle(runs, verdict)
        _draw_runs(runs, judged)
        runs.set(xlabel="inner step $k$", ylabel=rate.y_symbol)
        legend_below(runs, f"median and central half of replicates\n{geometric_summary(judged)}")
        styles = problem_styles([found.problem for found in judged])
        for found in judged:
            draw_departures(departures, found, styles[found.problem])
        departures.set(
            xlabel=r"$k\,\log_{10}(1/\rho)$, each replicate with its own $\rho$",
            ylabel=r"gap / $(C\rho^k)$",
        )
        entitle(departures, verdict, subject="departure from the geometric law")
        legend_below(departures, "median and central 95 % of replicates")
    return figure


def _draw_runs(axes: Axes, judged: list[RateVerdict]) -> None:
    """Draw what most replicates do; each line of its own would be a tangle."""
    styles = problem_styles([found.problem for found in judged])
    for found in judged:
        style = styles[found.problem]
        shown = found.x > 0
        low, middle, high = np.quantile(found.y[:, shown], [0.25, 0.5, 0.75], axis=0)
        x = found.x[shown]
        seen = middle > FLOOR
        axes.fill_between(
            x[seen],
            np.maximum(low, FLOOR)[seen],
            high[seen],
            color=style.colour,
            alpha=0.2,
            linewidth=0,
        )
        axes.loglog(
            x[seen],
            middle[seen],
            color=style.colour,
            marker=style.marker,
            markevery=0.12,
            label=found.problem,
        )
    steps = np.array([3.0, 3000.0])
    axes.loglog(steps, 30 / steps, color="0.35", linestyle=":", linewidth=1.3)
    axes.annotate(
        r"a power law, $\propto k^{-1}$, is a straight line",
        (3000, 30 / 3),
        **NOTE,
        ha="right",
    )
    axes.set_ylim(FLOOR, 3e3)
