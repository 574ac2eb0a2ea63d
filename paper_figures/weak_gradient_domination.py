"""Gap over what the gradient implies, at the iterates of runs that did not measure the constant."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import (
    NOTE,
    STYLE,
    draw_cloud,
    general,
    page_figure,
    problem_styles,
    shared_legend,
    verdict_lines,
)
from theory_check.thresholds import NEGLIGIBLE

CLAIMS = ("weak-gradient-domination",)
LEVELS = {
    "lower": (r"$2 c \|\nabla_\lambda J\|$", r"$J^* - J$, relative"),
    "upper": (r"$2 c \|\nabla\Phi\|$", r"$\Phi - \Phi^*$, relative"),
}
EDGES = (1e-3, 1e3)
"""What a gradient implies is drawn between these, further values at the edge."""


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    table = tables["weak-gradient-domination"]
    table = table.loc[table["half"] == "held out"]
    problems = [str(problem) for problem in table["problem"].unique()]
    scales = sorted(table["initial_scale"].unique())
    figure, panels = page_figure(len(LEVELS) * len(scales), columns=2, row_height=2.1)
    places = [(scale, level) for scale in scales for level in LEVELS]
    with plt.rc_context(STYLE):
        for axes, (scale, level) in zip(panels, places, strict=True):
            rows = table.loc[(table["level"] == level) & (table["initial_scale"] == scale)]
            _draw_level(axes, rows, problems)
            x, y = LEVELS[level]
            axes.set(xlabel=f"{x} / largest gap of the run", ylabel=y)
            title = f"{level} level, initial scale {general(scale)}\n{_count(rows)}"
            axes.set_title(title, loc="left", fontsize=7)
    figure.suptitle(verdict_lines(verdicts["weak-gradient-domination"]), fontsize=7.5)
    title = "held-out seeds, coloured: largest gaps; edged in black and named: violations"
    shared_legend(figure, panels, columns=6, title=title)
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
        draw_cloud(
            axes,
            implied.to_numpy(),
            gap.to_numpy(),
            styles[problem],
            edge="largest",
            broken=above.to_numpy(),
            label=problem,
        )
    across = np.geomspace(*EDGES, 200)
    line = across + NEGLIGIBLE
    axes.loglog(across, line, color="0.2", linestyle=":", linewidth=1.4)
    axes.annotate(
        "theory: below",
        (across[120], line[120]),
        xytext=(-4, 4),
        textcoords="offset points",
        ha="right",
        **NOTE,
    )
    axes.set(xlim=(EDGES[0] / 1.5, EDGES[1] * 1.5), ylim=(1e-5, 30.0))
