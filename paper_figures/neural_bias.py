"""Floors of the neural policy and reward classes against width."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.analysis.replicates import median_band
from theory_check.plotting import (
    NOTE,
    STYLE,
    column_figure,
    entitle,
    legend_below,
    problem_styles,
    set_apart,
)
from theory_check.thresholds import VANISHED

CLAIMS = ("neural-bias",)

LABELS = {
    "policy": r"policy: $J^*-J$",
    "reward": "reward: excess risk, nats",
}


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    table = tables["neural-bias"]
    table = table.assign(series=table["problem"] + ", " + table["activation"])
    styles = problem_styles(list(table["series"].unique()))
    figure, panels = column_figure(rows=2, row_height=2.2)
    with plt.rc_context(STYLE):
        for axes, (parametric_class, label) in zip(panels, LABELS.items(), strict=True):
            rows = table[table["parametric_class"] == parametric_class]
            for place, (series, of_series) in enumerate(rows.groupby("series", sort=False)):
                floors = of_series.pivot(index="seed", columns="width", values="floor")
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
                "theory: below from some width on",
                (0.02, VANISHED),
                xycoords=("axes fraction", "data"),
                xytext=(0, 2),
                textcoords="offset points",
                **NOTE,
            )
            axes.set(xscale="log", yscale="log", ylabel=label, xlabel="width")
            axes.set_xticks(sorted(rows["width"].unique()), sorted(rows["width"].unique()))
            axes.minorticks_off()
            entitle(axes, verdicts["neural-bias"], subject=f"{parametric_class} class")
        # A mean of seeds of which one did not converge would have an interval of twenty decades.
        legend_below(panels[-1], "median over seeds of the best fit, 95 % interval", columns=2)
    return figure
