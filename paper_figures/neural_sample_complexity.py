"""Exponents of the sample complexity: neural classes beside the tabular one."""

from collections.abc import Mapping

import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import RateVerdict, Verdict
from theory_check.plotting import STYLE, column_figure, draw_complexity_rate, legend_below

CLAIMS = ("total-3", "total-3-neural", "total-2", "total-2-neural")
SLOPES = {"total-3-neural": ("slope $-3$", 4.0), "total-2-neural": ("slope $-2$", 1 / 4)}


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    figure, (runs, exponents) = column_figure(rows=2, row_height=3.1)
    palette = sns.color_palette("colorblind", n_colors=len(SLOPES))
    for (claim, (label, offset)), colour in zip(SLOPES.items(), palette, strict=True):
        (rate,) = verdicts[claim].claim.rates
        draw_complexity_rate(
            runs, verdicts[claim], rate, colour=colour, offset=offset, slope_label=label
        )
    runs.invert_xaxis()
    legend_below(runs, "p of samples ∝ accuracy$^{-p}$ (squared norm), 95 % interval")
    with plt.rc_context(STYLE):
        _draw_exponents(exponents, verdicts)
    return figure


def _draw_exponents(axes: Axes, verdicts: Mapping[str, Verdict]) -> None:
    """Draw one row per claim and problem: the interval, and the prediction as a dotted line."""
    tabular, neural = sns.color_palette("dark", n_colors=2)
    row = 0
    for claim in CLAIMS:
        (rate,) = verdicts[claim].claim.rates
        colour = neural if claim.endswith("-neural") else tabular
        first = row
        for found in verdicts[claim].rates:
            axes.annotate(
                f"{claim}, {found.problem}",
                (0.01, row),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=6.5,
            )
            numbers = _interval(found)
            if numbers is not None:
                centre, low, high = numbers
                axes.plot([low, high], [row, row], color=colour, linewidth=1.6)
                axes.plot(centre, row, marker="o", color=colour)
            row += 1
        axes.plot([rate.exponent] * 2, [first - 0.4, row - 0.6], color="0.35", linestyle=":")
    axes.set_yticks([])
    axes.invert_yaxis()
    # The left third is for the names.
    axes.set_xlim(left=axes.get_xlim()[0] - 1.2)
    axes.set_xticks([2, 2.5, 3])
    axes.set_xlabel("p in squared norm, 95 % interval (twice that in norm); dotted: theory")
    axes.xaxis.label.set_fontsize(7)


def _interval(found: RateVerdict) -> tuple[float, float, float] | None:
    """Return exponent, low and high; None where nothing was fitted."""
    if not found.measured:
        return None
    centre, low, high = (found.measured[key] for key in ("exponent", "low", "high"))
    if not all(isinstance(number, float) for number in (centre, low, high)):
        return None
    return float(str(centre)), float(str(low)), float(str(high))
