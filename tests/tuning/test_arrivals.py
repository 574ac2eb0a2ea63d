"""What a search sees of runs does not depend on how many iterations are evaluated together."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from theory_check.catalogue import installed
from theory_check.measurements.attained import UNIT_SEEDS, Attained, _Search
from theory_check.problems import plateau
from theory_check.recording.blocks import StationarityBlocks
from theory_check.tuning import arrivals
from theory_check.tuning.arrivals import Arrivals, RunGroups
from theory_check.tuning.search import Trial
from theory_check.tuning.units import units_of

START = {
    "step_size": 0.3,
    "inner_steps": 3.0,
    "inner_step_size": 0.5,
    "sigma": 0.01,
    "batch": 0.35,
}

# The second one arrives later than is waited for beside the first.
SETTINGS = {
    "arrives": {"batch": 4.0},
    "is given up": {"batch": 3.0, "step_size": 0.15},
    "diverges at once": {"step_size": 1e6},
    "diverges later": {"inner_step_size": 1e3},
}


def searched() -> list[Trial[Arrivals]]:
    problem, method = plateau(epsilon=0.3), installed().methods["penalty"]
    scales, _ = units_of(problem, UNIT_SEEDS, 1.0, 1.0)
    tried = [{**START, **changes} for changes in SETTINGS.values()]
    groups = RunGroups([5, 3], 2)
    search = _Search(
        Attained(method, (0.3,), runs=2), method, problem, groups, 0.3, 0.3, scales, 300
    )
    return search.evaluate(tried, 1e12)


def test_outcomes_are_those_of_single_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    together = searched()
    kept = []

    class Single(StationarityBlocks):
        def evaluate(self) -> np.ndarray:
            kept.append(len(self._kept))
            return super().evaluate()

    monkeypatch.setattr(arrivals, "StationarityBlocks", partial(Single, iterations=1))
    apart = searched()
    assert set(kept) == {1}
    assert [np.isfinite(trial.cost) for trial in apart] == [True, False, False, False]
    assert [np.isinf(trial.miss) for trial in apart] == [False, False, True, True]
    for ours, theirs in zip(together, apart, strict=True):
        assert (ours.cost, ours.miss) == (theirs.cost, theirs.miss)
        np.testing.assert_array_equal(ours.outcome.samples, theirs.outcome.samples)
        np.testing.assert_array_equal(ours.outcome.iterations, theirs.outcome.iterations)
