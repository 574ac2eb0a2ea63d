"""Central differences: their bias, schedules where the bounds bind, and what they save when tuned."""

from collections.abc import Mapping
from dataclasses import replace

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.claims.rates import AttainedRate, PowerRate, ScheduleRate
from theory_check.plotting import (
    attained_summary,
    draw_attained_rate,
    draw_power_rate,
    draw_schedule_rate,
    entitle,
    legend_below,
    page_figure,
    power_summary,
    schedule_summary,
)

BIASES = {
    "penalty-bias": "one level",
    "penalty-bias-central": "two levels",
    "penalty-bias-fourth": "four levels",
}
SCHEDULES = (
    "schedule-5/2-hard",
    "schedule-2-central-hard",
    "control-schedule-5/2-hard",
    "control-schedule-2-central-hard",
)
COSTS = (
    (("attained-hard", "attained-central-hard"), "plateau"),
    (("attained-3", "attained-2", "attained-central"), "garnet-small"),
)
CLAIMS = (*BIASES, *SCHEDULES, *(claim for claims, _ in COSTS for claim in claims))


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    figure, panels = page_figure(panels=4, columns=2, row_height=3.0)
    _draw_biases(panels[0], verdicts)
    _draw_schedules(panels[1], [_on(verdicts[claim], "plateau") for claim in SCHEDULES])
    for axes, (claims, problem) in zip(panels[2:], COSTS, strict=True):
        _draw_costs(axes, [_on(verdicts[claim], problem) for claim in claims])
    return figure


def _on(verdict: Verdict, problem: str) -> Verdict:
    """Return the verdict with the rates of one problem."""
    return replace(verdict, rates=tuple(each for each in verdict.rates if each.problem == problem))


def _draw_biases(axes: Axes, verdicts: Mapping[str, Verdict]) -> None:
    for claim, label in BIASES.items():
        verdict = _on(verdicts[claim], "garnet-small")
        rate = verdict.claim.rates[0]
        assert isinstance(rate, PowerRate)
        draw_power_rate(axes, verdict, rate, label=label, hollow=claim != "penalty-bias")
    axes.set_ylabel(r"$\|$estimate$\,-\,\nabla\Phi\|$, exact")
    entitle(axes, *(verdicts[claim] for claim in BIASES), width=48)
    shown = [
        (verdicts[claim], verdicts[claim].claim.rates[0], label) for claim, label in BIASES.items()
    ]
    legend_below(
        axes, power_summary(*((_on(each, "garnet-small"), *rest) for each, *rest in shown))
    )


def _draw_schedules(axes: Axes, verdicts: list[Verdict]) -> None:
    rates = [(verdict, rate) for verdict in verdicts for rate in verdict.claim.rates]
    palette = sns.color_palette("colorblind", n_colors=len(rates))
    for (verdict, rate), colour in zip(rates, palette, strict=True):
        assert isinstance(rate, ScheduleRate)
        draw_schedule_rate(axes, verdict, rate, colour=colour)
    axes.invert_xaxis()
    entitle(axes, *verdicts, width=48)
    legend_below(axes, schedule_summary(verdicts), columns=2)


def _draw_costs(axes: Axes, verdicts: list[Verdict]) -> None:
    rates = [(verdict, rate) for verdict in verdicts for rate in verdict.claim.rates]
    palette = sns.color_palette("colorblind", n_colors=len(rates))
    for (verdict, rate), colour in zip(rates, palette, strict=True):
        assert isinstance(rate, AttainedRate)
        draw_attained_rate(axes, verdict, rate, colour=colour)
    axes.invert_xaxis()
    entitle(axes, *verdicts, width=48)
    legend_below(axes, attained_summary(verdicts), columns=2)
