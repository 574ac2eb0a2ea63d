"""Final optimality gaps of neural runs, and the share that reaches the global value, against width."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame, concat

from theory_check.analysis import Verdict
from theory_check.analysis.conclusions import attained, reached
from theory_check.analysis.intervals import clopper_pearson
from theory_check.claims.neural import ABSOLUTE
from theory_check.plotting import (
    PAGE_WIDTH,
    STYLE,
    draw_level,
    edged,
    fixed,
    label_sparsely,
    problem_styles,
    verdict_lines,
)
from theory_check.plotting.style import SeriesStyle

CLAIMS = ("global-optimality", "global-optimality-sequences")

SMALLEST = 1e-8
"""Gaps below this are drawn there: the tolerance of the searches for the optimum."""


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    table = concat([tables[claim] for claim in CLAIMS])
    problems = list(table["problem"].unique())
    styles = problem_styles(problems)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            2,
            len(problems),
            figsize=(PAGE_WIDTH, 3.9),
            height_ratios=(2, 1),
            sharex="col",
            layout="constrained",
            squeeze=False,
        )
        for (gaps, shares), problem in zip(grid.T, problems, strict=True):
            rows = table[table["problem"] == problem]
            widths = sorted(rows["width"].unique())
            _draw_gaps(gaps, rows, widths, styles[problem])
            _draw_shares(shares, rows, widths)
            certified = attained(rows)
            from_what = r"$\Phi^*$" if certified else "lowest found"
            name = str(problem).replace("-misspecified", ",\nmisspecified")
            name = name.replace("-realisable", ",\nrealisable")
            gaps.set_title(name, loc="left", fontsize=7.5)
            gaps.set_ylabel(rf"$\Phi(\phi_T)\,-\,${from_what}")
        grid[1, 0].set_ylabel("share of runs\nwithin tolerance")
        title = verdict_lines(*(verdicts[claim] for claim in CLAIMS))
        figure.suptitle(f"{title}; edged in black: runs beyond the tolerance", fontsize=7.5)
        figure.supxlabel(
            "points: runs; shares with 95 % intervals; lowest found: no optimum is certified",
            fontsize=6.5,
        )
    return figure


def _draw_gaps(axes: Axes, rows: DataFrame, widths: list[int], style: SeriesStyle) -> None:
    jitter = np.random.default_rng(0)
    for place, width in enumerate(widths):
        runs = rows[rows["width"] == width]
        gaps = np.maximum(runs["optimality_gap"].to_numpy(), SMALLEST)
        spread = place + 0.25 * jitter.uniform(-1, 1, len(gaps))
        away = ~reached(runs).to_numpy()
        axes.plot(spread[~away], gaps[~away], ".", color=style.colour, alpha=0.5)
        beyond = edged("o", style.colour) | {"markersize": 3.4, "markeredgewidth": 0.5}
        axes.plot(spread[away], gaps[away], **beyond)
    axes.set(yscale="log", xlim=(-0.5, len(widths) - 0.5))
    found = np.maximum(rows["optimality_gap"].to_numpy(), SMALLEST)
    axes.set_ylim(min(found.min() / 1.5, ABSOLUTE / 3), max(1.5 * found.max(), 3 * ABSOLUTE))
    draw_level(axes, ABSOLUTE, "theory: below", above=True)
    label_sparsely(axes.yaxis)


def _draw_shares(axes: Axes, rows: DataFrame, widths: list[int]) -> None:
    for place, width in enumerate(widths):
        arrived = reached(rows[rows["width"] == width])
        found = clopper_pearson(int(arrived.sum()), len(arrived))
        reach = [[max(found.value - found.low, 0.0)], [max(found.high - found.value, 0.0)]]
        axes.errorbar(place, found.value, yerr=reach, color="0.2", marker="D", capsize=1.5)
    axes.set(ylim=(-0.1, 1.1), xlabel="width")
    axes.set_yticks([0, 0.5, 1], [fixed(share, 1) for share in (0, 0.5, 1)])
    axes.set_xticks(range(len(widths)), [str(width) for width in widths])
