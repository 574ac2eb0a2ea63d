"""Clouds of too many points to tell apart: pale, with the edge that could break a bound."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from theory_check.plotting.style import SeriesStyle, edged

BINS_PER_DECADE = 1.5
MOST_BINS = 30


def draw_cloud(
    axes: Axes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    style: SeriesStyle,
    *,
    edge: Literal["smallest", "largest"],
    broken: NDArray[np.bool_],
    label: str,
) -> None:
    """Draw points in grey, the edge of their cloud in colour, and those that break a bound on top.

    Parameters
    ----------
    axes
        Where to draw, on logarithmic axes.
    x, y
        The points, shape (n,), all positive.
    style
        Of the edge and of the points that break the bound.
    edge
        Which side of the cloud is nearest to the bound: drawn is that value of ``y`` in each of at most
        :data:`MOST_BINS` intervals of ``x``.
    broken
        Points that break the bound, shape (n,); each is drawn by itself, and the first one of a problem
        named by ``label``.
    label
        Name in the legend.
    """
    axes.loglog(
        x[~broken],
        y[~broken],
        linestyle="none",
        marker=".",
        color="0.75",
        markersize=1.5,
        markeredgewidth=0,
        rasterized=True,
        zorder=1,
    )
    kept = pd.DataFrame({"x": x, "y": y})[~broken]
    if not kept.empty:
        low, high = np.log10([kept["x"].min(), kept["x"].max()])
        bins = int(np.clip(np.ceil(BINS_PER_DECADE * (high - low)), 1, MOST_BINS))
        at = np.minimum(
            (np.log10(kept["x"]) - low) / max(high - low, 1e-12) * bins, bins - 1
        ).astype(int)
        groups = kept.groupby(at)["y"]
        nearest = kept.loc[groups.idxmin() if edge == "smallest" else groups.idxmax()]
        axes.loglog(
            nearest["x"],
            nearest["y"],
            color=style.colour,
            marker=style.marker,
            markersize=2.6,
            linewidth=0.7,
            label=label,
            zorder=2,
        )
    if broken.any():
        axes.loglog(x[broken], y[broken], **edged(style.marker, style.colour))
        axes.annotate(
            label,
            (x[broken][0], y[broken][0]),
            xytext=(-4, 4),
            textcoords="offset points",
            ha="right",
            fontsize=6.5,
            zorder=5,
        )
