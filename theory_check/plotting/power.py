"""Power laws on log-log axes: data with intervals, the predicted slope, the fit in the legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import NDArray

from theory_check.analysis import PowerLawFit, RateVerdict, Verdict
from theory_check.analysis.power_verdict import fitted_exponent
from theory_check.analysis.replicates import average_band
from theory_check.claims.rates import PowerRate
from theory_check.plotting.numbers import fixed, general, interval, label_sparsely
from theory_check.plotting.style import STYLE, SeriesStyle, problem_styles


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
