"""Error of stopping the inner loops: geometric in K, and its dependence on sigma for two starts."""

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
    draw_power_rate,
    entitle,
    interval,
    legend_below,
    problem_styles,
)

CLAIMS = ("inner-error", "inner-error-common-start")


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    bound, common = (verdicts[claim] for claim in CLAIMS)
    rates = {rate.name: rate for rate in bound.claim.rates}
    figure, (collapse, sigma) = column_figure(rows=2, row_height=3.5)
    with plt.rc_context(STYLE):
        for start, line in (("separate starts", "-"), ("common start", "--")):
            judged = [
                found for found in bound.rates if found.rate == f"K, {start}" and found.y.size
            ]
            _draw_collapse(collapse, judged, start, line)
        _draw_line(collapse)
    collapse.set(
        xlabel=r"$K\,\log_{10}(1/\rho)$, each replicate with its own $\rho$",
        ylabel="inner error / fitted prefactor",
    )
    entitle(collapse, bound)
    legend_below(collapse, "median over replicates; factor ρ per step, 95 % interval")
    draw_power_rate(sigma, bound, rates["1/sigma, separate starts"], label="separate, ")
    draw_power_rate(sigma, common, common.claim.rates[0], label="common, ", hollow=True)
    entitle(sigma, common)
    low, _ = sigma.get_ylim()
    sigma.set_ylim(bottom=low / 4)  # room for the label of the lower line
    legend_below(sigma, "fitted exponent (squared norm), 95 % interval")
    return figure


def _draw_collapse(axes: Axes, judged: list[RateVerdict], start: str, line: str) -> None:
    styles = problem_styles([found.problem for found in judged])
    decades = np.linspace(1, 11, 41)
    for found in judged:
        style = styles[found.problem]
        factor = found.numbers.estimate
        assert factor is not None, "what was not fitted is not drawn"
        curves = geometric_collapse(found.x, found.y, decades)
        # A decade that fewer than half of the replicates reach has no median to speak of.
        reached = np.isfinite(curves).mean(0) >= 0.5
        axes.semilogy(
            decades[reached],
            np.nanmedian(curves[:, reached], axis=0),
            color=style.colour,
            marker=style.marker,
            markerfacecolor="white" if line == "--" else style.colour,
            markevery=6,
            linestyle=line,
            label=f"{start}, {found.problem}: {interval(factor, 3)}",
        )


def _draw_line(axes: Axes) -> None:
    decades = np.array([1.0, 11.0])
    axes.semilogy(decades, 10.0**-decades, color="0.2", linestyle=":", linewidth=1.4)
    axes.annotate(
        r"theory: $C\rho^K$", (7, 1e-7), xytext=(6, 4), textcoords="offset points", fontsize=6.5
    )
