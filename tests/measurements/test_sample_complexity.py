"""The measurement against a run of its own, and the committed experiments."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.generators import random_problem

from theory_check.analysis import power_law_verdict
from theory_check.catalogue import installed
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.sample_complexity import SampleComplexity
from theory_check.problems import plateau, quadratic
from theory_check.recording.run import run
from theory_check.runs import load_experiment
from theory_check.solvers.schedules import ScheduleConstants, get_schedule
from theory_check.tuning.units import units_of

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


def test_a_class_takes_the_instance_of_the_target() -> None:
    """The start of a plateau depends on its target: ``‖∇Phi‖² = 2 epsilon`` there."""
    constants = ScheduleConstants(
        **{**vars(CONSTANTS), "iterations": 0.01, "inner_step_size": 1.0, "step_size": 0.1}
    )
    for epsilon in (0.1, 0.01):
        measurement = SampleComplexity(epsilon, "total-2", constants)
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


SETTING = {
    "step_size": 1.0,
    "inner_steps": 1.0,
    "inner_step_size": 1.0,
    "sigma": 1.0,
    "batch": 0.5,
}
UNITS = range(1000, 1016)


def of_method(epsilon: float, method: str, **changes: float) -> SampleComplexity:
    named = installed().methods[method]
    return SampleComplexity(epsilon, method=named, setting=SETTING | changes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "exponent", "batches"), [("penalty", -3.0, 2), ("penalty-shared", -2.0, 1)]
)
def test_samples_of_a_method_are_those_of_its_plan(
    method: str, exponent: float, batches: int
) -> None:
    """``T`` ~ 1/epsilon and n ~ 1/epsilon, or 1/epsilon² where the batches are divided by sigma."""
    problem = quadratic()
    scales, start = units_of(problem, UNITS, 1.0)
    frames = []
    for epsilon in (0.95, 0.44, 0.2, 0.09):
        table = of_method(epsilon, method).measure(problem, [3, 1], no_progress)
        plan = installed().methods[method].configure(epsilon / start, SETTING, scales)
        assert table.columns[:3].tolist() == ["seed", "method", "epsilon"]
        assert table.seed.tolist() == [3, 1]
        assert (table.method == method).all()
        assert (table.iterations == plan.iterations).all()
        # Each inner step and the estimate draw n rollouts of each batch, and B labels, which take no
        # rollouts on a closed form.
        per_loop = plan.iterations * (batches * plan.solver.trajectories + plan.solver.pairs)
        assert (table.samples_per_loop == per_loop).all()
        assert (table.samples == per_loop * (plan.solver.inner_steps + 1)).all()
        frames.append(table)
    # The accuracy is that of a run with the plan.
    last = run(problem, plan.solver, plan.iterations, [3, 1], points_per_decade=1).table
    ends = last.groupby("seed").tail(1).set_index("seed").loc[[3, 1]]
    assert table.half_stationarity.tolist() == ends.half_stationarity.tolist()
    # Over 1.02 decades T, at least 67, and n, at least 4, are rounded up: by a factor of at most 1.25 at
    # one end, which is log10(1.25) = 0.1 of the exponent.
    verdict = power_law_verdict(
        pd.concat(frames), x="epsilon", y="samples_per_loop", predicted=exponent, limit="zero"
    )
    assert verdict.measured["exponent"] == pytest.approx(exponent, abs=0.1)


@pytest.mark.slow
def test_accuracy_of_a_method_without_noise_is_its_penalty_bias() -> None:
    """Without noise descent ends where ``∇Phi_sigma = 0``, which is linear in x on the quadratic, and
    with sigma² = c epsilon the squared gradient there is of order epsilon."""
    problem = quadratic(upper=2, rank=2, noise=1e-9)
    origin, units = torch.zeros(1, 2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    scales, start = units_of(problem, UNITS, 1.0)
    reached = []
    for epsilon in (0.9, 0.09):
        measurement = of_method(epsilon, "penalty-shared", batch=4.0)
        table = measurement.measure(problem, [0, 1], no_progress)
        sigma = measurement.planned(problem)[1].sigma
        assert sigma == pytest.approx(scales.sigma * math.sqrt(epsilon / start))
        slope = problem.surrogate_gradient(origin, sigma)
        rows = problem.surrogate_gradient(units, sigma) - slope
        end = torch.linalg.solve(rows.T, -slope[0])[None]
        expected = problem.hypergradient(end).square().sum().item()
        np.testing.assert_allclose(table.last_stationarity, expected, rtol=1e-3)
        reached.append(expected)
    assert math.log10(reached[0] / reached[1]) == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize(
    ("changes", "argument", "message"),
    [
        ({}, "schedule", "received schedule and constants and method and setting"),
        ({"schedule": None}, "schedule", "received constants and method and setting; pass a sch"),
        ({"method": None}, "schedule", "received schedule and constants and setting"),
        (dict.fromkeys(("schedule", "constants", "setting")), "schedule", "received method; pass"),
        (
            dict.fromkeys(("schedule", "constants", "method", "setting")),
            "schedule",
            "received nothing; pass a schedule with its constants, or a method with its setting",
        ),
        (
            {"schedule": None, "constants": None, "method": "penalty-shared"},
            "method",
            "pass one of a catalogue's methods",
        ),
        (
            {"schedule": None, "constants": None, "method": installed().methods["exact"]},
            "method",
            "name one that draws samples",
        ),
        (
            {"schedule": None, "constants": None, "setting": {"sigma": 1.0}},
            "setting",
            "pass step_size, inner_steps, inner_step_size, sigma, batch",
        ),
        (
            {"schedule": None, "constants": None, "setting": SETTING | {"batch": 0.0}},
            "setting.batch",
            "received 0.0",
        ),
    ],
)
def test_a_schedule_or_a_method_is_named(
    changes: dict[str, object], argument: str, message: str
) -> None:
    settings = {
        "epsilon": 0.1,
        "schedule": "total-3",
        "constants": CONSTANTS,
        "method": installed().methods["penalty"],
        "setting": SETTING,
    } | changes
    with pytest.raises(InvalidArgumentError, match=re.escape(message)) as caught:
        SampleComplexity(**settings)  # type: ignore[arg-type]
    assert caught.value.argument == argument


def test_a_target_that_the_starts_meet_is_refused() -> None:
    problem = random_problem(45, (2, 2, 2), objective="excess_risk", features=2)
    _, start = units_of(problem, UNITS, 1.0)
    assert start < 0.9
    measurement = of_method(0.9, "penalty")
    with pytest.raises(
        InvalidArgumentError, match=f"epsilon: received 0.9; pass less than {start:.3g}"
    ):
        measurement.measure(problem, [0], no_progress)
    # A problem with a start of its own is asked for the target as it is.
    plateaus = of_method(0.1, "penalty-shared").planned(plateau(epsilon=0.1))
    scales, _ = units_of(plateau(epsilon=0.1), UNITS, 1.0, 1.0)
    plan = installed().methods["penalty-shared"].configure(0.1, SETTING, scales)
    assert plateaus == (plan.iterations, plan.solver)
    with pytest.raises(
        InvalidArgumentError, match=r"seeds: received 1003; pass seeds outside 1000"
    ):
        measurement.measure(problem, [1003], no_progress)


def test_a_file_names_the_method_and_its_setting(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'measurement = "sample-complexity"\ndescription = "Mine."\nseeds = 2\n'
        '[settings]\nmethod = "penalty-shared"\n[settings.setting]\n'
        + "".join(f"{name} = {value:g}\n" for name, value in SETTING.items())
        + '[grid]\nepsilon = [0.1, 0.05]\n[problems.mine]\nfamily = "quadratic"\n'
    )
    cells = load_experiment(file).cells()
    assert [cell.measurement.epsilon for cell in cells] == [0.1, 0.05]
    assert cells[0].measurement == of_method(0.1, "penalty-shared")
    # Its results are out of date when the method's file changes.
    assert "solvers/penalty_bilevel.py" in cells[0].sources
    assert cells[0].measurement.relative_cost() < cells[1].measurement.relative_cost()
    text = file.read_text()
    file.write_text(text.replace("penalty-shared", "penalty-shred"))
    with pytest.raises(InvalidArgumentError, match=r"settings\.method: .* 'penalty-shared'"):
        load_experiment(file)
    file.write_text(text.replace("batch = 0.5", "bach = 0.5"))
    with pytest.raises(InvalidArgumentError, match=r"settings\.setting: received .*bach"):
        load_experiment(file)
