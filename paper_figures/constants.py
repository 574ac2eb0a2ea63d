"""Constants of the bounds against KL weight, horizon, discount, states and actions: small multiples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import RateVerdict, Verdict
from theory_check.analysis.replicates import median_band
from theory_check.analysis.upper_bound_verdict import half_next_to_the_limit
from theory_check.claims.rates import UpperBoundRate
from theory_check.plotting import (
    STYLE,
    entitle,
    general,
    label_sparsely,
    page_figure,
    shared_legend,
)


@dataclass(frozen=True)
class Panel:
    """What a panel shows: claims of one experiment, and some of their quantities."""

    claims: tuple[str, ...]
    quantities: tuple[str, ...]


USUAL = ("value bias", "gradient bias", "smoothness", "noise, shared")
PANELS = (
    Panel(("constants-kl", "constants-kl-stated"), USUAL),
    Panel(("constants-kl-coverage",), ("log coverage", "log inner steps")),
    Panel(("constants-horizon", "constants-horizon-stated"), USUAL),
    Panel(
        ("constants-discount", "constants-discount-stated"),
        ("value bias", "smoothness", "noise, shared", "noise, independent"),
    ),
    Panel(("constants-discount-stated",), ("lower curvature", "inner steps at 1/beta_s")),
    Panel(("constants-states", "constants-states-stated"), USUAL),
    Panel(("constants-states-garnet",), USUAL),
    Panel(("constants-actions", "constants-actions-stated"), USUAL),
)
CLAIMS = tuple(dict.fromkeys(claim for panel in PANELS for claim in panel.claims))
NAMES = tuple(dict.fromkeys(name for panel in PANELS for name in panel.quantities))
ROOM_FOR_SLOPES = 10.0
"""By how much an axis may reach beyond what was measured."""
APART = 0.085
"""Least distance between labels, as a share of a panel's height."""
TOP = 0.96
"""Of the uppermost label, clear of the title."""
PALETTE = sns.color_palette("colorblind", n_colors=10)
# Not the palette's yellow and its pale pink, which are hardly seen on white.
PALETTE = [*PALETTE[:6], PALETTE[7], PALETTE[9], (0.1, 0.1, 0.1)]
COLOURS = dict(zip(NAMES, PALETTE, strict=True))
MARKERS = dict(zip(NAMES, "os^DvPX*p", strict=True))


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    figure, axes = page_figure(panels=len(PANELS), columns=3, row_height=2.3)
    with plt.rc_context(STYLE):
        for panel, one in zip(PANELS, axes, strict=True):
            shown = [verdicts[claim] for claim in panel.claims]
            _draw_panel(one, shown, panel.quantities)
            entitle(one, *shown, width=34)
    shared_legend(figure, axes, columns=4)
    return figure


def _draw_panel(axes: Axes, verdicts: Sequence[Verdict], quantities: Sequence[str]) -> None:
    """Draw medians over instances, as shares of where the judged half begins, and the slopes."""
    first = verdicts[0]
    rates = {rate.name: rate for rate in first.claim.rates if isinstance(rate, UpperBoundRate)}
    families = list(dict.fromkeys(found.problem for found in first.rates))
    for found in first.rates:
        if found.rate in quantities and found.y.size:
            _draw_quantity(axes, rates[found.rate], found, hollow=found.problem != families[0])
    axes.set(xscale="log", yscale="log", ylabel="median, 1 at the dotted line")
    axes.set_xlabel(rates[quantities[0]].x_symbol)
    for axis in (axes.xaxis, axes.yaxis):
        label_sparsely(axis)
    _draw_slopes(axes, verdicts, quantities)


def _draw_quantity(axes: Axes, rate: UpperBoundRate, found: RateVerdict, hollow: bool) -> None:
    x, start = _abscissae(rate, found)
    order = np.argsort(x)
    band = median_band(found.y)
    unit = band.centre[start]
    axes.errorbar(
        x[order],
        band.centre[order] / unit,
        yerr=[
            (band.centre - band.low)[order] / unit,
            (band.high - band.centre)[order] / unit,
        ],
        marker=MARKERS[rate.name],
        color=COLOURS[rate.name],
        markerfacecolor="white" if hollow else COLOURS[rate.name],
        linestyle="--" if hollow else "-",
        elinewidth=0.8,
        capsize=1.2,
        label=f"{rate.name}{', Garnet' if hollow else ''}",
    )


def _abscissae(rate: UpperBoundRate, found: RateVerdict) -> tuple[np.ndarray, int]:
    """Return what is drawn along, and the index of the point farthest from the limit that is judged."""
    near = half_next_to_the_limit(rate, found.x)
    start = int(near[-1] if rate.limit == "zero" else near[0])
    return (1 / found.x if rate.reciprocal else found.x), start


def _draw_slopes(axes: Axes, verdicts: Sequence[Verdict], quantities: Sequence[str]) -> None:
    """Draw the largest growth that is derived, dashed, and that is stated, dotted, each labelled."""
    top = axes.get_ylim()
    drawn = []
    for verdict in verdicts:
        stated = verdict.claim.id.endswith("-stated")
        bounds = [
            rate
            for rate in verdict.claim.rates
            if isinstance(rate, UpperBoundRate) and rate.name in quantities
        ]
        found = next((each for each in verdict.rates if each.y.size), None)
        if found is None or not bounds:
            continue
        x, start = _abscissae(bounds[0], found)
        axes.axvline(x[start], color="0.7", linestyle=":", linewidth=0.8)
        for exponent in sorted({rate.exponent for rate in bounds}):
            ends = np.array([x[start], x.max()])
            line = (ends / ends[0]) ** exponent
            axes.plot(ends, line, color="0.35", linestyle=":" if stated else "--", linewidth=1.2)
            drawn.append((line[1], f"{'stated' if stated else 'derived'}: {general(exponent)}"))
    low, high = top
    reach = max((level for level, _ in drawn), default=1.0)
    # Slopes leave the panel where they would flatten what was measured.
    axes.set_ylim(low, min(max(high, 2 * reach), ROOM_FOR_SLOPES * high))
    _label_ends(axes, drawn)


def _label_ends(axes: Axes, drawn: Sequence[tuple[float, str]]) -> None:
    """Write right of the panel what each slope is, the labels apart."""
    low, high = np.log10(axes.get_ylim())
    # A slope that leaves the panel has its label at the upper end.
    ends = sorted(
        {(min((np.log10(level) - low) / (high - low), TOP), text) for level, text in drawn}
    )
    places = np.array([place for place, _ in ends])
    for at in range(1, places.size):
        places[at] = max(places[at], places[at - 1] + APART)
    # Labels that were pushed above the panel come down together.
    for at in range(places.size - 1, -1, -1):
        places[at] = min(places[at], TOP - APART * (places.size - 1 - at))
    for place, (_, text) in zip(places, ends, strict=True):
        axes.annotate(
            text,
            (1.0, place),
            xycoords="axes fraction",
            xytext=(2, 0),
            textcoords="offset points",
            va="center",
            fontsize=6,
            color="0.25",
            annotation_clip=False,
        )
