"""Legends below what they belong to, where they hide no data."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.transforms import Bbox

from theory_check.plotting.style import STYLE

GAP = 4.0
"""Between the horizontal axis, its label included, and the legend, in points."""


class _LegendBelow(Legend):
    """A legend that finds its place anew at every drawing.

    How far tick labels and label reach depends neither on the height of the panel nor on when the
    legend was made, so that no number could be right for all figures.
    """

    def get_bbox_to_anchor(self) -> Bbox:
        """Return the line below the axis to hang from, as wide as the figure."""
        axes = self.axes
        assert axes is not None
        figure = axes.get_figure(root=True)
        assert figure is not None
        axis = axes.xaxis.get_tightbbox()
        bottom = axes.bbox.y0 if axis is None else min(axis.y0, axes.bbox.y0)
        top = bottom - GAP * figure.dpi / 72
        return Bbox.from_extents(figure.bbox.x0, top, figure.bbox.x1, top)


def legend_below(axes: Axes, title: str, columns: int = 1, marker_scale: float = 1.0) -> None:
    """Put the legend of a panel under its axis, in the middle of a figure one column wide.

    Parameters
    ----------
    axes
        The panel.
    title
        Above the entries.
    columns
        Entries beside each other.
    marker_scale
        Size of the markers over that in the panel, for clouds of tiny ones.
    """
    with plt.rc_context(STYLE):
        legend = _LegendBelow(
            axes,
            *axes.get_legend_handles_labels(),
            loc="upper center",
            ncols=columns,
            title=title,
            title_fontsize=6.5,
            columnspacing=1.0,
            borderaxespad=0.0,
            markerscale=marker_scale,
        )
    # Not as a further artist: those are clipped to the panel.
    axes.legend_ = legend


def shared_legend(figure: Figure, panels: Sequence[Axes], columns: int) -> None:
    """Put one legend for all panels below them, an entry for each label."""
    entries = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    with plt.rc_context(STYLE):
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns)
