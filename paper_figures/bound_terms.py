"""The four-term bound against the error over a factorial design, and the share of each term."""

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.analysis.bound_model import TERMS, Design
from theory_check.analysis.bound_terms import BoundFit, design_table, fit_bound
from theory_check.analysis.replicates import average_band
from theory_check.plotting import (
    NOTE,
    PAGE_WIDTH,
    STYLE,
    entitle,
    fixed,
    general,
    legend_below,
    power_of_ten,
    problem_styles,
    wrapped,
)
from theory_check.plotting.style import SeriesStyle

CLAIMS = ("bound-terms", "bound-terms-coupled")

_LABELS = {
    "optimisation": "$a/T$",
    "bias": r"$b\,\sigma^2$",
    "sampling": r"$c/(\sigma^2 n)$ or $c/n$",
    "inner": r"$d\,\rho^K/\sigma^2$",
}
_HATCHES = ("", "////", "....", "xxxx")
# Of different lightness, so that they differ in print as well.
_COLOURS = [sns.color_palette("colorblind")[at] for at in (0, 1, 2)] + [(0.35, 0.35, 0.35)]


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    problems = {
        claim: [str(name) for name in tables[claim]["problem"].unique()] for claim in CLAIMS
    }
    styles = problem_styles(list(dict.fromkeys(chain.from_iterable(problems.values()))))
    found = {
        (name, problem): _fitted(tables[name], problem, coupled=name == CLAIMS[1])
        for name in CLAIMS
        for problem in problems[name]
    }
    first = {name: found[name, problems[name][0]][0] for name in CLAIMS}
    columns = max(np.unique(design.sigma).size for design in first.values())
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(CLAIMS),
            1 + columns,
            figsize=(PAGE_WIDTH, 4.6),
            width_ratios=[1.9, *[1.0] * columns],
            layout="constrained",
            squeeze=False,
        )
        for name, (scatter, *bars) in zip(CLAIMS, grid, strict=True):
            shared = name == CLAIMS[1]
            explained = []
            for problem in problems[name]:
                _, errors, fit = found[name, problem]
                _draw_scatter(scatter, fit.predicted, errors, styles[problem], problem)
                explained.append(fit.explained_variance)
            _draw_diagonal(scatter)
            scatter.set(
                xlabel="fitted four-term bound", ylabel=r"mean$_t\,\|\nabla\Phi(\phi_t)\|^2$"
            )
            entitle(scatter, verdicts[name], width=34)
            least = f"{fixed(100 * min(explained), 1)} % of log variance explained"
            legend_below(scatter, wrapped(f"bars: 95 % intervals; {least}", 34), columns=2)
            shares = np.mean([found[name, each][2].shares for each in problems[name]], axis=0)
            _draw_shares(bars, first[name], shares)
            batch = "shared, $c/n$" if shared else r"independent, $c/(\sigma^2 n)$"
            bars[0].set_ylabel(f"share of the bound,\n{batch}")
        handles = [
            Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=label)
            for colour, hatch, label in zip(_COLOURS, _HATCHES, _LABELS.values(), strict=True)
        ]
        figure.legend(
            handles=handles,
            loc="outside lower right",
            ncols=len(handles),
            title="terms, at the largest $T$ and fewest inner steps, mean over problems",
            title_fontsize=6.5,
        )
    return figure


def _fitted(
    table: DataFrame, problem: str, *, coupled: bool
) -> tuple[Design, NDArray[np.float64], BoundFit]:
    rows = table.loc[table["problem"] == problem]
    design, errors = design_table(rows, "ergodic_stationarity", coupled=coupled)
    return design, errors, fit_bound(design, errors)


def _draw_scatter(
    axes: Axes,
    predicted: NDArray[np.float64],
    errors: NDArray[np.float64],
    style: SeriesStyle,
    problem: str,
) -> None:
    band = average_band(errors)
    axes.errorbar(
        predicted,
        band.centre,
        yerr=[band.centre - band.low, band.high - band.centre],
        linestyle="none",
        color=style.colour,
        marker=style.marker,
        markersize=2.2,
        elinewidth=0.4,
        alpha=0.7,
        label=problem,
    )
    axes.set(xscale="log", yscale="log")


def _draw_shares(panels: Sequence[Axes], design: Design, shares: NDArray[np.float64]) -> None:
    """Draw a panel for each sigma, from the largest, with a bar for each batch."""
    ends = (design.iterations == design.iterations.max()) & (
        design.inner_steps == design.inner_steps.min()
    )
    sigmas = np.unique(design.sigma)[::-1]
    for axes, sigma in zip(panels, sigmas, strict=False):
        shown = np.flatnonzero(ends & (design.sigma == sigma))
        shown = shown[np.argsort(design.trajectories[shown])]
        bottom = np.zeros(shown.size)
        for index, _ in enumerate(TERMS):
            height = shares[shown, index]
            axes.bar(
                range(shown.size),
                height,
                bottom=bottom,
                color=_COLOURS[index],
                hatch=_HATCHES[index],
                edgecolor="white",
                linewidth=0.4,
            )
            bottom = bottom + height
        batches = [power_of_ten(batch) for batch in design.trajectories[shown]]
        axes.set_xticks(range(shown.size), batches, rotation=90, fontsize=6.5)
        axes.set(ylim=(0, 1), xlabel="$n$")
        axes.set_title(rf"$\sigma$ = {general(sigma)}", fontsize=7.5)
        axes.grid(visible=False)
    for axes in panels[1:]:
        axes.set_yticklabels([])
    for unused in panels[sigmas.size :]:
        unused.set_axis_off()


def _draw_diagonal(axes: Axes) -> None:
    ends = np.array(axes.get_xlim())
    axes.plot(ends, ends, color="0.35", linestyle=":", linewidth=1.3)
    axes.annotate(
        "theory: measured = bound",
        (0.97, 0.06),
        xycoords="axes fraction",
        ha="right",
        **NOTE,
    )
