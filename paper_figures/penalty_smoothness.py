"""Lipschitz constant of the penalised hypergradient against sigma."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import (
    NOTE,
    STYLE,
    column_figure,
    draw_power_rate,
    entitle,
    legend_below,
    power_summary,
)

CLAIMS = ("penalty-smoothness",)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    verdict = verdicts["penalty-smoothness"]
    (rate,) = verdict.claim.rates
    figure, (axes,) = column_figure(rows=1, row_height=2.7)
    entitle(axes, verdict)
    draw_power_rate(axes, verdict, rate, slope_label="theory: uniform in σ")
    means = [found.y.mean(0) for found in verdict.rates if found.y.size]
    if not means:
        return figure
    lowest, highest = np.min(means), np.max(means)
    # From where runs are to where a line that steep has left the panel: more would flatten the data.
    start = 1 / max(found.x.max() for found in verdict.rates if found.y.size)
    line = np.array([2.0, 12.0]) * highest
    inverse = start * line / line[0]
    with plt.rc_context(STYLE):
        axes.plot(inverse, line, color="0.35", linestyle="--", linewidth=1.0)
        axes.annotate(
            "$\\propto 1/\\sigma$: what a step\n$\\eta\\sim\\sigma$ pays for",
            (inverse[1], line[1]),
            xytext=(5, 0),
            textcoords="offset points",
            va="top",
            **NOTE,
        )
    axes.set_ylim(lowest / 2, line[1])
    legend_below(axes, power_summary((verdict, rate, "")))
    return figure
