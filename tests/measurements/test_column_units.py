"""Every column of a measurement has a unit, whichever measurements there are."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from helpers.experiments import FILES, experiment_in

from theory_check.measurements.units import MEANING, OF_THE_SETTING, columns, units_of
from theory_check.runs import Experiment

DEAR = {
    *("advice", "attained", "audits", "bound-terms", "comparison", "global-optimality"),
    *("inner-error", "neural-bias", "predicted-domination", "solver-run"),
}
"""A small cell of these takes seconds to minutes: their tables are not made here."""


def experiments() -> Mapping[str, Experiment]:
    return {path.stem: experiment_in(path) for path in FILES}


def cheapest_cells() -> dict[str, tuple[object, list[str]]]:
    """Return a small cell of every measurement that an experiment has, and the axes."""
    found: dict[str, tuple[object, list[str]]] = {}
    for experiment in experiments().values():
        for cell in experiment.cells(True)[:1]:
            found.setdefault(cell.measurement.kind, (cell, [axis for axis, _ in cell.axes]))
    return found


@pytest.mark.slow
def test_every_measurement_and_every_axis_has_units() -> None:
    for kind, (cell, axes) in cheapest_cells().items():
        units = units_of(cell.measurement.units, axes)  # type: ignore[attr-defined]
        assert cell.measurement.units, kind  # type: ignore[attr-defined]
        assert set(units.values()) <= MEANING.keys(), kind
    for name, experiment in experiments().items():
        cell = experiment.cells(True)[0] if experiment.cells(True) else experiment.cells(False)[0]
        axes = [axis for axis, _ in cell.axes]
        assert OF_THE_SETTING not in units_of(cell.measurement.units, axes).values(), (name, axes)


@pytest.mark.slow
def test_every_column_of_a_small_table_has_a_unit() -> None:
    measured = 0
    for kind, (cell, axes) in cheapest_cells().items():
        if kind in DEAR:
            continue
        measurement = cell.measurement  # type: ignore[attr-defined]
        seeds = range(cell.first_seed, cell.first_seed + max(2, measurement.least_seeds))  # type: ignore[attr-defined]
        table = measurement.measure(cell.problem.build(), seeds, lambda done, total: None)  # type: ignore[attr-defined]
        lacking = set(map(str, table.columns)) - units_of(measurement.units, axes).keys()
        assert not lacking, f"{kind}: {sorted(lacking)} have no unit"
        measured += 1
    assert measured >= 15


def test_units_are_told_by_column_and_those_of_an_axis_as_a_setting() -> None:
    units = columns(squared="gap", inner="steps more")
    assert dict(units) == {"gap": "squared norm", "steps": "inner steps", "more": "inner steps"}
    own = {"height": "metres"}
    assert units_of(own)["height"] == "metres"
    assert units_of(own, ["problem.kl_weight", "width"]) == {
        **units_of(own),
        "problem.kl_weight": "reward units",
        "width": OF_THE_SETTING,
    }
