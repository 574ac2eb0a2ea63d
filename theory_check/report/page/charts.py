"""Plots as Vega-Lite specifications, whose colours of text and axes are those of the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import altair as alt
from altair.utils.schemapi import debug_mode

from theory_check.report.page.series import Plot, every_problem

COLOURS = ("#0b7dbd", "#d55e00", "#009e73", "#c4639b", "#a87900", "#7a6ff0")
"""After Okabe and Ito, made to stand out from white and from black; shapes tell series apart as well."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")

ALL = "all problems"
"""Word of the choice that shows every problem."""

DIGITS = 5
"""Significant digits of what is drawn."""

Spec = dict[str, Any]
Column = list[Any] | dict[str, list[Any]]
Columns = dict[str, Column]
Layered = alt.LayerChart | alt.FacetChart


REPEATED = 4
"""Times that a value stands in a column on average, from which on it is told once."""


def columns_of(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Columns:
    """Return rows by column, numbers with few digits; the page makes rows of them again.

    A column of words, or of values that repeat ``REPEATED`` times on average, is ``{"words": [...], "at":
    [...]}``, places in the list of its values: seeds are long numbers, and a page has each often.
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {
        name: _packed([_short(value) for value in column])
        for name, column in zip(names, columns, strict=True)
    }


def _packed(column: list[Any]) -> Column:
    words = list(dict.fromkeys(column))
    repeated = len(column) >= REPEATED * len(words)
    if not column or not (repeated or all(isinstance(word, str) for word in words)):
        return column
    places = {word: at for at, word in enumerate(words)}
    return {"words": words, "at": [places[word] for word in column]}


def _short(value: Any) -> Any:
    """Return a value as JSON holds it; what is no finite number is null."""
    if isinstance(value, str) or value is None:
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    if not math.isfinite(number):
        return None
    return (
        int(number)
        if number == int(number) and abs(number) < 1e15
        else float(f"{number:.{DIGITS}g}")
    )


def theme() -> Spec:
    """Return what all charts have in common: letters and lines in the colour of the text around."""
    lines = {
        "domainColor": "currentColor",
        "tickColor": "currentColor",
        "gridColor": "currentColor",
    }
    words = {"labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 12}
    return {
        "background": "transparent",
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": {
            **lines,
            **words,
            "gridOpacity": 0.15,
            "titleFontSize": 13,
            "titleFontWeight": 500,
        },
        "legend": {
            **words,
            "titleFontSize": 12,
            "orient": "bottom",
            "columns": 3,
            "labelLimit": 320,
            "symbolOpacity": 1,
        },
        "title": {"color": "currentColor"},
        "range": {"category": list(COLOURS)},
    }


def scale_of(*, logarithmic: bool) -> alt.Scale:
    """Return the scale of an axis, which need not begin at 0."""
    if logarithmic:
        return alt.Scale(type="log", nice=False, padding=12)
    return alt.Scale(type="linear", zero=False, nice=False, padding=12)


def styles(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the colour and the shape of each series."""
    # Six colours and seven shapes: the first 42 series differ in one or the other.
    return (
        [COLOURS[index % len(COLOURS)] for index in range(len(names))],
        [SHAPES[index % len(SHAPES)] for index in range(len(names))],
    )


def specified(made: Callable[[], alt.Chart | Layered]) -> Spec:
    """Return what a function makes as a specification, in the colours of the page.

    It is not held against the schema, which takes longer than all of the rest; the tests do that.
    """
    with debug_mode(False):
        spec: Spec = made().to_dict(validate=False)
    return {**spec, "config": theme()}


def chart_of(plot: Plot) -> tuple[Spec, dict[str, Columns]]:
    """Return the specification of a plot, and its data by name.

    Problems can be chosen; pointing at a mark tells its seed, settings and interval.
    """
    data = {
        "averages": columns_of(("problem", "x", "y", "low", "high", "replicates"), plot.averages),
    }
    if plot.observations:
        data["observations"] = columns_of(plot.columns, plot.observations)
    if plot.lines:
        data["lines"] = columns_of(("problem", "what", "x", "y"), plot.lines)
    return specified(lambda: _layers(plot)), data


def _layers(plot: Plot) -> Layered:
    problems = list(every_problem(plot))
    colours, shapes = styles(problems)
    choice = alt.param(
        name="problem_shown",
        value=ALL,
        bind=alt.binding_select(options=[ALL, *problems], name="Problem "),
    )
    wanted = f"problem_shown == '{ALL}' || datum.problem == problem_shown"
    x = alt.X(
        "x:Q", title=plot.x_title, scale=scale_of(logarithmic=plot.logarithmic_x), axis=_axis()
    )
    y = alt.Y(
        "y:Q", title=plot.y_title, scale=scale_of(logarithmic=plot.logarithmic_y), axis=_axis()
    )
    colour = alt.Color("problem:N", title=None, scale=alt.Scale(domain=problems, range=colours))
    shape = alt.Shape("problem:N", title=None, scale=alt.Scale(domain=problems, range=shapes))
    told = [
        alt.Tooltip(
            f"{_escaped(name)}:{'N' if name == 'problem' else 'Q'}",
            title=name,
            format=_digits(name),
        )
        for name in plot.columns
    ]
    averages = alt.Chart(alt.NamedData("averages")).transform_filter(wanted)
    interval = [
        alt.Tooltip("problem:N"),
        alt.Tooltip("x:Q", title=plot.x_title, format=".4~g"),
        alt.Tooltip("y:Q", title=plot.y_title, format=".4~g"),
        alt.Tooltip("low:Q", title="interval from", format=".4~g"),
        alt.Tooltip("high:Q", title="to", format=".4~g"),
        alt.Tooltip("replicates:Q", title="replicates"),
    ]
    layers = [
        averages.mark_rule(strokeWidth=1.5).encode(
            x=x, y=alt.Y("low:Q", title=plot.y_title), y2="high:Q", color=colour, tooltip=interval
        ),
        averages.mark_point(size=55, filled=True, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, tooltip=interval
        ),
    ]
    if plot.observations:
        seeds = alt.Chart(alt.NamedData("observations")).transform_filter(wanted)
        layers.insert(
            0,
            seeds.mark_point(size=14, opacity=0.3, filled=True).encode(
                x=x, y=y, color=colour, tooltip=told
            ),
        )
    kinds = {what for _, what, *_ in plot.lines}
    lines = alt.Chart(alt.NamedData("lines")).transform_filter(wanted)
    if "fit" in kinds:
        layers.append(
            lines.transform_filter("datum.what == 'fit'")
            .mark_line(strokeWidth=1.5)
            .encode(x=x, y=y, color=colour, tooltip=["problem:N", "what:N"])
        )
    if "theory" in kinds:
        # In another colour, since it lies on the fit where the claim holds.
        layers.append(
            lines.transform_filter("datum.what == 'theory'")
            .mark_line(strokeWidth=1.2, strokeDash=[5, 4], stroke="currentColor")
            .encode(x=x, y=y, detail="problem:N", tooltip=["problem:N", "what:N"])
        )
    layers += _stated(plot)
    return alt.layer(*layers).add_params(choice).properties(width="container", height=340)


def _axis() -> alt.Axis:
    return alt.Axis(format="~g", labelOverlap="greedy", tickCount=7)


def _escaped(name: str) -> str:
    """Return a field as Vega-Lite takes it: a dot would be a path."""
    return name.replace(".", "\\.")


def _digits(name: str) -> Any:
    """Return how a column is told: numbers that are no counts with few digits."""
    return ".4~g" if name in ("x", "y", "sigma", "solver.sigma", "samples") else alt.Undefined


def _stated(plot: Plot) -> list[alt.Chart]:
    """Return the levels of the theory, dashed and labelled, and the area that is allowed."""
    layers = []
    if plot.band is not None:
        low, high = plot.band
        layers.append(
            alt.Chart(alt.InlineData(values=[{"low": low, "high": high}]))
            .mark_rect(color="#888888", opacity=0.18)
            .encode(y=alt.Y("low:Q", title=plot.y_title), y2="high:Q")
        )
    if plot.levels:
        levels = alt.Chart(
            alt.InlineData(values=[{"level": value, "says": text} for value, text in plot.levels])
        )
        level = alt.Y("level:Q", title=plot.y_title)
        layers += [
            levels.mark_rule(strokeDash=[5, 4], strokeWidth=1.5, color="currentColor").encode(
                y=level
            ),
            levels.mark_text(align="left", dx=4, dy=-6, fontSize=12, color="currentColor").encode(
                x=alt.value(0), y=level, text="says:N"
            ),
        ]
    return layers
