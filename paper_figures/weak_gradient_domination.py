"""Gap over what the gradient implies, at the iterates of runs that did not measure the constant."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import STYLE, column_figure, legend_below, problem_styles

CLAIMS = ("weak-gradient-domination",)
LEVELS = {
    "lower": (r"$2 c \|\nabla_\lambda J\|$", r"$J^* - J$"),
    "upper": (r"$2 c \|\nabla\Phi\|$", r"$\Phi - \Phi^*$"),
}
NEGLIGIBLE = 0.01
"""``eps'`` as a share of the largest gap of a run."""


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    table = tables["weak-gradient-domination"]
    problems = [str(problem) for problem in table["problem"].unique()]
    scales = sorted(table["initial_scale"].unique())
    figure, panels = column_figure(rows=len(LEVELS) * len(scales), row_height=2.0)
    places = [(scale, level) for scale in scales for level in LEVELS]
    with plt.rc_context(STYLE):
        for axes, (scale, level) in zip(panels, places, strict=True):
            chosen = (table["level"] == level) & (table["initial_scale"] == scale)
            _draw_level(axes, table.loc[chosen & (table["half"] == "held out")], problems)
            x, y = LEVELS[level]
            axes.set(xlabel=f"{x} / largest gap of the run", ylabel=f"{y} / largest of the run")
            axes.annotate(
                f"{level} level, initial scale {scale:g}",
                (0.02, 0.98),
                xycoords="axes fraction",
                va="top",
                fontsize=6.5,
            )
        legend_below(
            panels[-1], "held-out seeds; above the line the inequality fails", columns=2, gap=0.36
        )
    return figure


def _draw_level(axes: Axes, rows: DataFrame, problems: list[str]) -> None:
    """Draw both sides of the inequality in units in which it is one line for all runs."""
    styles = problem_styles(problems)
    for problem in problems:
        part = rows.loc[rows["problem"] == problem]
        largest = part.groupby("seed")["gap"].transform("max")
        implied = (part["bound"] - part["floor"]) / largest
        style = styles[problem]
        axes.loglog(
            implied,
            part["gap"] / largest,
            linestyle="none",
            color=style.colour,
            marker=style.marker,
            markersize=1.8,
            markeredgewidth=0,
            alpha=0.6,
            rasterized=True,
            label=problem,
        )
    across = np.geomspace(1e-4, 1e2, 200)
    axes.loglog(across, across + NEGLIGIBLE, color="0.2", linestyle=":", linewidth=1.4)
    axes.set_ylim(1e-6, 5)
