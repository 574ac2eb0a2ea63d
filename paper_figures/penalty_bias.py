"""Penalty bias against sigma: gradient and value."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import column_figure, draw_power_rate, entitle, legend_below

CLAIMS = ("penalty-bias",)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    verdict = verdicts["penalty-bias"]
    figure, panels = column_figure(rows=2, row_height=3.1)
    entitle(panels[0], verdict)
    for axes, rate in zip(panels, verdict.claim.rates, strict=True):
        draw_power_rate(axes, verdict, rate)
        unit = "norm" if rate.y_units == "norm" else "value"
        legend_below(axes, f"fitted exponent ({unit}), 95 % interval")
    return figure
