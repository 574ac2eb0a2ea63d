"""Power laws on log-log axes: data with intervals, the predicted slope, the fit in the legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import NDArray

from theory_check.analysis import PowerLawFit, RateVerdict, Verdict
from theory_check.analysis.power_verdict import fitted_exponent
from theory_check.analysis.replicates import Band, average_band, median_band
from theory_check.claims.rates import AttainedRate, PowerRate, ScheduleRate
from theory_check.plotting.numbers import fixed, general, interval, label_sparsely
from theory_check.plotting.style import STYLE, SeriesStyle, draw_level, problem_styles


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

    Points are means over replicates with their 95 % intervals, the line is the fit over its
    window; the predicted slope is a grey line above or below the data, labelled. The legend has
    the fitted exponent with its interval, in both unit conventions where they differ.

    Parameters
    ----------
    axes
        Where to draw.
    verdict
        The claim's verdict.
    rate
        One of the claim's rates.
    label
        Put before each legend entry.
    hollow
        Whether markers are hollow and fits dashed, to set two claims apart.
    slope_label
        Label of the predicted slope; made from the rate when None.
    """
    judged = [found for found in verdict.rates if found.rate == rate.name and found.y.size]
    styles = problem_styles([found.problem for found in judged])
    with plt.rc_context(STYLE):
        for found in judged:
            _draw_series(axes, rate, found, styles[found.problem], label, hollow)
        axes.set(xscale="log", yscale="log", ylabel=rate.y_symbol)
        axes.set_xlabel(_horizontal_label(rate))
        for axis in (axes.xaxis, axes.yaxis):
            label_sparsely(axis)
        if judged:
            _draw_prediction(axes, rate, judged, slope_label, above=not hollow)


def exponent_text(rate: PowerRate, fit: PowerLawFit) -> str:
    """Return the fitted exponent with its interval, and in the other unit convention."""
    found = fitted_exponent(rate, fit)
    text = interval(found, 3)
    if rate.y_units == "norm":
        return f"{text}; squared {fixed(2 * found.value, 2)}"
    if rate.y_units == "squared norm":
        return f"{text}; norm {fixed(found.value / 2, 2)}"
    return text


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
    axes: Axes, rate: PowerRate, found: RateVerdict, style: SeriesStyle, label: str, hollow: bool
) -> None:
    band = average_band(found.y)
    shown = _thinned(found.x.size)
    x = _abscissa(rate, found.x)
    axes.errorbar(
        x[shown],
        band.centre[shown],
        yerr=[(band.centre - band.low)[shown], (band.high - band.centre)[shown]],
        fmt=style.marker,
        color=style.colour,
        markerfacecolor="white" if hollow else style.colour,
        elinewidth=0.8,
        capsize=1.2,
        linestyle="none",
        label=_legend_entry(rate, found, label),
    )
    fit = found.fit
    if not isinstance(fit, PowerLawFit):
        return
    start, stop = fit.window
    ascending = np.sort(found.x)[start:stop]
    curve = fit.predict(ascending) + (fit.floor_level or 0.0)
    axes.plot(
        _abscissa(rate, ascending),
        curve,
        color=style.colour,
        linestyle="--" if hollow else "-",
    )


def _legend_entry(rate: PowerRate, found: RateVerdict, label: str) -> str:
    if isinstance(found.fit, PowerLawFit):
        return f"{label}{found.problem}: {exponent_text(rate, found.fit)}"
    return f"{label}{found.problem}: no fit"


def _draw_prediction(
    axes: Axes, rate: PowerRate, judged: Sequence[RateVerdict], text: str | None, above: bool
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
    label = text or f"theory: {power}"
    middle = len(x) // 2
    rising_above = (drawn_exponent > 0) == above
    axes.annotate(
        label,
        (x[middle], line[middle]),
        xytext=(0, 3 if above else -4),
        textcoords="offset points",
        ha="center" if drawn_exponent == 0 else "right" if rising_above else "left",
        va="bottom" if above else "top",
        fontsize=6.5,
        color="0.25",
    )
    low, high = axes.get_ylim()
    room = (high / low) ** (0.06 if above else 0.2)
    axes.set_ylim(low if above else min(low, line.min()) / room, high * room if above else high)


def _thinned(points: int, most: int = 24) -> NDArray[np.int64]:
    """Return at most ``most`` indices, spread evenly, first and last among them."""
    return np.unique(np.linspace(0, points - 1, min(points, most)).round().astype(np.int64))


def draw_schedule_rate(
    axes: Axes, verdict: Verdict, rate: ScheduleRate, *, colour: tuple[float, float, float]
) -> None:
    """Draw the accuracy of a schedule over its target against the target, all problems.

    Means over replicates with 95 % intervals, one marker for each problem. The legend has the status and
    the growth at small targets. The declared multiple is a dotted line.

    Small targets are to the right. Parameters are those of :func:`draw_power_rate` and

    Parameters
    ----------
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
