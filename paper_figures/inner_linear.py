"""Lower-level gap along exact policy gradient: geometric, and not a power of k."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import RateVerdict, Verdict
from theory_check.analysis.replicate_verdicts import geometric_collapse
from theory_check.plotting import (
    STYLE,
    column_figure,
    entitle,
    interval,
    legend_below,
    problem_styles,
)

CLAIMS = ("inner-linear",)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    verdict = verdicts["inner-linear"]
    (rate,) = verdict.claim.rates
    judged = [found for found in verdict.rates if found.y.size]
    figure, (runs, collapse) = column_figure(rows=2, row_height=2.8)
    with plt.rc_context(STYLE):
        entitle(runs, verdict)
        _draw_runs(runs, judged)
        runs.set(xlabel="inner step $k$", ylabel=rate.y_symbol)
        legend_below(runs, "each line one replicate; factor ρ per step, 95 % interval")
        _draw_collapse(collapse, judged)
        collapse.set(
            xlabel=r"$k\,\log_{10}(1/\rho)$, each replicate with its own $\rho$",
            ylabel="gap / fitted prefactor",
        )
        legend_below(collapse, "median and central 95 % of replicates", columns=2)
    return figure


def _factor(found: RateVerdict) -> str:
    """Return the fitted factor with its interval, or why there is none."""
    factor = found.numbers.estimate
    return found.status if factor is None else interval(factor, 3)


def _draw_runs(axes: Axes, judged: list[RateVerdict]) -> None:
    styles = problem_styles([found.problem for found in judged])
    floor = 1e-20
    for found in judged:
        label = f"{found.problem}: {_factor(found)}"
        for index, row in enumerate(found.y):
            shown = (found.x > 0) & (row > floor)
            axes.loglog(
                found.x[shown],
                row[shown],
                color=styles[found.problem].colour,
                linewidth=0.5,
                alpha=0.7,
                label=label if index == 0 else None,
            )
    steps = np.array([3.0, 3000.0])
    axes.loglog(steps, 30 / steps, color="0.35", linestyle=":", linewidth=1.3)
    axes.annotate(
        r"a power law, $\propto k^{-1}$, is a straight line",
        (3000, 30 / 3),
        xytext=(0, 0),
        textcoords="offset points",
        fontsize=6.5,
        color="0.25",
        ha="right",
    )
    axes.set_ylim(floor, 3e3)


def _draw_collapse(axes: Axes, judged: list[RateVerdict]) -> None:
    styles = problem_styles([found.problem for found in judged])
    decades = np.linspace(1, 12, 45)
    for found in judged:
        curves = geometric_collapse(found.x, found.y, decades)
        low, middle, high = np.nanquantile(curves, [0.025, 0.5, 0.975], axis=0)
        style = styles[found.problem]
        axes.fill_between(decades, low, high, color=style.colour, alpha=0.25, linewidth=0)
        axes.semilogy(
            decades,
            middle,
            color=style.colour,
            marker=style.marker,
            markevery=6,
            label=found.problem,
        )
    axes.semilogy(decades, 10.0**-decades, color="0.2", linestyle=":", linewidth=1.4)
    axes.annotate(
        r"theory: $C\rho^k$", (7, 1e-7), xytext=(5, 5), textcoords="offset points", fontsize=6.5
    )
