"""Heat map of samples over the fewest of any method: every method, every problem and target."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from theory_check.analysis.comparison import AccuracyResults, ComparisonResults, best_of_pairs
from theory_check.plotting import PAGE_WIDTH, STYLE, general

# Factors beyond this one are drawn alike.
LARGEST = 1000.0
MISSED = "0.88"


def draw(results: ComparisonResults) -> Figure | None:
    shown = {name: found for name, found in results.accuracies.items() if len(found.standings)}
    if not shown:
        return None
    rows = [len(found.standings) for found in shown.values()]
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(
            len(shown),
            1,
            figsize=(PAGE_WIDTH, 0.16 * sum(rows) + 1.6 * len(rows)),
            height_ratios=rows,
            layout="constrained",
            squeeze=False,
        )
        for axes, (accuracy, found) in zip(panels[:, 0], shown.items(), strict=True):
            draw_accuracy(axes, accuracy, found, results)
    return figure


def draw_accuracy(
    axes: Axes, accuracy: str, found: AccuracyResults, results: ComparisonResults
) -> None:
    """Draw one row for each method, in the order of the standings, one column for each pair."""
    sampled = found.costs[found.costs["ranked"]]
    table = sampled.pivot(index=["problem", "target"], columns="method", values="median")
    table = table.reindex(columns=list(found.standings["method"]))
    order = {name: at for at, name in enumerate(dict.fromkeys(sampled["problem"]))}
    # Problems as they come, targets falling to the right.
    table = table.loc[sorted(table.index, key=lambda pair: (order[pair[0]], -pair[1]))]
    values = table.replace(np.inf, np.nan).to_numpy(dtype=np.float64).T
    best = np.nanmin(values, axis=0, initial=np.inf)
    ratios = values / best
    # What was not run is no failure.
    missed = np.isposinf(table.to_numpy(dtype=np.float64).T)
    axes.imshow(
        np.where(missed, 0.0, np.nan), aspect="auto", cmap=ListedColormap([MISSED]), vmin=-1, vmax=1
    )
    axes.grid(visible=False)
    image = axes.imshow(
        np.log10(np.clip(ratios, 1.0, LARGEST)),
        aspect="auto",
        cmap="viridis_r",
        vmin=0.0,
        vmax=np.log10(LARGEST),
        interpolation="none",
    )
    mark_winners(axes, found, table.index.tolist(), list(table.columns))
    titles = [results.methods[str(method)].title for method in table.columns]
    axes.set_yticks(range(len(titles)), titles, fontsize=6.5)
    separate(axes, [str(problem) for problem, _ in table.index])
    axes.set_title(
        f"{accuracy}: samples over the fewest, targets falling to the right within each problem\n"
        "grey: missed; blank: not run; dot: cheapest alone; ring: tied with the cheapest",
        loc="left",
        fontsize=7.5,
    )
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01, aspect=15)
    bar.set_ticks([0, 1, 2, 3], labels=["1", "10", "100", f"≥ {general(LARGEST)}"])


def mark_winners(
    axes: Axes, found: AccuracyResults, pairs: list[tuple[str, float]], methods: list[str]
) -> None:
    """Mark on every pair the cheapest method, or those that are tied."""
    for row in best_of_pairs(found.costs).itertuples():
        column = pairs.index((row.problem, row.target))
        tied = [methods.index(name) for name in row.tied if name in methods]
        face = "white" if len(row.tied) == 1 else "none"
        axes.plot(
            [column] * len(tied),
            tied,
            linestyle="none",
            marker="o",
            markersize=3,
            markerfacecolor=face,
            markeredgecolor="black",
            markeredgewidth=0.7,
        )


def separate(axes: Axes, problems: list[str]) -> None:
    """Draw lines between problems, and their names below."""
    names = list(dict.fromkeys(problems))
    counts: NDArray[np.int64] = np.array([problems.count(name) for name in names])
    ends = np.cumsum(counts)
    for end in ends[:-1]:
        axes.axvline(end - 0.5, color="black", linewidth=0.6)
    axes.set_xticks(ends - counts / 2 - 0.5, names, fontsize=6, rotation=30, ha="right")
