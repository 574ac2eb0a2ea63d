"""What is measured at targets of the accuracy: schedules that suffice, and what tuned methods need."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import NDArray

from theory_check.analysis import RateVerdict, Verdict
from theory_check.analysis.replicates import Band, average_band, median_band
from theory_check.claims.rates import AttainedRate, ScheduleRate
from theory_check.plotting.numbers import general, interval, label_sparsely
from theory_check.plotting.style import STYLE, draw_level, problem_styles


def draw_schedule_rate(
    axes: Axes, verdict: Verdict, rate: ScheduleRate, *, colour: tuple[float, float, float]
) -> None:
    """Draw the accuracy of a schedule over its target against the target, all problems.

    Means over replicates with 95 % intervals, one marker for each problem. The legend has the status and
    the growth at small targets. The declared multiple is a dotted line.

    Parameters
    ----------
    axes
        Where to draw; small targets to the right.
    verdict
        The claim's verdict.
    rate
        One of the claim's rates.
    colour
        Of the whole rate.
    """
    judged = [found for found in verdict.rates if found.rate == rate.name and found.y.size]
    markers = problem_styles([found.problem for found in judged])
    schedule = str(rate.where.get("schedule", rate.name)).removeprefix("control-")
    schedule += ", neural" if verdict.claim.id.endswith("-neural") else ""
    with plt.rc_context(STYLE):
        for found in judged:
            _draw_ratio(
                axes,
                found.x,
                average_band(found.y),
                colour,
                markers[found.problem].marker,
                f"{schedule}, {found.problem}: {found.status}, growth {_interval(found)}",
            )
        _draw_largest_allowed(axes, rate.multiple)
        _scale(axes)
        axes.set_xlabel(rate.x_symbol)
        # What is averaged goes to a line of its own: the label would be longer than a panel.
        quantity, _, average = rate.y_symbol.partition(", ")
        axes.set_ylabel(f"{quantity} / $\\varepsilon$\n{average}".rstrip())


def _draw_largest_allowed(axes: Axes, multiple: float) -> None:
    """Draw and label what the ratio must not exceed, once where several rates share a panel."""
    label = f"theory: at most {general(multiple)}"
    if label in [text.get_text() for text in axes.texts]:
        return
    draw_level(axes, multiple, label)


def draw_attained_rate(
    axes: Axes, verdict: Verdict, rate: AttainedRate, *, colour: tuple[float, float, float]
) -> None:
    """Draw the fewest samples found against the target, all problems, with the stated slope.

    Geometric means over replicates with 95 % intervals, medians where some missed a target; one marker
    for each problem. The slope goes through the first point and is dotted. The legend has p of
    samples ~ target^-p. Parameters
    are those of :func:`draw_schedule_rate`.
    """
    judged = [found for found in verdict.rates if found.rate == rate.name and found.y.size]
    markers = problem_styles([found.problem for found in judged])
    with plt.rc_context(STYLE):
        for found in judged:
            missed = bool(np.isinf(found.y).any())
            band = median_band(found.y) if missed else average_band(found.y, "geometric")
            reached = np.isfinite(band.centre)
            if not reached.any():
                continue
            x, band = found.x[reached], Band(*(part[reached] for part in astuple(band)))
            label = f"{rate.where['method']}, {found.problem}: {_interval(found)}"
            marker = markers[found.problem].marker
            _draw_ratio(axes, x, band, colour, marker, f"{label}, {found.status}")
            ends = np.array([x.max(), x.min()])
            line = band.centre[-1] * (ends / ends[0]) ** -rate.exponent
            axes.plot(ends, line, color="0.35", linestyle=":", linewidth=1.0)
        _scale(axes)
        axes.set(xlabel=rate.x_symbol, ylabel=rate.y_symbol)


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
    label: str,
) -> None:
    axes.errorbar(
        x,
        band.centre,
        yerr=[band.centre - band.low, band.high - band.centre],
        fmt=marker,
        color=colour,
        elinewidth=0.7,
        capsize=1.0,
        linestyle="-",
        linewidth=0.7,
        label=label,
    )


def _interval(found: RateVerdict) -> str:
    estimate = found.numbers.estimate
    return "not judged" if estimate is None else interval(estimate, 2)
