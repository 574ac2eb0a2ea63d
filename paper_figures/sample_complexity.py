"""Samples against the accuracy they buy: the three schedules."""

from collections.abc import Mapping

import seaborn as sns
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import column_figure, draw_complexity_rate, legend_below

CLAIMS = ("total-7/2", "total-3", "total-2")

# Slope of the theory: label, and factor between its line and the data.
SLOPES = {
    "total-7/2": ("slope $-7/2$", 6.0),
    "total-3": ("slope $-3$", 1 / 6),
    "total-2": ("slope $-2$", 1 / 4),
}


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    figure, (axes,) = column_figure(rows=1, row_height=4.4)
    palette = sns.color_palette("colorblind", n_colors=len(CLAIMS))
    for claim, colour in zip(CLAIMS, palette, strict=True):
        label, offset = SLOPES[claim]
        (rate,) = verdicts[claim].claim.rates
        draw_complexity_rate(
            axes, verdicts[claim], rate, colour=colour, offset=offset, slope_label=label
        )
    axes.invert_xaxis()
    legend_below(axes, "p of samples ∝ accuracy$^{-p}$ (squared norm), 95 % interval")
    return figure
