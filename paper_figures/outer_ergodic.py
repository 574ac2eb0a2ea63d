"""Ergodic stationarity of the reference solver against the number of outer iterations."""

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

CLAIMS = ("outer-ergodic",)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    verdict = verdicts["outer-ergodic"]
    (rate,) = verdict.claim.rates
    figure, (axes,) = column_figure(rows=1, row_height=2.7)
    entitle(axes, verdict)
    draw_power_rate(axes, verdict, rate)
    legend_below(axes, power_summary((verdict, rate, "")))
    return figure
