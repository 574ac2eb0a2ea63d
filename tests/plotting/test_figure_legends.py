"""Legends hang from the axis, whatever the height of the panel and the number of entries."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from theory_check.plotting import column_figure, legend_below, set_apart
from theory_check.plotting.style import GAP, STEP_ASIDE

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


@pytest.mark.parametrize(
    ("letters", "columns"), [(8, 3), (25, 2), (60, 1)], ids=("names", "long names", "sentences")
)
def test_entries_stand_beside_each_other_where_there_is_room(letters: int, columns: int) -> None:
    figure, (axes,) = column_figure(rows=1, row_height=3.0)
    for entry in range(6):
        axes.plot([0, 1], [0, 1], "o", label=f"{entry}" + "x" * (letters - 1))
    legend_below(axes, "title")
    figure.draw_without_rendering()
    legend = axes.get_legend()
    assert legend is not None
    places = {round(text.get_window_extent().x0) for text in legend.get_texts()}
    assert len(places) == columns
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    pyplot.close(figure)


def test_entries_are_names_of_markers_without_bars() -> None:
    """One for each name, those that stand for a colour first."""
    figure, (axes,) = column_figure(rows=1, row_height=3.0)
    for hollow in (False, True):
        face = "white" if hollow else "red"
        axes.errorbar(
            [1, 2], [1, 2], yerr=0.1, fmt="o", color="red", markerfacecolor=face, label="problem"
        )
    axes.plot([], [], color="red", label="schedule")
    legend_below(axes, "title")
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["schedule", "problem"]
    problem = legend.legend_handles[1]
    assert isinstance(problem, Line2D)
    assert problem.get_markerfacecolor() == "red"
    pyplot.close(figure)


def test_series_are_set_apart_where_they_are_drawn_and_not_in_their_data() -> None:
    figure, (axes,) = column_figure(rows=1, row_height=3.0)
    series = [axes.errorbar([1e-3, 1], [1, 2], yerr=0.1) for _ in range(3)]
    axes.set_xscale("log")
    before = axes.get_xlim()
    for place, each in enumerate(series):
        set_apart(axes, each, place, len(series))
    figure.draw_without_rendering()
    assert axes.get_xlim() == before
    drawn = [line[0].get_transform().transform((1.0, 1.0))[0] for line in series]
    np.testing.assert_allclose(np.diff(drawn), STEP_ASIDE * figure.dpi / 72)
    for line, _, bars in series:
        np.testing.assert_array_equal(line.get_xdata(), [1e-3, 1])
        assert bars[0].get_transform() == line.get_transform()
    pyplot.close(figure)
