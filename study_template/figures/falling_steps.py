"""Distance to the minimum against the number of iterations, for steps that fall like ``1 / t``."""

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

CLAIMS = ("falling-steps",)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    """Return the data of every problem, with the line of the theory."""
    verdict = verdicts["falling-steps"]
    (rate,) = verdict.claim.rates
    figure, (axes,) = column_figure(rows=1, row_height=2.7)
    entitle(axes, verdict)
    draw_power_rate(axes, verdict, rate)
    legend_below(axes, power_summary((verdict, rate, "")))
    return figure
