"""Power laws on log-log axes: data with intervals, the predicted slope, the fit over its window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from theory_check.analysis import PowerLawFit, RateVerdict, Verdict
from theory_check.analysis.replicates import Band, average_band, median_band
from theory_check.claims.rates import AttainedRate, PowerRate, ScheduleRate
from theory_check.plotting.numbers import general, label_sparsely
from theory_check.plotting.style import (
    NOTE,
    STYLE,
    SeriesStyle,
    draw_level,
    edged,
    problem_styles,
    set_apart,
)
from theory_check.plotting.summaries import schedule_name

PREDICTION = "prediction"
"""What the label of a predicted slope is known by."""


def draw_power_rate(
    axes: Axes,
    verdict: Verdict,
    rate: PowerRate,
    *,
    label: str = "",
    hollow: bool = False,
    slope_label: str | None = None,
) -> None:
    """Draw one rate of a verdict on log-log axes, all problems.

    Points are means over replicates with their 95 % intervals, those of several problems moved apart
    sideways; the line is the fit over its window, the predicted slope a grey line above or below the
    data, labelled. What was fitted is said by :func:`theory_check.plotting.summaries.power_summary`.

    Parameters
    ----------
    axes
        Where to draw.
    verdict
        The claim's verdict.
    rate
        One of the claim's rates.
    label
        Put above the label of the predicted slope, where a panel shows several claims.
    hollow
        Whether markers are hollow and fits dashed, to set two claims apart.
    slope_label
        Label of the predicted slope; made from the rate when None.
    """
    judged = [found for found in verdict.rates if found.rate == rate.name and found.y.size]
    styles = problem_styles([found.problem for found in judged])
    with plt.rc_context(STYLE):
        for place, found in enumerate(judged):
            for series in _draw_series(axes, rate, found, styles[found.problem], hollow):
                set_apart(axes, series, place, len(judged))
        axes.set(xscale="log", yscale="log", ylabel=rate.y_symbol)
        axes.set_xlabel(_horizontal_label(rate))
        for axis in (axes.xaxis, axes.yaxis):
            label_sparsely(axis)
        if judged:
            _draw_prediction(axes, rate, judged, label, slope_label, above=not hollow)


def _inverted(rate: PowerRate) -> bool:
    """Whether 1/x is drawn: where it, and not x, is what grows in the statement."""
    return rate.reciprocal and rate.limit == "zero"


def _horizontal_label(rate: PowerRate) -> str:
    """Return the symbol of what is drawn: a reciprocal rate's own symbol is that of 1/x."""
    if rate.reciprocal and not _inverted(rate):
        return rate.x_symbol.replace("1/", "")
    return rate.x_symbol


def _abscissa(rate: PowerRate, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / x if _inverted(rate) else x


def _draw_series(
    axes: Axes,
    rate: PowerRate,
    found: RateVerdict,
    style: SeriesStyle,
    hollow: bool,
) -> list[ErrorbarContainer | Line2D]:
    band = average_band(found.y)
    shown = _thinned(found.x.size)
    x = _abscissa(rate, found.x)
    points = axes.errorbar(
        x[shown],
        band.centre[shown],
        yerr=[(band.centre - band.low)[shown], (band.high - band.centre)[shown]],
        fmt=style.marker,
        color=style.colour,
        markerfacecolor="white" if hollow else style.colour,
        elinewidth=0.8,
        capsize=1.2,
        linestyle="none",
        label=found.problem,
    )
    fit = found.fit
    if not isinstance(fit, PowerLawFit):
        return [points]
    start, stop = fit.window
    ascending = np.sort(found.x)[start:stop]
    curve = fit.predict(ascending) + (fit.floor_level or 0.0)
    line = axes.plot(
        _abscissa(rate, ascending),
        curve,
        color=style.colour,
        linestyle="--" if hollow else "-",
    )
    return [points, *line]


def _draw_prediction(
    axes: Axes,
    rate: PowerRate,
    judged: Sequence[RateVerdict],
    claim: str,
    text: str | None,
    above: bool,
) -> None:
    """Draw the predicted slope a factor of three away from all data."""
    x = np.sort(_abscissa(rate, judged[0].x))
    means = [average_band(found.y).centre for found in judged]
    order = np.argsort(_abscissa(rate, judged[0].x))
    extreme = np.max(means, axis=0) if above else np.min(means, axis=0)
    drawn_exponent = -rate.exponent if rate.reciprocal and not _inverted(rate) else rate.exponent
    shape = x**drawn_exponent
    ratio = extreme[order] / shape
    level = 2.5 * ratio.max() if above else ratio.min() / 2.5
    line = level * shape
    axes.plot(x, line, color="0.35", linestyle=":", linewidth=1.3)
    variable = f"({rate.x_symbol})" if rate.reciprocal else rate.x_symbol
    if rate.exponent == 0:
        power = "constant"
    elif rate.exponent == 1:
        power = f"∝ {variable}"
    else:
        power = f"∝ {variable}$^{{{general(rate.exponent)}}}$"
    label = text or "\n".join(each for each in (claim, f"theory: {power}") if each)
    # Under a rising line there may be a steeper one, which is farther away at the left.
    middle = len(x) // (6 if not above and drawn_exponent > 0 else 2)
    rising_above = (drawn_exponent > 0) == above
    axes.annotate(
        label,
        (x[middle], line[middle]),
        xytext=(0, 3 if above else -4),
        textcoords="offset points",
        ha="center" if drawn_exponent == 0 else "right" if rising_above else "left",
        va="bottom" if above else "top",
        gid=PREDICTION,
        **NOTE,
    )
    if not above:
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, line.min()), high)
    _make_room(axes)


def _make_room(axes: Axes) -> None:
    """Extend an axis until the labels of all predictions fit, each a share of what it then is."""
    low, high = np.log10(axes.get_ylim())
    labels = [note for note in axes.texts if note.get_gid() == PREDICTION]
    for _ in range(20):
        for note in labels:
            anchor = np.log10(note.xy[1])  # type: ignore[attr-defined]
            room = (0.04 + 0.09 * (note.get_text().count("\n") + 1)) * (high - low)
            if note.get_verticalalignment() == "bottom":
                high = max(high, anchor + room)
            else:
                low = min(low, anchor - room)
    axes.set_ylim(10**low, 10**high)


def _thinned(points: int, most: int = 24) -> NDArray[np.int64]:
    """Return at most ``most`` indices, spread evenly, first and last among them."""
    return np.unique(np.linspace(0, points - 1, min(points, most)).round().astype(np.int64))


def draw_schedule_rate(
    axes: Axes,
    verdict: Verdict,
    rate: ScheduleRate,
    *,
    colour: tuple[float, float, float],
    problems: Sequence[str] = (),
) -> None:
    """Draw the accuracy of a schedule over its target against the target, all problems.

    Means over replicates with 95 % intervals, one marker for each problem. The legend has the schedule by
    its colour and the problems by their markers. The declared multiple is a dotted line, and what lies
    above it edged in black.

    Small targets are to the right. Parameters are those of :func:`draw_power_rate` and

    Parameters
    ----------
    colour
        Of the whole rate.
    problems
        All that the panel shows, in the order of their markers; those of the rate when empty.
    """
    judged = [found for found in verdict.rates if found.rate == rate.name and found.y.size]
    markers = problem_styles(problems or [found.problem for found in judged])
    places = list(markers)
    with plt.rc_context(STYLE):
        for found in judged:
            band, marker = average_band(found.y), markers[found.problem].marker
            above = band.centre > rate.multiple
            (beyond,) = axes.plot(found.x[above], band.centre[above], **edged(marker, colour))
            place = places.index(found.problem)
            set_apart(axes, _draw_ratio(axes, found.x, band, colour, marker), place, len(places))
            set_apart(axes, beyond, place, len(places))
        _name(axes, schedule_name(verdict, rate), colour, {f.problem: markers for f in judged})
        draw_level(axes, rate.multiple, f"theory: at most {general(rate.multiple)}")
        _scale(axes)
        axes.set_xlabel(rate.x_symbol)
        # What is averaged goes to a line of its own: the label would be longer than a panel.
        quantity, _, average = rate.y_symbol.partition(", ")
        axes.set_ylabel(f"{quantity} / $\\varepsilon$\n{average}".rstrip())


def _name(
    axes: Axes,
    colour_of: str,
    colour: tuple[float, float, float],
    markers: Mapping[str, Mapping[str, SeriesStyle]],
) -> None:
    """Enter into the legend what a colour and what markers stand for, each of them once."""
    known = {str(line.get_label()) for line in axes.lines}
    if colour_of not in known:
        axes.plot([], [], color=colour, linewidth=2.0, label=colour_of)
    for problem, styles in markers.items():
        if problem not in known:
            marker = styles[problem].marker
            axes.plot([], [], color="0.35", marker=marker, linestyle="none", label=problem)


def draw_attained_rate(
    axes: Axes,
    verdict: Verdict,
    rate: AttainedRate,
    *,
    colour: tuple[float, float, float],
    problems: Sequence[str] = (),
) -> None:
    """Draw the fewest samples found against the target, all problems, with the stated slope.

    Geometric means over replicates with 95 % intervals, medians where some missed a target; one marker
    for each problem. The slope goes through the first point of the most expensive problem, is dotted
    and has its power at its end. Parameters are those of :func:`draw_schedule_rate`.
    """
    judged = [found for found in verdict.rates if found.rate == rate.name and found.y.size]
    markers = problem_styles(problems or [found.problem for found in judged])
    starts: list[tuple[float, NDArray[np.float64]]] = []
    with plt.rc_context(STYLE):
        for found in judged:
            missed = bool(np.isinf(found.y).any())
            band = median_band(found.y) if missed else average_band(found.y, "geometric")
            reached = np.isfinite(band.centre)
            if not reached.any():
                continue
            x, band = found.x[reached], Band(*(part[reached] for part in astuple(band)))
            _draw_ratio(axes, x, band, colour, markers[found.problem].marker)
            starts.append((band.centre[-1], np.array([x.max(), x.min()])))
        _name(axes, str(rate.where["method"]), colour, {f.problem: markers for f in judged})
        axes.set(xlabel=rate.x_symbol, ylabel=rate.y_symbol)
        if starts:
            # Without anything to show a logarithmic axis has no ticks.
            _scale(axes)
            level, ends = max(starts, key=lambda start: start[0])
            line = level * (ends / ends[0]) ** -rate.exponent
            axes.plot(ends, line, color="0.2", linestyle=":", linewidth=1.0, zorder=3)
            power = f"$\\varepsilon^{{-{general(rate.exponent)}}}$"
            if power not in [text.get_text() for text in axes.texts]:
                axes.annotate(
                    power,
                    (ends[1], line[1]),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    **NOTE,
                    annotation_clip=False,
                )


def _scale(axes: Axes) -> None:
    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        label_sparsely(axis)


def _draw_ratio(
    axes: Axes,
    x: NDArray[np.float64],
    band: Band,
    colour: tuple[float, float, float],
    marker: str,
) -> ErrorbarContainer:
    return axes.errorbar(
        x,
        band.centre,
        yerr=[band.centre - band.low, band.high - band.centre],
        fmt=marker,
        color=colour,
        elinewidth=0.7,
        capsize=1.0,
        linestyle="-",
        linewidth=0.7,
    )
