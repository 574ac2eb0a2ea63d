"""Gap over what the gradient implies, at the iterates of runs that did not measure the constant."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import (
    STYLE,
    column_figure,
    entitle,
    general,
    legend_below,
    problem_styles,
)
from theory_check.thresholds import NEGLIGIBLE

CLAIMS = ("weak-gradient-domination",)
LEVELS = {
    "lower": (r"$2 c \|\nabla_\lambda J\|$", r"$J^* - J$, relative"),
    "upper": (r"$2 c \|\nabla\Phi\|$", r"$\Phi - \Phi^*$, relative"),
}
EDGES = (1e-4, 1e3)
"""What a gradient implies is drawn between these, further values at the edge."""


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    table = tables["weak-gradient-domination"]
    table = table.loc[table["half"] == "held out"]
    problems = [str(problem) for problem in table["problem"].unique()]
    scales = sorted(table["initial_scale"].unique())
    figure, panels = column_figure(rows=len(LEVELS) * len(scales), row_height=1.9)
    places = [(scale, level) for scale in scales for level in LEVELS]
    with plt.rc_context(STYLE):
        for axes, (scale, level) in zip(panels, places, strict=True):
            rows = table.loc[(table["level"] == level) & (table["initial_scale"] == scale)]
            _draw_level(axes, rows, problems)
            x, y = LEVELS[level]
            axes.set(xlabel=f"{x} / largest gap of the run", ylabel=y)
            axes.annotate(
                f"{level} level, initial scale {general(scale)}\n{_count(rows)}",
                (0.02, 0.98),
                xycoords="axes fraction",
                va="top",
                fontsize=6.5,
            )
    entitle(panels[0], verdicts["weak-gradient-domination"])
    title = "held-out seeds, gaps relative to the largest of the run;\n"
    title += "above the dotted line, edged in black: violations of the theory"
    legend_below(panels[-1], title, columns=2, marker_scale=2.5)
    return figure


def _count(rows: DataFrame) -> str:
    """Say how many iterates break the inequality, and in how many runs."""
    above = rows.loc[rows["share_of_bound"] > 1]
    runs, breaking = (len(part.groupby(["problem", "seed"])) for part in (rows, above))
    return f"above: {len(above)} of {len(rows)}, in {breaking} of {runs} runs"


def _draw_level(axes: Axes, rows: DataFrame, problems: list[str]) -> None:
    """Draw both sides of the inequality in units in which it is one line for all runs."""
    styles = problem_styles(problems)
    for problem in problems:
        part = rows.loc[rows["problem"] == problem]
        largest = part.groupby("seed")["gap"].transform("max")
        implied = ((part["bound"] - part["floor"]) / largest).clip(*EDGES)
        gap = part["gap"] / largest
        above = part["share_of_bound"] > 1
        style = styles[problem]
        cloud = {"linestyle": "none", "color": style.colour, "marker": style.marker}
        axes.loglog(
            implied[~above],
            gap[~above],
            **cloud,
            markersize=1.8,
            markeredgewidth=0,
            alpha=0.6,
            rasterized=True,
            label=problem,
        )
        # On top of all clouds, those of later problems too.
        axes.loglog(
            implied[above],
            gap[above],
            **cloud,
            markersize=3.4,
            markeredgecolor="black",
            markeredgewidth=0.5,
            zorder=4,
        )
    across = np.geomspace(*EDGES, 200)
    axes.loglog(across, across + NEGLIGIBLE, color="0.2", linestyle=":", linewidth=1.4)
    axes.set(xlim=(EDGES[0] / 1.5, EDGES[1] * 1.5), ylim=(1e-6, EDGES[1]))
