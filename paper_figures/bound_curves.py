"""Bounds with all their constants over what was measured, and the cost of a wrong reward."""

from collections.abc import Mapping

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.claims.rates import CurveRate, RatioRate
from theory_check.plotting import (
    STYLE,
    draw_curve_rate,
    draw_ratio_rate,
    entitle,
    legend_below,
    looseness_summary,
    page_figure,
    wrapped,
)

PANELS = (
    ("inner-curve", 0),
    ("bandit-curve-steps", 0),
    ("bandit-curve", 0),
    ("control-bandit-curve", 1),
    ("outer-curve", 0),
    ("outer-curve-mean", 0),
    ("inner-error-curve", 0),
    ("warm-start-curve", 0),
    ("value-gap", 0),
    ("predicted-domination", 0),
    ("predicted-domination", 1),
)
"""Claims with the number of the rate that a panel is about."""

RATIOS = (
    ("value-gap-maximum-likelihood", "uniform pairs, ", False),
    ("control-value-gap-skewed", "skewed, prior, ", True),
)
CLAIMS = tuple(dict.fromkeys([name for name, *_ in (*PANELS, *RATIOS)]))


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    figure, panels = page_figure(panels=len(PANELS) + 1, columns=3, row_height=2.1)
    with plt.rc_context(STYLE):
        for axes, (name, number) in zip(panels, PANELS, strict=False):
            verdict = verdicts[name]
            rate = verdict.claim.rates[number]
            assert isinstance(rate, CurveRate)
            draw_curve_rate(axes, verdict, rate, tables[verdict.claim.experiment])
            _finish(axes, verdict, rate.name)
        axes = panels[-1]
        for name, label, hollow in RATIOS:
            (rate,) = verdicts[name].claim.rates
            assert isinstance(rate, RatioRate)
            draw_ratio_rate(axes, verdicts[name], rate, label=label, hollow=hollow)
        _finish(axes, *(verdicts[name] for name, *_ in RATIOS))
        axes.set_ylabel(rate.y_symbol)
    return figure


def _finish(axes: Axes, *verdicts: Verdict | str) -> None:
    """Put the claims, with their verdicts, above a panel, and its legend below it."""
    judged = [verdict for verdict in verdicts if isinstance(verdict, Verdict)]
    entitle(axes, *judged, width=36)
    names = [verdict for verdict in verdicts if isinstance(verdict, str)]
    summaries = [looseness_summary(judged[0], name) for name in names]
    legend_below(axes, "\n".join(wrapped(each, 40) for each in summaries), columns=2)
