"""Performance and data profiles: on what share of problems and accuracies a method is near the best."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from theory_check.analysis.comparison import ComparisonResults, Profile
from theory_check.plotting import STYLE, LineStyle, line_styles, page_figure

# Least distance between the names at the ends of lines, in shares.
APART = 0.062
# Intervals of each method.
BARS = 3


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
        f"bars: 95 % intervals over problems; {shown[0][2].problems} problems", fontsize=6.5
    )
    return figure


def draw_intervals(axes: Axes, profile: Profile, at: int, style: LineStyle) -> None:
    """Draw intervals of a method at a few factors of its own: areas of many would be a fog."""
    span = np.log10(profile.factors)
    shares = (np.arange(BARS) + (at + 0.5) / len(profile.methods)) / BARS
    here = np.searchsorted(span, span[0] + shares * (span[-1] - span[0]), side="right") - 1
    centre, low, high = (each[at][here] for each in (profile.share, profile.low, profile.high))
    axes.errorbar(
        10 ** (span[0] + shares * (span[-1] - span[0])),
        centre,
        yerr=[np.maximum(centre - low, 0), np.maximum(high - centre, 0)],
        linestyle="none",
        color=style.colour,
        elinewidth=0.7,
        capsize=1.2,
    )


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
        draw_intervals(axes, profile, at, style)
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
