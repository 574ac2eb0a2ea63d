"""Penalty bias, gradient noise and outer convergence with neural policies and rewards."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import column_figure, draw_power_rate, entitle, legend_below

CLAIMS = (
    "penalty-bias-neural",
    "gradient-noise-neural",
    "gradient-noise-coupled-neural",
    "outer-ergodic-neural",
)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    bias, independent, shared, outer = (verdicts[claim] for claim in CLAIMS)
    figure, panels = column_figure(rows=3, row_height=3.4)
    in_norm, squared = (
        f"fitted exponent ({unit}), 95 % interval" for unit in ("norm", "squared norm")
    )

    draw_power_rate(panels[0], bias, bias.claim.rates[0])
    legend_below(panels[0], in_norm)

    draw_power_rate(panels[1], independent, independent.claim.rates[0], label="independent, ")
    draw_power_rate(panels[1], shared, shared.claim.rates[0], label="shared, ", hollow=True)
    legend_below(panels[1], squared)

    draw_power_rate(panels[2], outer, outer.claim.rates[0])
    legend_below(panels[2], squared)
    for axes, shown in zip(panels, ((bias,), (independent, shared), (outer,)), strict=True):
        entitle(axes, *shown)
    return figure
