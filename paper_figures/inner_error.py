"""Error of stopping the inner loops: geometric in K, and its dependence on sigma for two starts."""

from collections.abc import Mapping

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import (
    STYLE,
    column_figure,
    draw_departures,
    draw_power_rate,
    entitle,
    geometric_summary,
    legend_below,
    power_summary,
    problem_styles,
)

CLAIMS = ("inner-error", "inner-error-common-start")


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    bound, common = (verdicts[claim] for claim in CLAIMS)
    rates = {rate.name: rate for rate in bound.claim.rates}
    figure, (departures, sigma) = column_figure(rows=2, row_height=2.8)
    fitted = {
        start: [found for found in bound.rates if found.rate == f"K, {start}" and found.y.size]
        for start in ("separate starts", "common start")
    }
    with plt.rc_context(STYLE):
        for start, judged in fitted.items():
            styles = problem_styles([found.problem for found in judged])
            for found in judged:
                hollow = start == "common start"
                draw_departures(departures, found, styles[found.problem], hollow=hollow)
    departures.set(
        xlabel=r"$K\,\log_{10}(1/\rho)$, each replicate with its own $\rho$",
        ylabel=r"inner error / $(C\rho^K)$",
    )
    entitle(departures, bound, subject="departure from the geometric law")
    every = [found for judged in fitted.values() for found in judged]
    title = "median and central 95 % of replicates; hollow: common start\n"
    legend_below(departures, title + geometric_summary(every))
    separate = rates["1/sigma, separate starts"]
    draw_power_rate(sigma, bound, separate, label="separate")
    draw_power_rate(sigma, common, common.claim.rates[0], label="common (hollow)", hollow=True)
    entitle(sigma, bound, common)
    low, _ = sigma.get_ylim()
    sigma.set_ylim(bottom=low / 4)  # room for the label of the lower line
    shown = (bound, separate, "separate"), (common, common.claim.rates[0], "common")
    legend_below(sigma, power_summary(*shown))
    return figure
