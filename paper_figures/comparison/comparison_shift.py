"""Distribution shift: what methods end up with as the true reward leaves the class."""

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis.comparison import ComparisonResults
from theory_check.plotting import STYLE, LineStyle, line_styles, page_figure, shared_legend

SHOWN = {
    "shortfall": "optimal − true return\n(mean, 95 % interval)",
    "policy_regret": "policy regret\n(mean, 95 % interval)",
    "reward_error": "reward error, modulo gauge\n(median, quartiles)",
    "hyperobjective_gap": "Φ above the smallest\namong the methods (mean)",
}


def draw(results: ComparisonResults) -> Figure | None:
    if results.shift.empty:
        return None
    shift = results.shift.assign(family=family_of(results.shift))
    families = list(dict.fromkeys(shift["family"]))
    styles = line_styles(list(results.methods))
    figure, panels = page_figure(len(families) * len(SHOWN), columns=2, row_height=1.9)
    with plt.rc_context(STYLE):
        for at, family in enumerate(families):
            part = shift[shift["family"] == family]
            for axes, (column, label) in zip(
                panels[at * len(SHOWN) :], SHOWN.items(), strict=False
            ):
                for method, curve in part.groupby("method", sort=False):
                    title = results.methods[method].title
                    draw_curve(axes, curve, column, styles[method], title)
                axes.set(
                    title=family,
                    xlabel="distance of the true reward to the class (rms)",
                    ylabel=label,
                    # Errors of methods that leave for infinity would hide all others.
                    yscale="log" if column == "reward_error" else "linear",
                )
    shared_legend(figure, panels, columns=5)
    return figure


def family_of(shift: DataFrame) -> list[str]:
    """Return what a label starts with: the last part is the size of the misspecification."""
    return [label.rpartition("-")[0] or label for label in shift["problem"]]


def draw_curve(axes: Axes, curve: DataFrame, column: str, style: LineStyle, title: str) -> None:
    curve = curve.sort_values("reward_distance")
    ends = f"{column}_low", f"{column}_high"
    reach = (
        [
            (curve[column] - curve[ends[0]]).clip(lower=0).fillna(0),
            (curve[ends[1]] - curve[column]).clip(lower=0).fillna(0),
        ]
        if ends[0] in curve
        else None
    )
    axes.errorbar(
        curve["reward_distance"],
        curve[column],
        yerr=reach,
        color=style.colour,
        marker=style.marker,
        linestyle=style.dashes,
        elinewidth=0.6,
        label=title,
    )
