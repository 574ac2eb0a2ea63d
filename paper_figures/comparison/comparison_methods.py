"""Small multiples: samples over the fewest against the target, one method coloured in each panel."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis.comparison import ComparisonResults
from theory_check.plotting import STYLE, page_figure

COLUMNS = 4
COLOUR = "#0173b2"


def draw(results: ComparisonResults) -> Figure | None:
    found = results.accuracies.get("stationarity")
    if found is None or found.standings.empty:
        return None
    methods = [str(method) for method in found.standings["method"]]
    ratios = over_the_fewest(found.costs[found.costs["ranked"]])
    figure, panels = page_figure(len(methods), columns=COLUMNS, row_height=1.45)
    with plt.rc_context(STYLE):
        for axes, method in zip(panels, methods, strict=True):
            axes.set(xscale="log", yscale="log")
            for other in methods:
                medians = ratios[ratios["method"] == other].groupby("target")["ratio"].median()
                medians = medians[np.isfinite(medians)]
                axes.plot(medians.index, medians, color="0.8", linewidth=0.7, zorder=1)
            own = ratios[ratios["method"] == method]
            for _, curve in own.groupby("problem"):
                curve = curve[np.isfinite(curve["ratio"])]
                axes.plot(curve["target"], curve["ratio"], color=COLOUR, linewidth=0.5, alpha=0.5)
            middle = own.groupby("target")["ratio"].median()
            middle = middle[np.isfinite(middle)]
            axes.plot(middle.index, middle, color=COLOUR, marker="o", markersize=2.5)
            axes.invert_xaxis()
            row = found.standings[found.standings["method"] == method].iloc[0]
            met = f"{row['met']} of {row['pairs']} met"
            axes.set_title(f"{results.methods[method].title}\n{met}", fontsize=6.5)
        # One range for all: panels are there to be compared.
        low, high = zip(*(axes.get_ylim() for axes in panels), strict=True)
        for at, axes in enumerate(panels):
            axes.set_ylim(min(low), max(high))
            axes.tick_params(labelleft=at % COLUMNS == 0)
            if at % COLUMNS == 0:
                axes.set_ylabel("samples / fewest")
            if at + COLUMNS >= len(panels):
                axes.set_xlabel("target")
    figure.suptitle(
        "stationarity: median over problems (dots), each problem (thin), the other methods (grey)",
        fontsize=7.5,
    )
    return figure


def over_the_fewest(costs: DataFrame) -> DataFrame:
    """Return the costs with the column ``ratio``: over the smallest of the same problem and target."""
    best = costs.groupby(["problem", "target"])["median"].transform("min")
    return costs.assign(ratio=costs["median"] / best.where(np.isfinite(best)))
