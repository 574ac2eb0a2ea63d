"""The four-term bound against the error over a factorial design, and the share of each term."""

from collections.abc import Mapping
from itertools import chain

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.analysis.bound_model import TERMS, Design
from theory_check.analysis.bound_terms import design_table, fit_bound
from theory_check.analysis.replicates import average_band
from theory_check.plotting import (
    STYLE,
    column_figure,
    entitle,
    fixed,
    general,
    legend_below,
    power_of_ten,
    problem_styles,
)

CLAIMS = ("bound-terms", "bound-terms-coupled")

_LABELS = {
    "optimisation": "$a/T$",
    "bias": r"$b\,\sigma^2$",
    "sampling": r"$c/(\sigma^2 n)$ or $c/n$",
    "inner": r"$d\,\rho^K/\sigma^2$",
}
_HATCHES = ("", "///", "...", "xxx")


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    figure, (scatter, independent, shared) = column_figure(rows=3, row_height=2.9)
    problems = {
        claim: [str(name) for name in tables[claim]["problem"].unique()] for claim in CLAIMS
    }
    styles = problem_styles(list(dict.fromkeys(chain.from_iterable(problems.values()))))
    with plt.rc_context(STYLE):
        panels = zip(CLAIMS, (independent, shared), (False, True), strict=True)
        for name, bars, coupled in panels:
            shares = []
            for problem in problems[name]:
                rows = tables[name].loc[tables[name]["problem"] == problem]
                design, errors = design_table(rows, "ergodic_stationarity", coupled=coupled)
                fit = fit_bound(design, errors)
                shares.append(fit.shares)
                style = styles[problem]
                band = average_band(errors)
                scatter.errorbar(
                    fit.predicted,
                    band.centre,
                    yerr=[band.centre - band.low, band.high - band.centre],
                    linestyle="none",
                    color=style.colour,
                    marker=style.marker,
                    markersize=2.2,
                    markerfacecolor="white" if coupled else style.colour,
                    elinewidth=0.4,
                    alpha=0.7,
                    label=f"{'shared' if coupled else 'independent'}, {problem}: "
                    f"{fixed(100 * fit.explained_variance, 1)} %",
                )
            _draw_shares(bars, design, np.mean(shares, axis=0))
            batch = "shared batch, $c/n$" if coupled else r"independent, $c/(\sigma^2 n)$"
            bars.set_ylabel(f"share of the bound\n{batch}")
        scatter.set(xscale="log", yscale="log")
        _draw_diagonal(scatter)
    legend_below(shared, "mean over problems, at the largest $T$ and fewest inner steps", columns=2)
    entitle(scatter, *(verdicts[claim] for claim in CLAIMS))
    scatter.set(
        xlabel="fitted four-term bound",
        ylabel=r"$\mathrm{mean}_{t\leq T}\,\|\nabla\Phi(\phi_t)\|^2$",
    )
    legend_below(scatter, "explained variance of the log error; bars: 95 % intervals")
    return figure


def _draw_shares(axes: Axes, design: Design, shares: NDArray[np.float64]) -> None:
    shown = np.flatnonzero(
        (design.iterations == design.iterations.max())
        & (design.inner_steps == design.inner_steps.min())
    )
    shown = shown[np.lexsort((design.trajectories[shown], -design.sigma[shown]))]
    palette = sns.color_palette("colorblind", n_colors=8)[4:]
    position, bottom = np.arange(shown.size), np.zeros(shown.size)
    for index, term in enumerate(TERMS):
        height = shares[shown, index]
        axes.bar(
            position,
            height,
            bottom=bottom,
            color=palette[index],
            hatch=_HATCHES[index],
            edgecolor="white",
            linewidth=0.4,
            label=_LABELS[term],
        )
        bottom = bottom + height
    labels = [
        f"{general(design.sigma[point])}, {power_of_ten(design.trajectories[point])}"
        for point in shown
    ]
    axes.set_xticks(position, labels, rotation=55, ha="right", rotation_mode="anchor")
    axes.set(ylim=(0, 1), xlabel=r"$\sigma$, $n$")
    axes.grid(visible=False)


def _draw_diagonal(axes: Axes) -> None:
    ends = np.array(axes.get_xlim())
    axes.plot(ends, ends, color="0.35", linestyle=":", linewidth=1.3)
    axes.annotate(
        "dotted: theory, measured = bound",
        (0.97, 0.06),
        xycoords="axes fraction",
        ha="right",
        fontsize=6.5,
        color="0.25",
    )
