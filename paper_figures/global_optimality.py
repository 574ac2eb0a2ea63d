"""Final optimality gaps of neural runs, and the share that reaches the global value, against width."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.analysis.conclusions import attained, reached
from theory_check.analysis.intervals import clopper_pearson
from theory_check.claims.neural import ABSOLUTE
from theory_check.plotting import (
    STYLE,
    column_figure,
    label_sparsely,
    problem_styles,
    verdict_lines,
)

CLAIMS = ("global-optimality",)

SMALLEST = 1e-8
"""Gaps below this are drawn there: the tolerance of the searches for the optimum."""


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    table = tables["global-optimality"]
    problems = list(table["problem"].unique())
    styles = problem_styles(problems)
    figure, panels = column_figure(rows=len(problems), row_height=1.75)
    jitter = np.random.default_rng(0)
    with plt.rc_context(STYLE):
        for axes, problem in zip(panels, problems, strict=True):
            rows = table[table["problem"] == problem]
            widths = sorted(rows["width"].unique())
            for place, width in enumerate(widths):
                runs = rows[rows["width"] == width]
                gaps = np.maximum(runs["optimality_gap"].to_numpy(), SMALLEST)
                spread = place - 0.15 + 0.12 * jitter.uniform(-1, 1, len(gaps))
                axes.plot(
                    spread,
                    gaps,
                    linestyle="none",
                    marker=".",
                    alpha=0.5,
                    color=styles[problem].colour,
                )
            axes.axhline(ABSOLUTE, color="0.35", linestyle=":", linewidth=1.2)
            axes.annotate(
                "tolerance",
                (0.47, ABSOLUTE),
                xytext=(0, 1),
                textcoords="offset points",
                ha="center",
                fontsize=6,
                color="0.25",
            )
            note = "" if attained(rows) else "; no certified optimum"
            axes.set(yscale="log", ylabel=r"$\Phi(\phi_T)-\Phi^*$", title=f"{problem}{note}")
            label_sparsely(axes.yaxis)
            axes.set_xlim(-0.5, len(widths) - 0.4)
            axes.set_xticks(range(len(widths)), [str(width) for width in widths])
            share = axes.twinx()
            for place, width in enumerate(widths):
                arrived = reached(rows[rows["width"] == width])
                found = clopper_pearson(int(arrived.sum()), len(arrived))
                share.errorbar(
                    place + 0.2,
                    found.value,
                    yerr=[
                        [max(found.value - found.low, 0.0)],
                        [max(found.high - found.value, 0.0)],
                    ],
                    color="0.2",
                    marker="D",
                    capsize=1.5,
                    linestyle="none",
                )
            share.set(ylim=(-0.05, 1.05), ylabel="share within tolerance")
            share.spines["right"].set_visible(True)
            share.grid(visible=False)
        panels[-1].set_xlabel("width; points: runs, diamonds: share with 95 % interval")
        figure.suptitle(verdict_lines(verdicts["global-optimality"]), fontsize=7.5)
    return figure
