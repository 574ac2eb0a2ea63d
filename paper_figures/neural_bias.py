"""Floors of the neural policy and reward classes against width, and against layers."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.analysis.replicates import median_band
from theory_check.plotting import (
    NOTE,
    PAGE_WIDTH,
    STYLE,
    entitle,
    legend_below,
    problem_styles,
    set_apart,
)
from theory_check.plotting.style import SeriesStyle
from theory_check.thresholds import VANISHED

CLAIMS = ("neural-bias", "neural-bias-sequences", "neural-bias-sequences-layers")
SIZES = {
    "neural-bias": ("width", "hidden layer"),
    "neural-bias-sequences": ("width", "transformers"),
    "neural-bias-sequences-layers": ("layers", "transformers"),
}
"""What varies, and the networks whose floors are drawn."""

LABELS = {
    "policy": r"policy: $J^*-J$",
    "reward": "reward: excess risk, nats",
}


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(LABELS),
            len(CLAIMS),
            figsize=(PAGE_WIDTH, 4.8),
            width_ratios=(1, 1, 1.15),  # its title is the longest
            layout="constrained",
            squeeze=False,
        )
        for column, claim in zip(grid.T, CLAIMS, strict=True):
            table, (size, networks) = tables[claim], SIZES[claim]
            table = table.assign(series=table["problem"] + ", " + table["activation"])
            styles = problem_styles(list(table["series"].unique()))
            for axes, (parametric_class, label) in zip(column, LABELS.items(), strict=True):
                _draw_floors(
                    axes, table[table["parametric_class"] == parametric_class], size, styles
                )
                axes.set_ylabel(label if claim == CLAIMS[0] else "")
            entitle(column[0], verdicts[claim], subject=networks, width=36)
            # A mean of seeds of which one did not converge would have an interval of twenty decades.
            legend_below(column[-1], "", columns=1)
        figure.suptitle("medians over seeds of the best fit, 95 % intervals", fontsize=7.5)
    return figure


def _draw_floors(axes: Axes, rows: DataFrame, size: str, styles: Mapping[str, SeriesStyle]) -> None:
    """Draw the floors of one class against what varies of its size."""
    for place, (series, of_series) in enumerate(rows.groupby("series", sort=False)):
        floors = of_series.pivot(index="seed", columns=size, values="floor")
        band = median_band(np.maximum(floors.to_numpy(), 1e-16))
        curve = axes.errorbar(
            floors.columns.to_numpy(dtype=float),
            band.centre,
            yerr=[band.centre - band.low, band.high - band.centre],
            color=styles[str(series)].colour,
            marker=styles[str(series)].marker,
            elinewidth=0.8,
            capsize=1.2,
            label=str(series),
        )
        set_apart(axes, curve, place, len(styles))
    axes.axhline(VANISHED, color="0.35", linestyle=":", linewidth=1.2)
    axes.annotate(
        "theory: below from some size on",
        (0.02, VANISHED),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        **NOTE,
    )
    axes.set(xscale="log", yscale="log", xlabel=size)
    axes.set_xticks(sorted(rows[size].unique()), sorted(rows[size].unique()))
    axes.minorticks_off()
