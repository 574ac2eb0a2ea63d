"""Figures of a paper's width, and how their series look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.container import Container, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox, ScaledTranslation

from theory_check.analysis import Verdict
from theory_check.claims.base import CONTROLS

COLUMN_WIDTH = 3.4
"""Width of one column of a two-column paper, inches."""

PAGE_WIDTH = 7.0
"""Width of both columns, inches."""

MARKERS = ("o", "s", "^", "D", "v", "P")

STYLE: dict[Any, Any] = {
    "font.size": 7.5,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.2,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.4,
    "pdf.fonttype": 42,
}


NOTE: dict[str, Any] = {
    "fontsize": 6.5,
    "color": "0.25",
    "path_effects": [withStroke(linewidth=2.0, foreground="white")],
}
"""How a note inside of a panel is written: also where it lies on data, it is read."""


@dataclass(frozen=True)
class SeriesStyle:
    """How one problem is drawn: colour-blind safe colour and its own marker."""

    colour: tuple[float, float, float]
    marker: str


def column_figure(rows: int, row_height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure one column wide with ``rows`` panels below each other.

    Parameters
    ----------
    rows
        Number of panels.
    row_height
        Height of each, legend included, inches.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows,
            1,
            figsize=(COLUMN_WIDTH, rows * row_height),
            layout="constrained",
            squeeze=False,
        )
    return figure, list(axes[:, 0])


def page_figure(panels: int, columns: int, row_height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure two columns wide with ``panels`` panels, row by row.

    Parameters
    ----------
    panels
        Number of panels.
    columns
        Most panels beside each other.
    row_height
        Height of each row, inches; the legend below all of them takes its own.
    """
    columns = min(columns, panels)
    rows = -(-panels // columns)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=(PAGE_WIDTH, rows * row_height + 0.9),
            layout="constrained",
            squeeze=False,
        )
    for unused in axes.flat[panels:]:
        unused.set_axis_off()
    return figure, list(axes.flat[:panels])


def entitle(axes: Axes, *verdicts: Verdict, subject: str = "", width: int = 56) -> None:
    """Put the claims that a panel shows above it, each with its verdict.

    Parameters
    ----------
    axes
        The panel.
    verdicts
        Of the claims.
    subject
        A line above them, where the ids do not say what the panel is about.
    width
        Letters of a line.
    """
    lines = [subject] if subject else []
    title = "\n".join([*lines, verdict_lines(*verdicts, width=width)])
    axes.set_title(title, loc="left", fontsize=7.5)


def verdict_lines(*verdicts: Verdict, width: int = 56) -> str:
    """Return claims with their verdicts, a line for each verdict; what had to fail says so.

    Lines are wrapped at so many letters, between claims.
    """
    found: dict[str, list[str]] = {}
    for verdict in verdicts:
        claim, status = verdict.claim, str(verdict.status)
        if claim.expected in CONTROLS:
            status += ", as it must" if status == claim.expected else ", but had to fail"
        found.setdefault(status, []).append(claim.id)
    lines = (f"{', '.join(claims)}: {status}" for status, claims in found.items())
    return "\n".join(wrapped(line, width) for line in lines)


def wrapped(text: str, width: int) -> str:
    """Return lines of at most so many letters where words allow it; hyphens are no place to break."""
    return fill(text, width, break_on_hyphens=False, break_long_words=False)


def draw_level(axes: Axes, level: float, label: str, *, above: bool = False) -> None:
    """Draw a horizontal line of the theory, dotted, its label below the right end, or above it.

    Once where several rates share a panel.
    """
    if label in [text.get_text() for text in axes.texts]:
        return
    axes.axhline(level, color="0.35", linestyle=":", linewidth=1.3)
    axes.annotate(
        label,
        (0.99, level),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2 if above else -2),
        textcoords="offset points",
        ha="right",
        va="bottom" if above else "top",
        **NOTE,
    )


def problem_styles(problems: Sequence[str]) -> dict[str, SeriesStyle]:
    """Return a style for each problem, the same for equal lists of problems."""
    *palette, _, grey, _, light_blue = sns.color_palette("colorblind", n_colors=10)
    # Not the palette's yellow and its pale pink, which are hardly seen on white.
    palette += [grey, (0.1, 0.1, 0.1), light_blue]
    return {
        problem: SeriesStyle(palette[index % len(palette)], MARKERS[index % len(MARKERS)])
        for index, problem in enumerate(problems)
    }


@dataclass(frozen=True)
class LineStyle(SeriesStyle):
    """How one of many lines is drawn: no two agree in more than one of colour, marker and dashes."""

    dashes: str


def line_styles(names: Sequence[str]) -> dict[str, LineStyle]:
    """Return a style for each of up to some twenty lines, the same for equal lists of names."""
    palette = sns.color_palette("colorblind", n_colors=8)
    # Not the pale pink, which nearly vanishes on white.
    palette[6] = (0.1, 0.1, 0.1)
    markers = "os^DvP*X<>hpd8"
    dashes = ("-", "--", ":", "-.")
    return {
        name: LineStyle(palette[at % 8], markers[at % len(markers)], dashes[at // 8 % 4])
        for at, name in enumerate(names)
    }


STEP_ASIDE = 1.6
"""Between neighbours that would hide each other, in points."""

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
        # A panel with others beside it has no more than the width of its own column.
        grid = axes.get_gridspec()
        around = figure if grid is None or grid.ncols == 1 else axes
        return Bbox.from_extents(around.bbox.x0, top, around.bbox.x1, top)


def legend_below(axes: Axes, title: str, columns: int = 3, width: int = 76) -> None:
    """Put the legend of a panel under its axis, in the middle of a figure one column wide.

    Entries are names with their markers. Numbers are no entries: the title says those that decide.

    Parameters
    ----------
    axes
        The panel.
    title
        Above the entries, its lines wrapped.
    columns
        Entries beside each other, at most.
    width
        Letters of a line of the title.
    """
    entries = legend_entries([axes])
    with plt.rc_context(STYLE):
        legend = _LegendBelow(
            axes,
            entries.values(),
            entries.keys(),
            loc="upper center",
            ncols=_fitting(list(entries), columns, width - 4),
            title="\n".join(wrapped(line, width) for line in title.splitlines()),
            title_fontsize=6.5,
            columnspacing=1.0,
            borderaxespad=0.0,
        )
    # Not as a further artist: those are clipped to the panel.
    axes.legend_ = legend


def _fitting(labels: Sequence[str], most: int, letters: int) -> int:
    """Return how many columns of labels a line of so many letters has room for, at most ``most``."""
    for columns in range(min(most, len(labels)), 1, -1):
        rows = -(-len(labels) // columns)
        widest = [max(map(len, labels[at : at + rows])) for at in range(0, len(labels), rows)]
        # A marker with the space around it is as wide as seven letters.
        if sum(widest) + 7 * len(widest) <= letters:
            return columns
    return 1


def legend_entries(panels: Sequence[Axes]) -> dict[str, Any]:
    """Return what stands for each label: of data with intervals the marker alone."""
    entries: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            # The first of a label: hollow markers of another claim stand for the same problem.
            known = handle[0] if isinstance(handle, ErrorbarContainer) else handle
            entries.setdefault(label, known)
    # What stands for a colour alone comes before what stands for a marker.
    marked = {label: getattr(entry, "get_marker", str)() for label, entry in entries.items()}
    return dict(sorted(entries.items(), key=lambda each: marked[each[0]] not in ("", "None")))


def shared_legend(figure: Figure, panels: Sequence[Axes], columns: int, title: str = "") -> None:
    """Put one legend for all panels below them, an entry for each label."""
    entries = legend_entries(panels)
    with plt.rc_context(STYLE):
        figure.legend(
            entries.values(),
            entries.keys(),
            loc="outside lower center",
            ncols=max(1, min(columns, len(entries))),
            title=title or None,
            title_fontsize=6.5,
        )


def set_apart(axes: Axes, series: Container | Line2D, place: int, places: int) -> None:
    """Move what is drawn of one of several series sideways, so that none hides another.

    The data stay what they are, and so do the limits of the axes.

    Parameters
    ----------
    axes
        The panel.
    series
        What is moved.
    place, places
        Which of how many series; neighbours are :data:`STEP_ASIDE` apart.
    """
    shift = STEP_ASIDE * (place - (places - 1) / 2) / 72
    figure = axes.get_figure(root=True)
    assert figure is not None
    moved = axes.transData + ScaledTranslation(shift, 0.0, figure.dpi_scale_trans)
    # After drawing: an artist that is made with such a transform enters the limits of the axes shifted
    # by what a point is before these are known.
    for artist in series.get_children() if isinstance(series, Container) else [series]:
        artist.set_transform(moved)


def edged(marker: str, colour: object) -> dict[str, Any]:
    """Return how a violation is drawn: larger than the rest, edged in black, on top of all of it."""
    return {
        "linestyle": "none",
        "marker": marker,
        "color": colour,
        "markersize": 5.0,
        "markeredgecolor": "black",
        "markeredgewidth": 0.8,
        "zorder": 4,
    }
