"""Performance profiles: on what share of problems and accuracies a method is near the best."""

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from theory_check.analysis.comparison import ComparisonResults
from theory_check.plotting import STYLE, column_figure, legend_below, line_styles


def draw(results: ComparisonResults) -> Figure | None:
    profile = results.profile
    if profile is None:
        return None
    styles = line_styles(list(results.methods))
    figure, (axes,) = column_figure(rows=1, row_height=4.2)
    # Between 5 marks a method, staggered, so that steps at one place can be told apart.
    spacing = max(len(profile.factors) // 5, 1)
    with plt.rc_context(STYLE):
        for at, method in enumerate(profile.methods):
            style = styles[method]
            axes.fill_between(
                profile.factors,
                profile.low[at],
                profile.high[at],
                step="post",
                color=style.colour,
                alpha=0.07,
                linewidth=0,
            )
            axes.plot(
                profile.factors,
                profile.share[at],
                drawstyle="steps-post",
                color=style.colour,
                marker=style.marker,
                markevery=(3 * at % spacing, spacing),
                linestyle=style.dashes,
                label=results.methods[method].title,
            )
        axes.set(
            xscale="log",
            ylim=(0, 1.02),
            xlabel="samples / fewest of any sampled method",
            ylabel=f"share of {profile.pairs} problems × accuracies",
        )
    legend_below(axes, f"bands: 95 % over {profile.problems} problems", columns=2)
    return figure
