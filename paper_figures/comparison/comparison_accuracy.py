"""Samples against the accuracy they buy: every method, a panel for each problem."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis.comparison import ComparisonResults
from theory_check.plotting import STYLE, LineStyle, line_styles, page_figure, shared_legend

# Dots of the stated exponents p of samples ~ accuracy^-p, accuracy a squared norm.
SLOPES = {1: (0, (1, 1)), 2: (0, (1, 2.5)), 3: (0, (3, 1, 1, 1, 1, 1))}
COLUMNS = 3

# Between the targets of neighbouring methods, so that their intervals do not lie on each other.
PARTED = 1.012


def draw(results: ComparisonResults) -> Figure | None:
    sampled = DataFrame() if results.costs.empty else results.costs[~results.costs["exact"]]
    if sampled.empty:
        return None
    problems = list(dict.fromkeys(sampled["problem"]))
    styles = line_styles(list(results.methods))
    figure, panels = page_figure(len(problems), columns=COLUMNS, row_height=2.1)
    with plt.rc_context(STYLE):
        for axes, problem in zip(panels, problems, strict=True):
            axes.set(xscale="log", yscale="log")
            axes.set_title(problem, fontsize=7)  # wider, neighbours would touch
            part = sampled[sampled["problem"] == problem]
            for method, curve in part.groupby("method", sort=False):
                parted = PARTED ** (list(styles).index(method) - (len(styles) - 1) / 2)
                draw_curve(axes, curve, styles[method], results.methods[method].title, parted)
            draw_slopes(axes, part)
        for at, axes in enumerate(panels):
            if at % COLUMNS == 0:
                axes.set_ylabel("‖∇Φ‖² / ‖∇Φ‖² at the start\n(methods parted by 1 % each)")
            if at + COLUMNS >= len(panels):
                axes.set_xlabel("samples (median, 95 % interval)")
    shared_legend(figure, panels, columns=5)
    return figure


def draw_curve(axes: Axes, curve: DataFrame, style: LineStyle, title: str, parted: float) -> None:
    """Draw the cost of each target; hollow where runs ended whose seeds mostly failed."""
    reached = curve[np.isfinite(curve["median"])]
    # An interval that ends at infinity is drawn up to what the runs had spent.
    high = reached["high"].where(np.isfinite(reached["high"]), reached["spent"])
    axes.errorbar(
        reached["median"],
        reached["target"] * parted,
        xerr=[reached["median"] - reached["low"], (high - reached["median"]).clip(lower=0)],
        color=style.colour,
        marker=style.marker,
        linestyle=style.dashes,
        elinewidth=0.6,
        label=title,
    )
    failed = curve[~np.isfinite(curve["median"]) & (curve["spent"] > 0)]
    axes.plot(
        failed["spent"],
        failed["failed_accuracy"] * failed["target"] / failed["epsilon"],
        color=style.colour,
        marker=style.marker,
        markerfacecolor="white",
        markeredgewidth=0.7,
        linestyle="none",
    )
    axes.plot([], [], "ko", markerfacecolor="white", label="most seeds failed: end of runs")


def draw_slopes(axes: Axes, part: DataFrame) -> None:
    """Draw the slopes of stated exponents through the cheapest point of the largest target."""
    reached = part[np.isfinite(part["median"])]
    if reached.empty or reached["target"].nunique() < 2:
        return
    targets = np.array([reached["target"].max(), reached["target"].min()])
    start = reached.loc[reached["target"] == targets[0], "median"].min() / 2
    low, high = axes.get_xlim()
    for exponent, dots in SLOPES.items():
        # Within the panel, so that steep slopes do not squeeze the data.
        end = max(targets[1], targets[0] * (start / high) ** (1 / exponent))
        ends = np.array([targets[0], end])
        axes.plot(
            start * (targets[0] / ends) ** exponent,
            ends,
            color="0.35",
            linestyle=dots,
            linewidth=0.9,
            label=f"theory: p = {exponent}, norm {2 * exponent}",
        )
    axes.set_xlim(min(low, start / 1.5), high)
