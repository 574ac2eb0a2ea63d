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
    looseness_summary,
    page_figure,
    shared_legend,
    verdict_lines,
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

RATIOS = ("value-gap-maximum-likelihood", "control-value-gap-skewed")
CLAIMS = (*dict.fromkeys(name for name, _ in PANELS), *RATIOS)
WIDTH = 31
"""Letters of a title's line."""


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    figure, panels = page_figure(panels=len(PANELS) + 1, columns=3, row_height=2.0)
    problems = list(
        dict.fromkeys(found.problem for name in CLAIMS for found in verdicts[name].rates)
    )
    with plt.rc_context(STYLE):
        for axes, (name, number) in zip(panels, PANELS, strict=False):
            verdict = verdicts[name]
            rate = verdict.claim.rates[number]
            assert isinstance(rate, CurveRate)
            table = tables[verdict.claim.experiment]
            draw_curve_rate(axes, verdict, rate, table, problems=problems)
            _entitle(axes, looseness_summary(verdict, rate.name), verdict)
        axes = panels[-1]
        for name in RATIOS:
            (rate,) = verdicts[name].claim.rates
            assert isinstance(rate, RatioRate)
            hollow = name == RATIOS[1]
            draw_ratio_rate(axes, verdicts[name], rate, hollow=hollow, problems=problems)
        axes.set_ylabel(rate.y_symbol)
        _entitle(axes, "hollow: the control", *(verdicts[name] for name in RATIOS))
    title = "markers: smallest ratio of all seeds, or ratio of means with 95 % interval; "
    title += "line and area: median and range"
    shared_legend(figure, panels, columns=5, title=title)
    return figure


def _entitle(axes: Axes, text: str, *verdicts: Verdict) -> None:
    """Put the claims, with their verdicts, above a panel, and a line of text below them."""
    title = f"{verdict_lines(*verdicts, width=WIDTH)}\n{wrapped(text, WIDTH)}"
    axes.set_title(title, loc="left", fontsize=7)
