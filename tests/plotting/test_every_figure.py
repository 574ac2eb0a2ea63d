"""What every figure has to keep, by discovery: on planted results, laid out as it is saved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.comparison_tables import method, planted
from helpers.planted_figures import planted_results
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from theory_check.analysis import Verdict
from theory_check.analysis.comparison import compare
from theory_check.report.figures import DOTS_PER_INCH, SIGNATURE, load_drawing

SCRIPTS = Path(__file__).resolve().parents[2] / "paper_figures"
OF_CLAIMS = sorted(path.stem for path in SCRIPTS.glob("*.py"))
OF_COMPARISONS = sorted(path.stem for path in (SCRIPTS / "comparison").glob("*.py"))
ALL = [*OF_CLAIMS, *OF_COMPARISONS]
# All tests of a figure one after the other, and in one process, since it is drawn once in each.
EVERY_FIGURE = pytest.mark.parametrize("name", ALL, scope="module")

MOST_ENTRIES = 16
"""Of a legend; one of more is a table."""

HIGHEST = 1.65
"""Height over width of a figure: two panels with their legends, one column wide."""

LONGEST = 40
"""Letters of an entry of a legend: a name, not a row of numbers."""

METHODS = {
    "aho": "AHO",
    "alternating": "alternating RLHF",
    "f3sa": "F2SA with momentum",
    "pbrl-bellman": "PBRL, Bellman penalty",
    "penalty-shared": "penalty, shared batch",
    "exact": "exact hypergradient",
}
STRAY = 5.0
"""By how much one method ends up above all others, on one problem."""


@cache
def drawn(name: str) -> tuple[Figure, dict[str, Verdict]]:
    """Return a figure, laid out at the resolution of its file, and the verdicts in it."""
    # All of them stay open, until the tests of this file are done.
    with pyplot.rc_context({"figure.max_open_warning": 0}):
        if name in OF_COMPARISONS:
            module = load_drawing(SCRIPTS / "comparison" / f"{name}.py", "draw(results)")
            figure, verdicts = module.draw(_compared()), {}
        else:
            module = load_drawing(SCRIPTS / f"{name}.py", SIGNATURE)
            verdicts, tables = planted_results(module)
            figure = module.draw(verdicts, tables)
    figure.set_dpi(DOTS_PER_INCH)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure, verdicts


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    """Close the figures that the tests of this file share."""
    yield
    drawn.cache_clear()
    pyplot.close("all")


@cache
def _compared() -> object:
    known = {name: replace(method(name, 2.0), title=title) for name, title in METHODS.items()}
    problems = ("bandit-realisable-excess", "garnet-discounted-cross", "four-rooms-cross")
    costs = [
        planted(name, problem=problem, level=10.0 ** (1 + (at + place) % 4), exact=name == "exact")
        for at, name in enumerate(known)
        for place, problem in enumerate(problems)
    ]
    shift = [
        planted(
            name,
            problem=f"{family}-{distance}",
            targets=(0.1,),
            reward_distance=distance,
            true_return=0.9 - 0.1 * distance * (1 + at),
            policy_regret=0.1 * distance * (1 + at),
        )
        .assign(reward_error=0.1 + distance * (1 + at))
        .assign(hyperobjective=0.6 + 0.01 * at + STRAY * (name == "f3sa" and distance == 0))
        for at, name in enumerate(known)
        for family in ("bandit-shift", "garnet-episodic-shift")
        for distance in (0.0, 0.5, 1.0, 2.0)
    ]
    return compare(pd.concat(costs), pd.concat(shift), known, dict.fromkeys(problems, ""))


def legends(figure: Figure) -> list[Legend]:
    of_panels = [axes.get_legend() for axes in figure.axes]
    return [*figure.legends, *(legend for legend in of_panels if legend is not None)]


def titles(figure: Figure) -> str:
    """Return all that stands above panels, and above the figure, on one line."""
    texts = [axes.get_title(loc=place) for axes in figure.axes for place in ("left", "center")]
    above = figure.get_suptitle()
    return " ".join(" ".join([above, *texts]).split())


def texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Return every text that is shown, with its box in pixels; a legend is one."""
    found: list[tuple[str, Bbox]] = []
    for legend in legends(figure):
        found.append(("legend", legend.get_window_extent()))
    shown: list[Text] = list(figure.texts)
    for label in (figure._suptitle, figure._supxlabel, figure._supylabel):  # type: ignore[attr-defined]
        shown += [] if label is None or label in shown else [label]
    for axes in figure.axes:
        if not axes.axison:
            continue
        shown += [axes.title, axes._left_title, *axes.texts]  # type: ignore[attr-defined]
        for axis in (axes.xaxis, axes.yaxis):
            shown.append(axis.label)
            # Boxes around slanted text overlap where the text does not.
            if any(tick.label1.get_rotation() % 90 for tick in axis.get_major_ticks()):
                continue
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                inside = low * (1 - 1e-9) <= tick.get_loc() <= high * (1 + 1e-9)
                shown += [tick.label1] if inside and tick.label1.get_visible() else []
    for text in shown:
        if text.get_text().strip() and text.get_visible():
            # A thin frame, so that texts that touch do not count.
            box = Text.get_window_extent(text)
            found.append((text.get_text(), box.padded(-0.75)))
    return found


@pytest.mark.slow
@EVERY_FIGURE
def test_no_text_lies_on_another_or_outside_of_the_figure(name: str) -> None:
    figure, _ = drawn(name)
    box = figure.bbox.padded(1.0)
    found = texts(figure)
    outside = [text for text, place in found if not _contains(box, place)]
    on_another = [
        (one, other)
        for (one, first), (other, second) in combinations(found, 2)
        if first.overlaps(second)
    ]
    assert outside == []
    assert on_another == []


@pytest.mark.slow
@EVERY_FIGURE
def test_no_note_crosses_the_axis_below_it_or_the_edge_above(name: str) -> None:
    """One that begins within a panel ends within it."""
    figure, _ = drawn(name)
    crossing = []
    for axes in figure.axes:
        panel = axes.get_window_extent()
        for note in axes.texts:
            box = Text.get_window_extent(note).padded(-0.75)
            beside = box.x0 > panel.x1 or box.x1 < panel.x0
            within = panel.y0 <= box.y0 and box.y1 <= panel.y1
            if note.get_visible() and note.get_text().strip() and not beside and not within:
                crossing.append(note.get_text())
    assert crossing == []


def _contains(outer: Bbox, inner: Bbox) -> bool:
    return (
        outer.x0 <= inner.x0
        and outer.y0 <= inner.y0
        and inner.x1 <= outer.x1
        and inner.y1 <= outer.y1
    )


@pytest.mark.slow
@EVERY_FIGURE
def test_legends_are_no_tables(name: str) -> None:
    for legend in legends(drawn(name)[0]):
        entries = [text.get_text() for text in legend.get_texts()]
        assert len(entries) <= MOST_ENTRIES
        assert [entry for entry in entries if "[" in entry or len(entry) > LONGEST] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_CLAIMS, scope="module")
def test_titles_have_every_claim_with_its_verdict(name: str) -> None:
    figure, verdicts = drawn(name)
    above = titles(figure)
    assert above
    for claim, verdict in verdicts.items():
        # Claims of one verdict share a line: "one, other: holds".
        shown = rf"(^|[ ,]){re.escape(claim)}(, [\w/-]+)*: {verdict.status}"
        assert re.search(shown, above), f"{claim}: {verdict.status} is not in {above!r}"


@pytest.mark.slow
@EVERY_FIGURE
def test_no_figure_is_higher_than_a_screen(name: str) -> None:
    width, height = drawn(name)[0].get_size_inches()
    assert height <= HIGHEST * width


@pytest.mark.slow
@EVERY_FIGURE
def test_no_axis_is_flattened(name: str) -> None:
    """The central 90 % of what is drawn takes at least a third of the axis that it is read from.

    An outlier, or a line of the theory far away, would leave a strip. Where the theory is a level, or
    says that something is constant, a strip is what it predicts.
    """
    shares = {
        axes.get_title(loc="left") or axes.get_title(): share
        for axes in drawn(name)[0].axes
        if (share := _share(axes)) is not None
    }
    assert {title: share for title, share in shares.items() if share < 1 / 3} == {}


def test_an_outlier_flattens_an_axis() -> None:
    """The other way round: 39 points over two decades below 1, and one at a hundred.

    The quantiles are 35.1 steps of 2/38 decades apart, the axis is four decades and a tenth of that.
    """
    axes = Figure().add_subplot()
    axes.plot(range(40), [*np.geomspace(0.01, 1, 39), 100.0])
    share = _share(axes)
    assert share is not None
    assert share < 0.01
    axes.set_yscale("log")
    assert _share(axes) == pytest.approx(35.1 * 2 / 38 / 4.4, abs=0.01)


def _share(axes: Axes) -> float | None:
    """Return which part of its axis the central 90 % of the points of a panel take.

    That axis is x where y lists names, from above. None where nothing is drawn but pictures, or where
    the theory draws a level across it.
    """
    names = axes.get_ylim()[0] > axes.get_ylim()[1]
    if axes.images or any(_level(axes, line, vertical=names) for line in axes.lines):
        return None
    points = [_points(axes, line) for line in axes.lines]
    if sum(map(len, points)) < 3:
        return None
    low, high = np.quantile(np.concatenate(points)[:, 0 if names else 1], [0.05, 0.95])
    return float(high - low)


def _of_the_theory(line: Line2D) -> bool:
    return line.get_color() in ("0.35", "0.2")


def _level(axes: Axes, line: Line2D, *, vertical: bool) -> bool:
    values = np.asarray(line.get_data()[0 if vertical else 1], dtype=float)
    return _of_the_theory(line) and values.size > 0 and bool((values == values[0]).all())


def _points(axes: Axes, line: Line2D) -> np.ndarray:
    """Return the points of a line of data as shares of both axes."""
    if _of_the_theory(line) or not line.get_transform().contains_branch(axes.transData):
        return np.empty((0, 2))
    data = np.column_stack([np.asarray(part, dtype=float) for part in line.get_data()])
    with np.errstate(all="ignore"):
        shares = axes.transAxes.inverted().transform(axes.transData.transform(data))
    seen = (shares >= 0) & (shares <= 1)
    return shares[np.isfinite(shares).all(axis=1) & seen.all(axis=1)]
