"""Distribution shift: what methods end up with as the true reward leaves the class."""

import numpy as np
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pandas import DataFrame

from theory_check.analysis.comparison import ComparisonResults
from theory_check.plotting import PAGE_WIDTH, STYLE, general

SHOWN = {
    "shortfall": "optimal − true return",
    "policy_regret": "policy regret",
    "reward_error": "reward error, up to what\npreferences cannot tell",
    "hyperobjective_gap": "Φ above the smallest\namong the methods",
}
LOGARITHMIC = {"reward_error": 1e-3, "hyperobjective_gap": 1e-3}
"""What methods differ in by orders of magnitude, with the value below which none is told apart."""
MARKERS = "os^DvP*X"
APART = 0.62
"""Share of a method's line that its points take."""
DECIMALS = 9
"""Of distances: what they differ by beyond is rounding."""


def draw(results: ComparisonResults) -> Figure | None:
    if results.shift.empty:
        return None
    shift = results.shift.assign(family=family_of(results.shift))
    # Rounding makes no distance of a reward in the class, and of one distance no two.
    shift["reward_distance"] = shift["reward_distance"].round(DECIMALS)
    families = list(dict.fromkeys(shift["family"]))
    methods = [name for name in results.methods if name in set(shift["method"])]
    distances = sorted(shift["reward_distance"].unique())
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(families),
            len(SHOWN),
            figsize=(PAGE_WIDTH, 0.19 * len(methods) * len(families) + 1.6),
            layout="constrained",
            squeeze=False,
        )
        for family, row in zip(families, grid, strict=True):
            part = shift[shift["family"] == family]
            for axes, (column, label) in zip(row, SHOWN.items(), strict=True):
                draw_quantity(axes, part, column, methods, distances)
                last = family == families[-1]
                axes.set_xlabel(label if last else "")
            titles = [results.methods[name].title for name in methods]
            row[0].set_yticks(range(len(methods)), titles, fontsize=6.5)
            row[0].set_title(f"{family}: what each method ends up with", loc="left", fontsize=7.5)
        figure.legend(
            handles=[
                Line2D([], [], color=colour, marker=marker, linestyle="none", label=text)
                for text, colour, marker in zip(
                    [general(distance, 2) for distance in distances],
                    colours(len(distances)),
                    MARKERS,
                    strict=False,
                )
            ],
            loc="outside lower center",
            ncols=len(distances),
            title="distance of the true reward to the class (rms); bars: 95 % intervals of means, "
            "quartiles of the reward error",
            title_fontsize=6.5,
        )
    return figure


def family_of(shift: DataFrame) -> list[str]:
    """Return what a label starts with: the last part is the size of the misspecification."""
    return [label.rpartition("-")[0] or label for label in shift["problem"]]


def colours(levels: int) -> list[tuple[float, float, float, float]]:
    """Return one colour for each distance, from light to dark, none of them near white."""
    return [colormaps["viridis_r"](share) for share in np.linspace(0.15, 1.0, levels)]


def draw_quantity(
    axes: Axes, part: DataFrame, column: str, methods: list[str], distances: list[float]
) -> None:
    """Draw a line of the panel for each method, a point for each distance."""
    least = LOGARITHMIC.get(column)
    shades = colours(len(distances))
    for at, distance in enumerate(distances):
        rows = part[part["reward_distance"] == distance].set_index("method")
        present = [name for name in methods if name in rows.index]
        rows = rows.loc[present]
        shift = APART * ((at + 0.5) / len(distances) - 0.5)
        values = rows[column].to_numpy(dtype=np.float64)
        low, high = (
            rows[f"{column}_{end}"].to_numpy(dtype=np.float64)
            if f"{column}_{end}" in rows
            else values
            for end in ("low", "high")
        )
        if least is not None:
            values, low, high = (np.maximum(each, least) for each in (values, low, high))
        reach = [np.nan_to_num(np.maximum(side, 0)) for side in (values - low, high - values)]
        axes.errorbar(
            values,
            [methods.index(name) + shift for name in present],
            xerr=reach,
            linestyle="none",
            color=shades[at],
            marker=MARKERS[at % len(MARKERS)],
            markersize=2.6,
            elinewidth=0.6,
        )
    if least is not None:
        axes.set_xscale("log")
    for edge in range(1, len(methods)):
        axes.axhline(edge - 0.5, color="0.9", linewidth=0.5)
    axes.grid(visible=False, axis="y")
    axes.set_yticks(range(len(methods)), [])
    axes.set_ylim(len(methods) - 0.5, -0.5)
