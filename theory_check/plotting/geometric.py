"""Geometric decay: how far it departs from the fitted law, and the factors that were found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from theory_check.analysis import RateVerdict
from theory_check.analysis.replicate_verdicts import geometric_collapse
from theory_check.plotting.numbers import interval, label_sparsely
from theory_check.plotting.style import NOTE, SeriesStyle

DECADES = np.linspace(1, 11, 41)
"""Below the fitted prefactor, where departures are drawn."""

SMALLEST_REACH, LARGEST_REACH = 2.0, 100.0
"""Factors of departure up to which an axis reaches, at least and at most."""


def draw_departures(
    axes: Axes, found: RateVerdict, style: SeriesStyle, *, name: str = "", hollow: bool = False
) -> None:
    """Draw a geometric decay over its own fitted law ``C rho**x``; a power law leaves 1 upwards.

    Parameters
    ----------
    axes
        Where to draw; the level 1 is drawn and labelled once.
    found
        The verdict on a geometric rate of one problem.
    style
        Of the problem.
    name
        In the legend; the problem when empty.
    hollow
        Whether markers are hollow and the line dashed, and no area is drawn.
    """
    curves = geometric_collapse(found.x, found.y, DECADES) * 10.0**DECADES
    # A decade that fewer than half of the replicates reach has no median to speak of.
    reached = np.isfinite(curves).mean(0) >= 0.5
    if not reached.any():
        return
    low, middle, high = np.nanquantile(curves[:, reached], [0.025, 0.5, 0.975], axis=0)
    x = DECADES[reached]
    if not hollow:
        axes.fill_between(x, low, high, color=style.colour, alpha=0.15, linewidth=0)
    axes.semilogy(
        x,
        middle,
        color=style.colour,
        marker=style.marker,
        markerfacecolor="white" if hollow else style.colour,
        markevery=4,
        linestyle="--" if hollow else "-",
        label=name or found.problem,
    )
    # The ends of a few decades alone would flatten the rest.
    ends = [middle, *(() if hollow else (np.quantile(low, 0.2), np.quantile(high, 0.8)))]
    departures = np.abs(np.log10(np.hstack(ends)))
    known = axes.get_ylim()[1] if axes.texts else SMALLEST_REACH
    reach = min(max(1.3 * 10 ** float(departures.max()), known), LARGEST_REACH)
    axes.set_ylim(1 / reach, reach)
    label_sparsely(axes.yaxis)
    if not axes.texts:
        axes.axhline(1.0, color="0.35", linestyle=":", linewidth=1.3)
        axes.annotate(
            "dotted: theory, 1 throughout",
            (0.98, 0.03),
            xycoords="axes fraction",
            ha="right",
            **NOTE,
        )


def geometric_summary(found: Sequence[RateVerdict]) -> str:
    """Return the smallest and the largest factor, for the title of a legend."""
    factors = [(each.numbers.estimate, each.problem) for each in found if each.numbers.estimate]
    if not factors:
        return "no factor was fitted"
    ends = sorted(factors, key=lambda each: each[0].value)
    (low, first), (high, last) = ends[0], ends[-1]
    if len(factors) == 1:
        return f"factor ρ per step: {interval(low, 3)}"
    return f"factor ρ per step: {interval(low, 3)} ({first})\nto {interval(high, 3)} ({last})"
