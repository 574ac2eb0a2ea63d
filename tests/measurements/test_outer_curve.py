"""Sums along paths: an equality in one dimension, values at both ends, and steps that are too long."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from theory_check.analysis import judge
from theory_check.catalogue import Catalogue
from theory_check.measurements import outer_curve
from theory_check.measurements.outer_curve import OuterCurve
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.instruments import instruments_for
from theory_check.oracles.quadratic_constants import penalised_smoothness, penalised_value
from theory_check.oracles.starts import initial_reward
from theory_check.problems import garnet, quadratic
from theory_check.recording.run import run
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

CLAIMS = Catalogue.shipped().claims
LINE = quadratic(upper=1, lower=2, rank=1)


def ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""


def measurement(iterations: int = 40) -> OuterCurve:
    solver = PenaltyBilevel(
        sigma=0.1,
        inner_steps=3,
        inner_step_size=0.2,
        step_size=0.25,
        trajectories=500,
        pairs=500,
        coupling="shared",
    )
    return OuterCurve(solver=solver, iterations=iterations)


def test_in_one_dimension_the_bound_is_an_equality() -> None:
    table = measurement().measure(LINE, range(6), ignore)
    np.testing.assert_allclose(table.bound, table.stationarity, rtol=1e-9)
    assert (table.errors > 0).all()
    np.testing.assert_allclose(table.step_times_smoothness, 1.0, rtol=1e-12)
    planted = table.assign(problem="p")
    assert judge(CLAIMS["outer-curve"], planted).status == "holds"
    caught = judge(CLAIMS["control-outer-curve"], planted)
    assert [rate.status for rate in caught.rates] == ["violated", "violated"]


def test_a_step_that_is_too_long_needs_the_third_term(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smoothness taken for half of what it is makes the step 2/L; the bound without the term breaks."""
    known = outer_curve.penalised_smoothness
    monkeypatch.setattr(
        outer_curve, "penalised_smoothness", lambda problem, sigma: known(problem, sigma) / 2
    )
    table = measurement(5).measure(LINE, range(6), ignore)
    np.testing.assert_allclose(table.step_times_smoothness, 1.0, rtol=1e-12)
    assert judge(CLAIMS["outer-curve"], table.assign(problem="p")).status == "violated"
    level = outer_curve._level(LINE, 0.1)
    honest = outer_curve._Level(
        level.value, lambda x: 2 * level.curvature(x), level.known_smoothness
    )
    monkeypatch.setattr(outer_curve, "_level", lambda problem, sigma: honest)
    table = measurement(5).measure(LINE, range(6), ignore)
    np.testing.assert_allclose(table.step_times_smoothness, 2.0, rtol=1e-12)
    np.testing.assert_allclose(table.bound, table.stationarity, rtol=1e-9)


def test_sums_of_a_quadratic_path_by_a_loop() -> None:
    problem, configured = quadratic(), measurement(12)
    table = configured.measure(problem, [2, 4], ignore)
    step = 1 / penalised_smoothness(problem, 0.1)
    solver = replace(configured.solver, step_size=step)
    instruments = instruments_for(problem, [2, 4])
    oracle = instruments.oracle_for(solver)
    state = instruments.initial_state(solver, [2, 4], 1.0)
    start, squares, errors, inner, noise = state.next_upper, *torch.zeros(4, 2)
    for iteration in range(1, 13):
        state = solver.step(oracle, state)
        gradient = problem.surrogate_gradient(state.upper, 0.1)
        squares = squares + gradient.square().sum(-1)
        errors = errors + (state.estimate - gradient).square().sum(-1)
        direct, _ = problem.upper_gradients(state.upper, state.lower_penalised)
        pulled, _ = problem.lower_gradients(state.upper, state.lower_penalised)
        free, _ = problem.lower_gradients(state.upper, state.lower)
        expected = direct + (pulled - free) / 0.1
        inner = inner + (expected - gradient).square().sum(-1)
        noise = noise + (state.estimate - expected).square().sum(-1)
        rows = table.loc[table.iteration == iteration]
        if rows.empty:
            continue
        fall = penalised_value(problem, start, 0.1) - penalised_value(
            problem, state.next_upper, 0.1
        )
        np.testing.assert_allclose(rows.stationarity, squares / iteration, rtol=1e-9)
        np.testing.assert_allclose(rows.errors, errors / iteration, rtol=1e-9)
        np.testing.assert_allclose(rows.decrease, 2 * fall / (step * iteration), rtol=1e-9)
        np.testing.assert_allclose(rows.bound, rows.decrease + rows.errors, rtol=1e-12)
        mean = rows.decrease + ((inner + noise) / iteration).numpy()
        np.testing.assert_allclose(rows.bound_in_mean, mean, rtol=1e-9)
    assert (table.bound >= table.stationarity).all()


@pytest.mark.slow
def test_noise_counts_half_in_the_mean_at_half_of_the_step() -> None:
    """``E ‖∇‖² (2 - eta L) = E decrease + eta L E noise`` in one dimension with solved inner loops.

    By ``Phi(x - eta g) = Phi - eta <∇, g> + eta² L ‖g‖²/2`` and noise of mean 0. 64 paths; a mean six
    standard errors from 0 has a probability below 1e-6 (t of 63 degrees).
    """
    settled = {"inner_steps": 30, "inner_step_size": 1.0, "trajectories": 10**8}
    solver = replace(measurement().solver, **settled)
    configured = OuterCurve(solver=solver, iterations=200, step_share=0.5)
    table = configured.measure(LINE, range(64), ignore)
    np.testing.assert_allclose(table.step_times_smoothness, 0.5, rtol=1e-12)
    last = table.loc[table.iteration == 200]
    off = 1.5 * last.stationarity - last.decrease - 0.5 * last.errors
    assert abs(off.mean()) < 6 * off.std() / 8
    # Counted in full, as on a single path, half of the noise would be left: more than 20 of them.
    full = 1.5 * last.stationarity - last.decrease - last.errors
    assert full.mean() < -6 * full.std() / 8
    planted = table.assign(problem="p")
    assert judge(CLAIMS["outer-curve-mean"], planted).status == "holds"
    assert judge(CLAIMS["control-outer-curve-mean"], planted).status == "violated"


@pytest.mark.slow
def test_of_a_preference_problem_ends_and_curvature_are_exact() -> None:
    problem = garnet(states=3, actions=2, horizon=2, features=3, objective="excess_risk")
    configured = measurement(6)
    table = configured.measure(problem, [1, 2], ignore)
    exact = ExactOracle(problem)
    trace = run(problem, configured.solver, 6, [1, 2])
    start = initial_reward([1, 2], problem.reward_model, 1.0)
    fall = exact.penalised_objective(start, 0.1) - exact.penalised_objective(trace.final_upper, 0.1)
    last = table.loc[table.iteration == 6]
    np.testing.assert_allclose(last.decrease, 2 * fall / (0.25 * 6), rtol=1e-6)
    gradient = exact.penalised_gradient(start, 0.1).square().sum(-1)
    first = table.loc[table.iteration == 1]
    np.testing.assert_allclose(first.stationarity, gradient, rtol=1e-9)
    assert (table.step_times_smoothness > 0).all()
    assert judge(CLAIMS["outer-curve"], table.assign(problem="p")).status == "holds"
