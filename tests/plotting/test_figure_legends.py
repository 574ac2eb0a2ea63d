"""Legends hang from the axis, whatever the height of the panel and the number of entries."""

from __future__ import annotations

import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from theory_check.plotting import column_figure, legend_below
from theory_check.plotting.style import GAP

LABELS = ("x", r"$\sigma$", "two\nlines")


def boxes(figure: Figure, axes: Axes) -> tuple[Bbox, Bbox]:
    """Return the legend's box and that of the axis above it, in points."""
    figure.draw_without_rendering()
    legend, axis = axes.get_legend(), axes.xaxis.get_tightbbox()
    assert legend is not None
    assert axis is not None
    scale = 72 / figure.dpi
    return tuple(  # type: ignore[return-value]
        Bbox(box.get_points() * scale) for box in (legend.get_window_extent(), axis)
    )


@pytest.mark.slow
@pytest.mark.parametrize("entries", [1, 4, 9])
@pytest.mark.parametrize("height", [1.6, 2.5, 4.5])
def test_a_legend_never_touches_the_axis(entries: int, height: float) -> None:
    figure, panels = column_figure(rows=2, row_height=height + 0.13 * entries)
    for axes in panels:
        for entry in range(entries):
            axes.loglog([1e-8, 1], [1, 2], label=f"problem {entry}: 1.000 [0.999, 1.001]")
        axes.set_xlabel(r"$\sigma$")
        legend_below(axes, "fitted exponent, 95 % interval")
    for axes in panels:
        legend, axis = boxes(figure, axes)
        assert axis.y0 - legend.y1 == pytest.approx(GAP, abs=1.0)
        assert legend.x0 >= 0
        assert legend.x1 <= 72 * figure.get_figwidth()
    (upper, _), below = boxes(figure, panels[0]), panels[1].get_tightbbox()
    assert below is not None
    assert below.y1 * 72 / figure.dpi <= upper.y0
    pyplot.close(figure)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("rotation", [0, 60])
def test_what_is_put_on_the_axis_later_moves_the_legend(label: str, rotation: int) -> None:
    figure, (axes,) = column_figure(rows=1, row_height=3.0)
    axes.plot([0, 1], [0, 1], label="only")
    legend_below(axes, "title")
    axes.set_xlabel(label)
    axes.set_xticks([0, 1], ["a long label", "another long label"], rotation=rotation)
    legend, axis = boxes(figure, axes)
    assert axis.y0 - legend.y1 == pytest.approx(GAP, abs=1.0)
    pyplot.close(figure)


def test_markers_of_a_cloud_are_larger_in_the_legend() -> None:
    figure, (axes,) = column_figure(rows=1, row_height=3.0)
    axes.plot([0], [0], "o", markersize=2, label="cloud")
    legend_below(axes, "title", marker_scale=2.5)
    legend = axes.get_legend()
    assert legend is not None
    assert legend.legend_handles[0].get_markersize() == 5.0  # type: ignore[union-attr]
    pyplot.close(figure)
