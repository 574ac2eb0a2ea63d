"""Controls: the penalty bias without and with an error bound, and three ways to lose convergence."""

from collections.abc import Mapping

import seaborn as sns
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import (
    column_figure,
    draw_power_rate,
    draw_schedule_rate,
    entitle,
    legend_below,
)

SCHEDULES = ("control-small-batch", "control-fixed-sigma")
CLAIMS = ("control-quadratic", "control-quartic", "control-missing-response", *SCHEDULES)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    figure, (bias, response, schedules) = column_figure(rows=3, row_height=2.7)
    # The theory is the same line twice, above the one and below the other: one label is enough.
    for claim, hollow, label in (
        ("control-quadratic", False, " "),
        ("control-quartic", True, None),
    ):
        verdict = verdicts[claim]
        draw_power_rate(bias, verdict, verdict.claim.rates[0], hollow=hollow, slope_label=label)
    entitle(bias, verdicts["control-quadratic"], verdicts["control-quartic"])
    legend_below(bias, "fitted exponent (squared norm); the quartic must fail")
    missing = verdicts["control-missing-response"]
    draw_power_rate(response, missing, missing.claim.rates[0])
    entitle(response, missing)
    legend_below(response, "exponent above the floor; a floor must be found")
    palette = sns.color_palette("colorblind", n_colors=len(SCHEDULES))
    for claim, colour in zip(SCHEDULES, palette, strict=True):
        (rate,) = verdicts[claim].claim.rates
        draw_schedule_rate(schedules, verdicts[claim], rate, colour=colour)
    schedules.invert_xaxis()
    entitle(schedules, *(verdicts[claim] for claim in SCHEDULES))
    legend_below(schedules, "growth like a power of 1/target; all must fail")
    return figure
