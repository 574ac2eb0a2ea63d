"""Penalty bias against sigma: gradient and value."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import (
    column_figure,
    draw_power_rate,
    entitle,
    legend_below,
    power_summary,
)

CLAIMS = ("penalty-bias",)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    verdict = verdicts["penalty-bias"]
    figure, panels = column_figure(rows=2, row_height=2.4)
    for axes, rate in zip(panels, verdict.claim.rates, strict=True):
        draw_power_rate(axes, verdict, rate)
        entitle(axes, verdict, subject=rate.name)
        legend_below(axes, power_summary((verdict, rate, "")))
    return figure
