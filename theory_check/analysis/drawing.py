"""A verdict on an ``Axes`` of one's own: observations with intervals, the fit, and what is predicted.

Figures of a paper are drawn by ``theory_check.plotting``, which has a style for each kind of rate; here
every kind is drawn alike, by what a verdict itself knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from theory_check.analysis.intervals import mean_interval, median_interval
from theory_check.analysis.power_law import PowerLawFit
from theory_check.analysis.rate_verdict import RateVerdict
from theory_check.errors import InvalidArgumentError, nearest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0b7dbd", "#d55e00", "#009e73", "#c4639b", "#a87900", "#7a6ff0")
MARKERS = ("o", "s", "^", "D", "P", "v", "X")
"""As many as share no factor with the colours: series differ in one or the other."""


def draw_rate(rates: Sequence[RateVerdict], title: str, axes: Axes | None) -> Axes:
    """Draw one rate on all of its problems.

    Parameters
    ----------
    rates
        The verdicts on it.
    title
        Of the axes.
    axes
        Where to draw; that of a new figure when absent.

    Returns
    -------
    Axes
        Observations against x where the verdicts have them: means, or medians where a value is infinite,
        with 95 % intervals, and fits of power laws. Otherwise the judged number of each problem
        with its interval.
    """
    if axes is None:
        from matplotlib import pyplot

        axes = pyplot.subplots(layout="constrained")[1]
    observed = [each for each in rates if each.y.size]
    if observed:
        for at, each in enumerate(observed):
            _draw_curve(axes, each, COLOURS[at % len(COLOURS)], MARKERS[at % len(MARKERS)])
        axes.set(xscale="log", xlabel="x", ylabel=observed[0].rate)
        if all((each.y > 0).all() for each in observed):
            axes.set_yscale("log")
        axes.legend(fontsize="small")
    else:
        _draw_numbers(axes, rates)
    axes.set_title(title, fontsize="medium")
    return axes


def chosen(rates: Sequence[RateVerdict], name: str | None) -> list[RateVerdict]:
    """Return the verdicts on one rate: that of a name, or the first.

    Raises
    ------
    InvalidArgumentError
        For a name that no rate has.
    """
    names = list(dict.fromkeys(each.rate for each in rates))
    wanted = names[0] if name is None and names else name
    if wanted not in names:
        raise InvalidArgumentError("rate", repr(name), nearest(str(name), names))
    return [each for each in rates if each.rate == wanted]


def _draw_curve(axes: Axes, found: RateVerdict, colour: str, marker: str) -> None:
    bands = [
        mean_interval(column) if np.isfinite(column).all() else median_interval(column)
        for column in found.y.T
    ]
    centre = np.array([band.value for band in bands])
    ends = np.array([(band.value - band.low, band.high - band.value) for band in bands]).T
    (low, high) = np.where(np.isfinite(ends), ends, 0.0)
    if (found.y > 0).all():
        # Student's t may reach below 0, where a logarithmic axis ends.
        low = np.minimum(low, 0.999 * centre)
    reached = np.isfinite(centre)
    axes.errorbar(
        found.x[reached],
        centre[reached],
        yerr=[low[reached], high[reached]],
        fmt=marker,
        color=colour,
        capsize=2,
        label=_legend(found),
    )
    if isinstance(found.fit, PowerLawFit):
        start, stop = found.fit.window
        x = np.sort(found.x)[start:stop]
        axes.plot(x, found.fit.predict(x) + (found.fit.floor_level or 0.0), color=colour)


def _draw_numbers(axes: Axes, rates: Sequence[RateVerdict]) -> None:
    """Draw the judged number of each problem, with its interval."""
    for at, each in enumerate(rates):
        estimate = each.numbers.estimate
        if estimate is None:
            continue
        below, above = (
            0.0 if math.isnan(end) else abs(end - estimate.value)
            for end in (estimate.low, estimate.high)
        )
        axes.errorbar(
            estimate.value,
            at,
            xerr=[[below], [above]],
            fmt=MARKERS[at % len(MARKERS)],
            color=COLOURS[at % len(COLOURS)],
            capsize=2,
        )
    axes.set_yticks(range(len(rates)), [f"{each.problem}: {each.status}" for each in rates])
    axes.set_xlabel("measured, 95 % interval")


def _legend(found: RateVerdict) -> str:
    for _, measured, predicted in found.numbers.rows(found.rate):
        return f"{found.problem}: {found.status}, {measured}; predicted {predicted}"
    return f"{found.problem}: {found.status}"
