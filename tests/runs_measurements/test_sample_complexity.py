"""The measurement against a run of its own, and the committed experiments."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.generators import random_problem

from theory_check.errors import InvalidArgumentError
from theory_check.problems import plateau
from theory_check.runs import load_experiment
from theory_check.runs.measurements.sample_complexity import SampleComplexity
from theory_check.runs.trace import run
from theory_check.solvers.schedules import ScheduleConstants, get_schedule

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
CONSTANTS = ScheduleConstants(
    sigma=1.0,
    iterations=2.0,
    inner_steps=1.0,
    trajectories=3.0,
    pairs=4.0,
    step_size=0.5,
    inner_step_size=0.4,
)


def no_progress(done: int, total: int) -> None:
    assert 0 < done <= total


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["total-7/2", "total-3", "total-2"])
def test_rows_are_the_end_of_a_direct_run(schedule: str) -> None:
    problem = random_problem(45, (2, 2, 2), objective="excess_risk", features=2)
    seeds = [4, 1]
    measurement = SampleComplexity(
        schedule=schedule, epsilon=0.2, constants=CONSTANTS, initial_scale=0.7, points_per_decade=3
    )
    table = measurement.measure(problem, seeds, no_progress)
    iterations, solver = get_schedule(schedule).configure(0.2, CONSTANTS)
    # The recording of every iteration must not matter to what was drawn.
    trace = run(problem, solver, iterations, seeds, initial_scale=0.7, points_per_decade=1000).table
    assert table.columns[0] == "seed"
    assert table.seed.tolist() == seeds
    assert (table.status == "ok").all()
    assert (table.schedule == schedule).all()
    assert (table.epsilon == 0.2).all()
    assert (table.iterations == iterations).all()
    recorded = set(
        run(
            problem, solver, iterations, seeds, initial_scale=0.7, points_per_decade=3
        ).table.iteration
    )
    for row in table.itertuples():
        rows = trace[trace.seed == row.seed].set_index("iteration")
        assert len(rows) == iterations
        np.testing.assert_allclose(row.ergodic_stationarity, rows.stationarity.mean(), rtol=1e-12)
        second = rows.stationarity[rows.index > iterations / 2]
        np.testing.assert_allclose(row.half_stationarity, second.mean(), rtol=1e-12)
        assert row.sampling_error == rows.sampling_error.iloc[-1]
        assert row.last_stationarity == rows.stationarity.iloc[-1]
        assert row.best_stationarity == rows.stationarity.loc[sorted(recorded)].min()
        assert row.optimality_gap == rows.optimality_gap.iloc[-1]
    # An inner step draws n trajectories at each lower variable (once when shared) and B pairs of
    # trajectories with one label each; the outer step draws one such batch more.
    batch = 1 if schedule == "total-2" else 2
    draws = iterations * (solver.inner_steps + 1)
    assert (table.labels == draws * solver.pairs).all()
    rollouts = draws * (batch * solver.trajectories + 2 * solver.pairs)
    assert (table.trajectories == rollouts).all()
    assert (table.env_steps == 2 * rollouts).all()
    assert (table.samples == rollouts + draws * solver.pairs).all()
    assert (table.samples_per_loop * (solver.inner_steps + 1) == table.samples).all()


def test_divergence_is_in_the_status_and_leaves_no_accuracy() -> None:
    problem = random_problem(45, (2, 2, 2), objective="excess_risk", features=2)
    wild = ScheduleConstants(**{**vars(CONSTANTS), "step_size": 1e308})
    measurement = SampleComplexity(schedule="total-3", epsilon=0.2, constants=wild)
    table = measurement.measure(problem, [0, 1, 2], no_progress)
    assert table.seed.tolist() == [0, 1, 2]
    assert (table.status == "diverged").all()
    accuracies = [f"{name}_stationarity" for name in ("half", "ergodic", "last", "best")]
    assert table[accuracies].isna().all(axis=None)
    assert (table.samples > 0).all()


def test_cost_is_the_number_of_inner_steps() -> None:
    few, many = (
        SampleComplexity(schedule="total-3", epsilon=epsilon, constants=CONSTANTS)
        for epsilon in (0.2, 0.01)
    )
    # T = 10, K = ceil(1.61) = 2; T = 200, K = ceil(4.61) = 5.
    assert few.relative_cost() == 10 * 3
    assert many.relative_cost() == 200 * 6


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"schedule": "total-4"}, "schedule"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"epsilon": 1.5}, "epsilon"),
        ({"initial_scale": -1.0}, "initial_scale"),
        ({"points_per_decade": 0}, "points_per_decade"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, object], argument: str) -> None:
    settings = {"schedule": "total-3", "epsilon": 0.1, "constants": CONSTANTS} | changes
    with pytest.raises(InvalidArgumentError) as caught:
        SampleComplexity(**settings)  # type: ignore[arg-type]
    assert caught.value.argument == argument


def test_a_class_takes_the_instance_of_the_target() -> None:
    """The start of a plateau depends on its target: ``‖∇Phi‖² = 2 epsilon`` there."""
    constants = ScheduleConstants(
        **{**vars(CONSTANTS), "iterations": 0.01, "inner_step_size": 1.0, "step_size": 0.1}
    )
    for epsilon in (0.1, 0.01):
        measurement = SampleComplexity("total-2", epsilon, constants)
        table = measurement.measure(plateau(epsilon=0.05), [0, 1], no_progress)
        assert (table.iterations == 1).all()
        np.testing.assert_allclose(table.half_stationarity, 2 * epsilon, rtol=1e-12)


@pytest.mark.parametrize(
    ("stem", "schedule", "problems", "decades"),
    [
        ("schedule-7-2", "total-7/2", 2, 1.3),
        ("schedule-3", "total-3", 2, 1.99),
        ("schedule-2", "total-2", 2, 1.99),
    ],
)
def test_committed_experiments(stem: str, schedule: str, problems: int, decades: float) -> None:
    experiment = load_experiment(EXPERIMENTS / f"{stem}.toml")
    cells = experiment.cells()
    assert len({cell.label for cell in cells}) == problems
    assert {cell.seeds for cell in cells} == {16}
    assert {cell.measurement.schedule for cell in cells} == {schedule}
    targets = sorted({cell.measurement.epsilon for cell in cells})
    assert len(cells) == problems * len(targets)
    assert math.log10(targets[-1] / targets[0]) > decades
    # Geometric up to the rounding of the decimals.
    ratios = [math.log(b / a) for a, b in pairwise(targets)]
    assert max(ratios) / min(ratios) < 1.02
    (smallest,) = {
        cell.measurement.configured()[1].inner_steps
        for cell in cells
        if cell.measurement.epsilon == targets[-1]
    }
    assert smallest == 3
