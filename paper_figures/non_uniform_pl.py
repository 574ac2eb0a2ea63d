"""Gradient of the lower level over its lower bound, against the gap."""

from collections.abc import Mapping

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import (
    STYLE,
    column_figure,
    draw_cloud,
    draw_level,
    entitle,
    general,
    legend_below,
    problem_styles,
)

CLAIMS = ("non-uniform-pl", "non-uniform-pl-visits")
LARGEST = 1e6
"""Ratios above are left out: the bound says nothing there."""


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    table = tables["non-uniform-pl"]
    styles = problem_styles([str(problem) for problem in table["problem"].unique()])
    figure, panels = column_figure(rows=2, row_height=2.7)
    with plt.rc_context(STYLE):
        for axes, name in zip(panels, CLAIMS, strict=True):
            (rate,) = verdicts[name].claim.rates
            entitle(axes, verdicts[name])
            shown = table.loc[table["resolved"]]
            for problem, rows in shown.groupby("problem", sort=False):
                near = rows.loc[rows[rate.y] <= LARGEST]
                ratio = near[rate.y].to_numpy()
                draw_cloud(
                    axes,
                    near["lower_gap"].to_numpy(),
                    ratio,
                    styles[str(problem)],
                    edge="smallest",
                    broken=ratio < 1,
                    label=str(problem),
                )
            draw_level(axes, 1.0, "theory: at least 1")
            axes.set(xlabel=rate.x_symbol, ylabel=rate.y_symbol, ylim=(0.1, LARGEST))
            legend_below(axes, f"{rate.name}, coloured: smallest ratios\n{_counts(table, rate.y)}")
    return figure


def _counts(table: DataFrame, column: str) -> str:
    """Say how many points there are, how many break the bound, and how many are not drawn."""
    shown = table.loc[table["resolved"], column]
    far, broken = int((shown > LARGEST).sum()), int((shown < 1).sum())
    text = f"{broken} of {len(shown)} below 1, smallest {general(shown.min(), 3)}"
    return (
        f"{text}; {far} above {general(LARGEST, 1)}, {len(table) - len(shown)} unresolved left out"
    )
