"""Performance and data profiles: on what share of problems and accuracies a method is near the best."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from theory_check.analysis.comparison import ComparisonResults, Profile
from theory_check.plotting import STYLE, LineStyle, line_styles, page_figure

# Least distance between the names at the ends of lines, in shares.
APART = 0.062
# Of the intervals behind the ends, as a share of the width of the curves.
STRIP = 0.45


def draw(results: ComparisonResults) -> Figure | None:
    shown = [
        (accuracy, kind, profile)
        for accuracy, found in results.accuracies.items()
        for kind, profile in (("performance", found.performance), ("data", found.data))
        if profile is not None
    ]
    if not shown:
        return None
    styles = line_styles(list(results.methods))
    titles = {name: method.title for name, method in results.methods.items()}
    figure, panels = page_figure(len(shown), columns=2, row_height=3.0)
    with plt.rc_context(STYLE):
        for axes, (accuracy, kind, profile) in zip(panels, shown, strict=True):
            draw_profile(axes, profile, styles, titles)
            unit = "of the pair" if kind == "performance" else "for the problem's largest target"
            axes.set(
                title=f"{accuracy}: {kind} profile",
                xlabel=f"samples / fewest {unit}",
                ylabel=f"share of {profile.pairs} problems × accuracies",
            )
    figure.supxlabel(
        f"points: ends of the curves with 95 % intervals over problems; {shown[0][2].problems} problems",
        fontsize=6.5,
    )
    return figure


def draw_intervals(axes: Axes, profile: Profile, styles: dict[str, LineStyle]) -> None:
    """Draw the intervals of the ends, in a strip behind them: areas of many methods would be a fog."""
    first, last = np.log10(profile.factors[[0, -1]])
    order = np.argsort(-profile.share[:, -1], kind="stable")
    places = 10 ** (last + STRIP * (last - first) * (np.arange(order.size) + 0.7) / order.size)
    for at, place in zip(order, places, strict=True):
        centre, low, high = (each[at, -1] for each in (profile.share, profile.low, profile.high))
        reach = [[np.nan_to_num(max(centre - low, 0))], [np.nan_to_num(max(high - centre, 0))]]
        colour = styles[profile.methods[at]].colour
        axes.errorbar(
            place, centre, yerr=reach, color=colour, marker=".", markersize=3.5, elinewidth=0.8
        )
    axes.set_xlim(10**first / 1.2, 10 ** (last + STRIP * 1.05 * (last - first)))


def draw_profile(
    axes: Axes, profile: Profile, styles: dict[str, LineStyle], titles: dict[str, str]
) -> None:
    """Draw the lines, with the name of each at its end."""
    axes.set(xscale="log", ylim=(0, 1.02))
    for at, method in enumerate(profile.methods):
        style = styles[method]
        axes.plot(
            profile.factors,
            profile.share[at],
            drawstyle="steps-post",
            color=style.colour,
            linestyle=style.dashes,
            linewidth=1.0,
        )
    draw_intervals(axes, profile, styles)
    ends = profile.share[:, -1]
    order = np.argsort(ends, kind="stable")
    places = ends[order].copy()
    for at in range(1, len(places)):
        places[at] = max(places[at], places[at - 1] + APART)
    # Names that were pushed above the panel come down together.
    places -= max(0.0, places[-1] - 1.0)
    for at in range(len(places) - 1, 0, -1):
        places[at - 1] = min(places[at - 1], places[at] - APART)
    for at, place in zip(order, places, strict=True):
        method = profile.methods[at]
        axes.annotate(
            titles[method],
            (1.0, ends[at]),
            xycoords=("axes fraction", "data"),
            xytext=(1.04, place),
            textcoords=("axes fraction", "data"),
            fontsize=5.5,
            color=styles[method].colour,
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "linewidth": 0.4,
                "color": styles[method].colour,
                "relpos": (0.0, 0.5),
                "shrinkA": 0.0,
                "shrinkB": 0.0,
            },
        )
