"""Bounds over measurements and ratios with their bands, from planted tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from theory_check.analysis import judge
from theory_check.claims.base import Claim
from theory_check.claims.rates import CurveRate, Rate, RatioRate
from theory_check.plotting import column_figure, draw_curve_rate, draw_ratio_rate, looseness_summary

CURVE = CurveRate("below", "k", "gap", "bound", "$k$", "$g$", where={"resolved": True})
RATIO = RatioRate("ratio", "n", "gap", "bound", 0.1, (2.0,), "$n$", "$r$")


def claim(rate: Rate) -> Claim:
    return Claim(
        "planted", "It is.", "here", "D", "measured", "Yes.", ("none",), "planted", (rate,)
    )


def table() -> pd.DataFrame:
    """``gap = share / k`` under ``1/k``, for two seeds."""
    steps = np.array([1.0, 10.0, 100.0])
    rows = [
        pd.DataFrame({"seed": seed, "k": steps, "n": steps, "gap": share / steps})
        for seed, share in enumerate((0.5, 0.25))
    ]
    found = pd.concat(rows, ignore_index=True)
    return found.assign(bound=1 / found.k, problem="p", resolved=True)


def test_the_smallest_ratio_over_seeds_is_drawn_against_one() -> None:
    rows = table()
    unresolved = rows.iloc[:1].assign(gap=1e3, resolved=False)
    nothing = rows.iloc[:1].assign(gap=0.0, k=1000.0)
    rows = pd.concat([rows, unresolved, nothing], ignore_index=True)
    figure, (axes,) = column_figure(rows=1, row_height=2.0)
    draw_curve_rate(axes, judge(claim(CURVE), rows), CURVE, rows)
    smallest = next(line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_allclose(smallest.get_xdata(), [1, 10, 100])  # type: ignore[arg-type]
    np.testing.assert_allclose(smallest.get_ydata(), 2.0)  # type: ignore[arg-type]
    assert smallest.get_label() == "p"
    assert looseness_summary(judge(claim(CURVE), rows), "below") == "below; smallest 2 (p)"
    assert [text.get_text() for text in axes.texts] == ["theory: at least 1"]
    assert axes.get_ylim()[0] < 1 < 4 < axes.get_ylim()[1]
    pyplot.close(figure)


def test_a_bound_that_is_broken_is_drawn_below_one() -> None:
    rate = replace(CURVE, factor=0.25)
    figure, (axes,) = column_figure(rows=1, row_height=2.0)
    draw_curve_rate(axes, judge(claim(rate), table()), rate, table())
    smallest = next(line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_allclose(smallest.get_ydata(), 0.5)  # type: ignore[arg-type]
    edged = [line for line in axes.lines if line.get_markeredgecolor() == "black"]
    assert [len(line.get_xdata()) for line in edged] == [3]  # type: ignore[arg-type]
    assert axes.get_ylim()[0] < 0.5
    pyplot.close(figure)


@pytest.mark.parametrize("hollow", [False, True])
def test_ratios_have_their_intervals_and_the_band(hollow: bool) -> None:
    rows = pd.concat(
        [
            table().assign(seed=seed, gap=lambda t, s=seed: (1 + 0.01 * s) * t.bound)
            for seed in (-1, 1)
        ]
    ).drop_duplicates(["seed", "n"])
    verdict = judge(claim(RATIO), rows)
    figure, (axes,) = column_figure(rows=1, row_height=2.0)
    draw_ratio_rate(axes, verdict, RATIO, hollow=hollow)
    (points,) = axes.containers
    line = points[0]
    np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), 1.0)
    assert (line.get_markerfacecolor() == "white") == hollow
    assert points.get_label() == "p"
    assert [text.get_text() for text in axes.texts] == ["theory: 1, band declared"]
    pyplot.close(figure)


def test_of_a_statement_about_means_the_means_are_drawn() -> None:
    """Seeds with 1.5 and 0.25 of the bound: a ratio of means of 1/0.875, though one seed is above."""
    rows = table()
    rows.loc[rows.seed == 0, "gap"] *= 3
    rate = replace(CURVE, average=True)
    figure, (axes,) = column_figure(rows=1, row_height=2.0)
    draw_curve_rate(axes, judge(claim(rate), rows), rate, rows)
    (points,) = axes.containers
    drawn = np.asarray(points[0].get_ydata(), dtype=float)
    np.testing.assert_allclose(drawn, 1 / 0.875)
    assert points.get_label() == "p"
    pyplot.close(figure)


def test_a_bound_that_is_far_away_does_not_flatten_the_rest() -> None:
    """Ratios of 2 at two seeds of three, and of 1e12 at the third: the axis ends at 1e6 and says so."""
    far = table().loc[lambda t: t.seed == 0].assign(seed=2, gap=lambda t: t.bound / 1e12)
    rows = pd.concat([table(), far], ignore_index=True)
    figure, (axes,) = column_figure(rows=1, row_height=2.0)
    draw_curve_rate(axes, judge(claim(CURVE), rows), CURVE, rows)
    assert axes.get_ylim()[1] == pytest.approx(1e6)
    assert "cut at $10^{6}$" in [text.get_text() for text in axes.texts]
    pyplot.close(figure)
