"""True and learned return against the distance from the reference policy, along budgets and runs."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.analysis.intervals import median_interval
from theory_check.analysis.overoptimisation import Law, find_peak, summary_of
from theory_check.claims.overoptimisation import SCARCE
from theory_check.plotting import (
    PAGE_WIDTH,
    STYLE,
    edged,
    problem_styles,
    shared_legend,
    verdict_lines,
)
from theory_check.plotting.style import SeriesStyle

CLAIMS = ("overoptimisation", "overoptimisation-delay", "control-overoptimisation")
SHOWN = ("exact", "penalty-shared", "alternating", "offline")
SMALL = {"markersize": 3.8, "markeredgewidth": 0.6}
PATHS = {"budget": ("kl_weight", "budget of the last reward"), "training": ("iteration", "run")}


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    table = tables["overoptimisation"]
    table = table[(table["pairs"] == SCARCE) & (table["status"] == "ok")]
    if "instance" in table.columns:  # curves of different instances have no common axis
        table = table[table["instance"].isna()]
    problems = [str(problem) for problem in table["problem"].unique()]
    styles = problem_styles(list(SHOWN))
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(PATHS),
            len(problems),
            figsize=(PAGE_WIDTH, 4.6),
            sharex="col",
            layout="constrained",
            squeeze=False,
        )
        for row, (path, (along, words)) in zip(grid, PATHS.items(), strict=True):
            for axes, problem in zip(row, problems, strict=True):
                rows = table[(table["problem"] == problem) & (table["path"] == path)]
                for method in SHOWN:
                    own = rows[rows["method"] == method]
                    _draw_method(axes, own, along, method, styles[method])
                axes.axhline(0.0, color="0.6", linewidth=0.6)
            row[0].set_ylabel(f"{words}:\nreturn, share of attainable")
        for axes, problem in zip(grid[0], problems, strict=True):
            axes.set_title(problem.removeprefix("overoptimised-"), loc="left", fontsize=7.5)
        for axes in grid[-1]:
            axes.set_xlabel("$d$")
        figure.suptitle(verdict_lines(*(verdicts[claim] for claim in CLAIMS)), fontsize=7.5)
        title = r"$d = \mathrm{KL}(\pi\,\|\,\pi_{\mathrm{ref}})^{1/2}$; " + (
            "solid: true return, bands: 95 % intervals of medians over seeds; markers: its peak; "
        )
        title += "dashed: learned return;\n"
        title += r"dotted: $d\,(\alpha - \beta \log d)$, fitted to the true return of the budget"
        shared_legend(figure, list(grid.flat), columns=len(SHOWN), title=title)
    return figure


def _draw_method(axes: Axes, rows: DataFrame, along: str, method: str, style: SeriesStyle) -> None:
    """Draw the medians over seeds of one method, from the reference policy on."""
    points = [part for _, part in rows.groupby(along, sort=True)]
    if along == "kl_weight":
        points.reverse()
    distance = np.array([0.0, *(part["distance"].median() for part in points)])
    learned = [(part["learned_return"] / part["attainable"]).median() for part in points]
    returns = [
        median_interval((part["true_return"] / part["attainable"]).to_numpy()) for part in points
    ]
    true = np.array([0.0, *(found.value for found in returns)])
    axes.plot(distance, true, color=style.colour, label=method)
    axes.plot(distance, [0.0, *learned], "--", color=style.colour, linewidth=0.8, alpha=0.8)
    if along == "kl_weight":
        ends = np.array([(0.0, 0.0), *((found.low, found.high) for found in returns)]).T
        axes.fill_between(distance, *ends, color=style.colour, alpha=0.15, linewidth=0)
        found = summary_of(rows)
        law = Law(found.alpha.value, found.beta.value, 0.0)
        at = np.linspace(0.0, distance.max(), 100)
        axes.plot(at, law(at), ":", color=style.colour, linewidth=1.2)
    peak = find_peak(distance, true)
    axes.plot(peak.distance, peak.value, **edged(style.marker, style.colour) | SMALL)
