"""Whether schedules suffice: the accuracy they reach over the target."""

from collections.abc import Mapping

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.claims.rates import ScheduleRate
from theory_check.plotting import column_figure, draw_schedule_rate, legend_below

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
    figure, panels = column_figure(rows=len(PANELS), row_height=4.3)
    for axes, (claims, title) in zip(panels, PANELS, strict=True):
        _draw_claims(axes, [verdicts[claim] for claim in claims])
        found = [rate.status for claim in claims for rate in verdicts[claim].rates]
        counts = ", ".join(f"{found.count(status)} {status}" for status in dict.fromkeys(found))
        axes.set_title(f"{title}: {counts}", loc="left", fontsize=8)
        axes.invert_xaxis()
        legend_below(axes, "schedule, problem: verdict, growth like a power of 1/target")
    return figure


def _draw_claims(axes: Axes, verdicts: list[Verdict]) -> None:
    rates = [(verdict, rate) for verdict in verdicts for rate in verdict.claim.rates]
    palette = sns.color_palette("colorblind", n_colors=len(rates))
    for (verdict, rate), colour in zip(rates, palette, strict=True):
        assert isinstance(rate, ScheduleRate)
        draw_schedule_rate(axes, verdict, rate, colour=colour)
