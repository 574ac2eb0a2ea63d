"""Controls: the penalty bias without and with an error bound, and three ways to lose convergence."""

from collections.abc import Mapping

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import PowerLawFit, Verdict
from theory_check.plotting import (
    NOTE,
    draw_power_rate,
    draw_schedule_rate,
    entitle,
    general,
    legend_below,
    page_figure,
    power_summary,
    schedule_summary,
)

SCHEDULES = ("control-small-batch", "control-fixed-sigma")
CLAIMS = ("control-quadratic", "control-quartic", "control-missing-response", *SCHEDULES)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    figure, (bias, response, schedules) = page_figure(panels=3, columns=2, row_height=2.6)
    pair = [verdicts[f"control-{name}"] for name in ("quadratic", "quartic")]
    for verdict, name, hollow in zip(pair, ("quadratic", "quartic"), (False, True), strict=True):
        draw_power_rate(bias, verdict, verdict.claim.rates[0], label=name, hollow=hollow)
    entitle(bias, *pair, width=48)
    names = ("quadratic", "quartic (hollow)")
    shown = [(each, each.claim.rates[0], name) for each, name in zip(pair, names, strict=True)]
    legend_below(bias, power_summary(*shown))
    missing = verdicts["control-missing-response"]
    draw_power_rate(response, missing, missing.claim.rates[0])
    entitle(response, missing, width=48)
    _draw_floors(response, missing)
    legend_below(response, power_summary((missing, missing.claim.rates[0], "above the floor")))
    palette = sns.color_palette("colorblind", n_colors=len(SCHEDULES))
    judged = [each for claim in SCHEDULES for each in verdicts[claim].rates]
    problems = list(dict.fromkeys(each.problem for each in judged))
    for claim, colour in zip(SCHEDULES, palette, strict=True):
        (rate,) = verdicts[claim].claim.rates
        draw_schedule_rate(schedules, verdicts[claim], rate, colour=colour, problems=problems)
    schedules.invert_xaxis()
    entitle(schedules, *(verdicts[claim] for claim in SCHEDULES), width=48)
    legend_below(schedules, schedule_summary([verdicts[claim] for claim in SCHEDULES]))
    return figure


def _draw_floors(axes: Axes, verdict: Verdict) -> None:
    """Draw where the fitted curves end: a floor is what the theory without the response rules out."""
    fits = [found.fit for found in verdict.rates if isinstance(found.fit, PowerLawFit)]
    floors = [fit.floor_level for fit in fits if fit.floor_level]
    for floor in floors:
        axes.axhline(floor, color="0.35", linestyle="--", linewidth=0.8)
    if floors:
        axes.annotate(
            f"dashed: fitted floor, {general(min(floors), 2)} to {general(max(floors), 2)}",
            (0.02, max(floors)),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            **NOTE,
        )
