"""A comparison of methods as the page shows it: who is cheapest, charts that follow a choice, tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from theory_check.analysis.comparison import ComparisonResults, best_of_pairs
from theory_check.analysis.intervals import Interval, number
from theory_check.report.comparison import tables
from theory_check.report.page.charts import (
    Columns,
    Layered,
    Spec,
    columns_of,
    scale_of,
    specified,
    styles,
)
from theory_check.report.page.records import Figure
from theory_check.report.tables import DisplayTable
from theory_check.studies.comparison import Compared

COSTS = ("by", "problem", "method", "title", "target", "median", "low", "high", "spent", "reached",
         "seeds", "state", "counted", "tied")  # fmt: skip
"""Columns of what the page chooses from, one row per accuracy, problem, method and target; ``tied`` with
the cheapest of all methods, which is so itself."""

REACHED, FAILED = "most seeds reached it", "most seeds failed: what they had spent"


CHOICE = {"by_shown": "", "problem_shown": "", "target_shown": 0.0, "methods_shown": []}
"""What the page chooses, by the names that charts have for it, until it does."""

NAMED = 4
"""Methods that are named of those that intervals do not tell apart."""

ROW, AROUND = 22, 110
"""Of a chart with a row for each method: the height of one, and of axis and legend, pixels."""


@dataclass(frozen=True)
class Cheapest:
    """Who needs the fewest samples on a problem, at the smallest accuracy that a method reaches."""

    problem: str
    target: str
    method: str
    cost: str
    runner_up: str


@dataclass(frozen=True)
class ComparisonRecord:
    """A comparison as the page shows it.

    Attributes
    ----------
    accuracies
        By which costs are measured; the first is that of ``cheapest``.
    cheapest
        One for each problem on which a sampled method reaches a target.
    problems, targets, methods
        What can be chosen; methods by id, with their titles.
    findings
        Sentences.
    costs
        By column, for the table that follows the choice.
    figures
        Charts that follow it, and the profile.
    tables
        All numbers.
    """

    accuracies: tuple[str, ...]
    cheapest: tuple[Cheapest, ...]
    problems: tuple[str, ...]
    targets: tuple[float, ...]
    methods: tuple[tuple[str, str], ...]
    findings: tuple[str, ...]
    costs: Columns
    figures: tuple[Figure, ...]
    tables: tuple[DisplayTable, ...]
    command: str


def comparison_record(compared: Compared) -> ComparisonRecord | None:
    """Return what the page says of a comparison; None where no run to an accuracy is complete."""
    results = compared.results
    rows = [
        _cost_row(by, row, results, near)
        for by, found in results.accuracies.items()
        for near in [_near_the_cheapest(found.costs)]
        for _, row in found.costs.iterrows()
    ]
    if not rows:
        return None
    seen = {str(row[2]) for row in rows}
    methods = tuple((name, each.title) for name, each in results.methods.items() if name in seen)
    small = " --quick" if compared.options.quick else ""
    return ComparisonRecord(
        tuple(results.accuracies),
        tuple(cheapest(results)),
        tuple(dict.fromkeys(str(row[1]) for row in rows)),
        tuple(sorted({float(row[4]) for row in rows})),
        methods,
        compared.findings,
        columns_of(COSTS, rows),
        tuple(_figures(results, methods)),
        tuple(tables(results, compared.tuning_runs)),
        f"theory-check compare{small} --store {compared.options.store}",
    )


def cheapest(results: ComparisonResults) -> list[Cheapest]:
    """Return who needs the fewest samples on each problem, of the methods whose samples are compared.

    By the first of the accuracies. Methods whose intervals do not tell them apart are named together.
    """
    if not results.accuracies:
        return []
    costs = next(iter(results.accuracies.values())).costs
    found = []
    for problem, pairs in best_of_pairs(costs).groupby("problem", sort=False):
        last = pairs[pairs["target"] == pairs["target"].min()].iloc[0]
        row = costs[
            (costs["problem"] == problem)
            & (costs["target"] == last["target"])
            & (costs["method"] == last["best"])
        ].iloc[0]
        tied = [results.methods[name].title for name in last["tied"]]
        further = len(tied) - NAMED
        shown = ", ".join(tied[:NAMED]) + (f" and {further} more" if further > 0 else "")
        found.append(
            Cheapest(
                str(problem),
                number(float(last["target"])),
                shown,
                str(Interval(row["median"], row["low"], row["high"])),
                f"{number(float(last['runner_up']))} times as many"
                if math.isfinite(last["runner_up"])
                else "all others tied, or do not reach it",
            )
        )
    return found


def _near_the_cheapest(costs: pd.DataFrame) -> set[tuple[Any, ...]]:
    """Return problem, target and method of all that is cheapest or tied with it."""
    return {
        (pair["problem"], pair["target"], method)
        for _, pair in best_of_pairs(costs).iterrows()
        for method in pair["tied"]
    }


def _cost_row(
    by: str, row: pd.Series, results: ComparisonResults, near: Collection[tuple[Any, ...]]
) -> tuple[Any, ...]:
    reached = math.isfinite(row["median"])
    return (
        by,
        row["problem"],
        row["method"],
        results.methods[row["method"]].title,
        row["target"],
        row["median"] if reached else None,
        row["low"],
        row["high"],
        row["spent"],
        row["reached"],
        row["seeds"],
        REACHED if reached else FAILED,
        "exact calls" if row["exact"] else "samples" if row["ranked"] else "samples, not ranked",
        (row["problem"], row["target"], row["method"]) in near,
    )


def _figures(results: ComparisonResults, methods: Sequence[tuple[str, str]]) -> list[Figure]:
    """Return the charts; the page gives them the costs, which it has once."""
    titles = [title for _, title in methods]
    colours, shapes = styles(titles)
    colour = alt.Color("title:N", title=None, scale=alt.Scale(domain=titles, range=colours))
    shape = alt.Shape("title:N", title=None, scale=alt.Scale(domain=titles, range=shapes))
    figures = [
        Figure(
            "Samples to the chosen accuracy",
            "Filled: median over seeds with its interval between order statistics, drawn up to the edge "
            "where it has no end. Hollow: most seeds failed, drawn at what they had spent.",
            *_finished(lambda: _one_target(len(methods)), {}),
        ),
        Figure(
            "Samples to every accuracy, on the chosen problem",
            "Medians over seeds with their intervals; hollow where most seeds failed.",
            *_finished(lambda: _every_target(colour, shape), {}),
        ),
    ]
    profiles = [
        (by, found.performance)
        for by, found in results.accuracies.items()
        if found.performance is not None
    ]
    for by, profile in profiles:
        kept = np.unique(np.linspace(0, profile.factors.size - 1, 60).round().astype(int))
        rows = [
            (name, results.methods[name].title, *map(float, values))
            for at, name in enumerate(profile.methods)
            for values in zip(
                profile.factors[kept],
                profile.share[at][kept],
                profile.low[at][kept],
                profile.high[at][kept],
                strict=True,
            )
        ]
        figures.append(
            Figure(
                f"Performance profile, by {by}",
                f"Share of {profile.pairs} pairs of problem and accuracy, over {profile.problems} "
                "problems, that a method meets with at most so many times the samples of the cheapest.",
                *_finished(
                    lambda: _profile(colour),
                    {"profile": columns_of(("method", "title", "x", "y", "low", "high"), rows)},
                ),
            )
        )
    return figures


def _finished(
    made: Callable[[], Layered | alt.Chart], data: dict[str, Columns]
) -> tuple[Spec, dict[str, Columns]]:
    """Return a chart that knows the choice of the page, as a specification, with its data."""

    def following() -> Layered | alt.Chart:
        shown = [alt.param(name=name, value=value) for name, value in CHOICE.items()]
        return made().add_params(*shown).properties(width="container")

    return specified(following), data


CHOSEN_METHODS = "indexof(methods_shown, datum.method) >= 0"
CHOSEN = f"datum.by == by_shown && datum.problem == problem_shown && {CHOSEN_METHODS}"


def _fitting() -> dict[str, object]:
    """Return the setting by which a chart is laid out anew when another choice changes its labels."""
    return {"type": "fit", "contains": "padding", "resize": True}


def _told() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("title:N", title="method"),
        alt.Tooltip("target:Q", title="accuracy", format="~g"),
        alt.Tooltip("median:Q", title="median cost", format=".4~g"),
        alt.Tooltip("low:Q", title="interval from", format=".4~g"),
        alt.Tooltip("high:Q", title="to", format=".4~g"),
        alt.Tooltip("spent:Q", title="spent", format=".4~g"),
        alt.Tooltip("reached:Q", title="seeds that reached it"),
        alt.Tooltip("seeds:Q", title="of"),
        alt.Tooltip("counted:N", title="counted"),
    ]


def _one_target(rows: int) -> Layered:
    base = (
        alt.Chart(alt.NamedData("costs"))
        .transform_filter(f"{CHOSEN} && datum.target == target_shown")
        .transform_calculate(
            at="isValid(datum.median) ? datum.median : datum.spent",
            end="isValid(datum.high) ? datum.high : datum.spent",
        )
    )
    place = alt.X(
        "at:Q",
        title="samples, or exact calls",
        scale=scale_of(logarithmic=True),
        axis=alt.Axis(format="~s"),
    )
    who = alt.Y(
        "title:N",
        title=None,
        sort=alt.EncodingSortField("at", "min"),
        axis=alt.Axis(labelLimit=220),
    )
    return alt.layer(
        base.transform_filter("isValid(datum.median)")
        .mark_rule(strokeWidth=2, color=styles([""])[0][0])
        .encode(x=alt.X("low:Q", title="samples, or exact calls"), x2="end:Q", y=who),
        base.mark_point(size=70, strokeWidth=2, color=styles([""])[0][0]).encode(
            x=place,
            y=who,
            shape=alt.Shape(
                "counted:N",
                title="counted",
                scale=alt.Scale(
                    domain=["samples", "samples, not ranked", "exact calls"],
                    range=["circle", "square", "triangle-up"],
                ),
            ),
            fillOpacity=alt.condition(f"datum.state == '{REACHED}'", alt.value(1), alt.value(0)),
            fill=alt.value(styles([""])[0][0]),
            tooltip=_told(),
        ),
    ).properties(height=ROW * rows + AROUND, autosize=_fitting())


def _every_target(colour: alt.Color, shape: alt.Shape) -> Layered:
    base = (
        alt.Chart(alt.NamedData("costs"))
        .transform_filter(CHOSEN)
        .transform_calculate(
            at="isValid(datum.median) ? datum.median : datum.spent",
            end="isValid(datum.high) ? datum.high : datum.spent",
        )
    )
    x = alt.X(
        "target:Q",
        title="accuracy relative to the start, squared norm",
        scale=alt.Scale(type="log", reverse=True),
        axis=alt.Axis(format="~g"),
    )
    y = alt.Y(
        "at:Q",
        title="samples, or exact calls",
        scale=scale_of(logarithmic=True),
        axis=alt.Axis(format="~s"),
    )
    reached = base.transform_filter("isValid(datum.median)")
    return alt.layer(
        reached.mark_line(strokeWidth=1.5).encode(x=x, y=y, color=colour),
        reached.mark_rule().encode(
            x=x, y=alt.Y("low:Q", title="samples, or exact calls"), y2="end:Q", color=colour
        ),
        reached.mark_point(size=55, filled=True, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, tooltip=_told()
        ),
        base.transform_filter("!isValid(datum.median)")
        .mark_point(size=55, strokeWidth=2, filled=False)
        .encode(x=x, y=y, color=colour, shape=shape, tooltip=_told()),
    ).properties(height=340, autosize=_fitting())


def _profile(colour: alt.Color) -> alt.Chart:
    chart: alt.Chart = (
        alt.Chart(alt.NamedData("profile"))
        .transform_filter(CHOSEN_METHODS)
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X(
                "x:Q",
                title="factor of the cheapest",
                scale=scale_of(logarithmic=True),
                axis=alt.Axis(format="~g"),
            ),
            y=alt.Y("y:Q", title="share of pairs", scale=alt.Scale(domain=[0, 1])),
            color=colour,
            strokeDash=alt.StrokeDash("title:N", legend=None),
            tooltip=[
                alt.Tooltip("title:N", title="method"),
                *(
                    alt.Tooltip(f"{name}:Q", title=title, format=".3~g")
                    for name, title in (
                        ("x", "factor"),
                        ("y", "share"),
                        ("low", "interval from"),
                        ("high", "to"),
                    )
                ),
            ],
        )
        .properties(height=340)
    )
    return chart
