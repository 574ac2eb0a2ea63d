"""Gradient of the lower level over its lower bound, against the gap."""

from collections.abc import Mapping

from matplotlib import pyplot as plt
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

CLAIMS = ("non-uniform-pl", "non-uniform-pl-visits")
LARGEST = 1e6
"""Ratios above are drawn at the upper edge: the bound says nothing there."""


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    table = tables["non-uniform-pl"]
    styles = problem_styles([str(problem) for problem in table["problem"].unique()])
    figure, panels = column_figure(rows=2, row_height=3.2)
    with plt.rc_context(STYLE):
        for axes, name in zip(panels, CLAIMS, strict=True):
            (rate,) = verdicts[name].claim.rates
            entitle(axes, verdicts[name])
            for problem, rows in table.groupby("problem", sort=False):
                style = styles[str(problem)]
                shown = rows.loc[rows["resolved"]]
                left_out = len(rows) - len(shown)
                ratio = shown[rate.y]
                axes.loglog(
                    shown["lower_gap"],
                    ratio.clip(upper=LARGEST),
                    linestyle="none",
                    color=style.colour,
                    marker=style.marker,
                    markersize=1.6,
                    markeredgewidth=0,
                    alpha=0.6,
                    rasterized=True,
                    label=f"{problem}: {general(ratio.min(), 3)}, {general(ratio.median(), 3)} "
                    f"({left_out})",
                )
            draw_level(axes, 1.0, "theory: at least 1")
            axes.set(xlabel=rate.x_symbol, ylabel=rate.y_symbol, ylim=(0.1, 2 * LARGEST))
            title = f"{rate.name}: smallest, median ratio (unresolved rows);"
            title += f"\nratios above {general(LARGEST, 1)} are drawn there"
            legend_below(axes, title, marker_scale=2.5)
    return figure
