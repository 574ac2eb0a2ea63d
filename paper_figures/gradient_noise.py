"""Noise of the hypergradient estimate: independent against shared batches."""

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

CLAIMS = ("gradient-noise", "gradient-noise-coupled")


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    independent, shared = (verdicts[claim] for claim in CLAIMS)
    figure, panels = column_figure(rows=2, row_height=2.8)
    pairs = zip(panels, independent.claim.rates, shared.claim.rates, strict=True)
    for axes, rate, coupled_rate in pairs:
        draw_power_rate(axes, independent, rate, label="independent")
        draw_power_rate(axes, shared, coupled_rate, label="shared (hollow)", hollow=True)
        shown = (independent, rate, "independent"), (shared, coupled_rate, "shared")
        legend_below(axes, power_summary(*shown))
        entitle(axes, independent, shared)
    return figure
