"""What is kept of the times of a study."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from theory_check.catalogue import Catalogue
from theory_check.runs import load_experiment

ROOT = Path(__file__).resolve().parents[2]
RECORDING = runpy.run_path(str(ROOT / "docs" / "record_seconds.py"))


def test_seconds_are_per_relative_cost_over_all_cells_of_an_experiment() -> None:
    """Costs c1 and c2 that took 3 and 5 s: 8 / (c1 + c2), to two digits."""
    one, two = load_experiment(Catalogue.shipped().experiments["schedule-3"]).full[:2]
    other = load_experiment(Catalogue.shipped().experiments["inner-linear"]).full[0]
    found = RECORDING["usual"]([(one, 3.0), (two, 5.0), (other, 2.0)])
    costs = one.measurement.relative_cost() + two.measurement.relative_cost()
    assert found == {
        "inner-linear": pytest.approx(2.0 / other.measurement.relative_cost(), rel=0.05),
        "schedule-3": pytest.approx(8.0 / costs, rel=0.05),
    }
