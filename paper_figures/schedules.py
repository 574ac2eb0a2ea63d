"""Whether schedules suffice: the accuracy they reach over the target."""

from collections.abc import Mapping

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.claims.rates import ScheduleRate
from theory_check.plotting import (
    draw_schedule_rate,
    entitle,
    legend_below,
    page_figure,
    schedule_name,
    schedule_summary,
)

HARD = ("schedules-hard", "schedule-2-hard", "schedule-7/2-hard")
FORBIDDEN = (
    "control-schedules-hard",
    "control-small-batch-large",
    "control-schedule-2-hard",
    "control-schedule-7/2-hard",
)
NATURAL = (
    "schedule-3",
    "schedule-3-large",
    "schedule-2",
    "schedule-2-large",
    "schedule-7/2",
    "schedule-3-neural",
    "schedule-2-neural",
)
CLAIMS = (*HARD, *FORBIDDEN, *NATURAL)

PANELS = (
    (HARD, "Plateau and valley"),
    (FORBIDDEN, "One exponent too small"),
    (NATURAL, "Natural problems"),
)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    figure, panels = page_figure(panels=len(PANELS), columns=2, row_height=3.4)
    for axes, (claims, title) in zip(panels, PANELS, strict=True):
        _draw_claims(axes, [verdicts[claim] for claim in claims])
        shown = [verdicts[claim] for claim in claims]
        entitle(axes, *shown, subject=title, width=48)
        axes.invert_xaxis()
        legend_below(axes, schedule_summary(shown))
    return figure


def _draw_claims(axes: Axes, verdicts: list[Verdict]) -> None:
    rates = [
        (verdict, rate)
        for verdict in verdicts
        for rate in verdict.claim.rates
        if isinstance(rate, ScheduleRate)
    ]
    problems = list(dict.fromkeys(each.problem for verdict in verdicts for each in verdict.rates))
    names = list(dict.fromkeys(schedule_name(verdict, rate) for verdict, rate in rates))
    palette = sns.color_palette("colorblind", n_colors=len(names))
    colours = dict(zip(names, palette, strict=True))
    for verdict, rate in rates:
        colour = colours[schedule_name(verdict, rate)]
        draw_schedule_rate(axes, verdict, rate, colour=colour, problems=problems)
