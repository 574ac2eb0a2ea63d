"""Penalty bias, gradient noise and outer convergence with neural policies and rewards."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import draw_power_rate, entitle, legend_below, page_figure, power_summary

CLAIMS = (
    "penalty-bias-neural",
    "gradient-noise-neural",
    "gradient-noise-coupled-neural",
    "outer-ergodic-neural",
)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    bias, independent, shared, outer = (verdicts[claim] for claim in CLAIMS)
    figure, panels = page_figure(panels=3, columns=2, row_height=2.7)
    drawn = (
        ((bias, ""),),
        ((independent, "independent"), (shared, "shared (hollow)")),
        ((outer, ""),),
    )
    for axes, shown in zip(panels, drawn, strict=True):
        for place, (verdict, name) in enumerate(shown):
            draw_power_rate(axes, verdict, verdict.claim.rates[0], label=name, hollow=place > 0)
        entitle(axes, *(verdict for verdict, _ in shown), width=48)
        legend_below(
            axes, power_summary(*((each, each.claim.rates[0], name) for each, name in shown))
        )
    return figure
