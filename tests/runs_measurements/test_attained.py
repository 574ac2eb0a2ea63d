"""What is attained: costs against direct runs, closed forms, and a user's own method."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch
from helpers.generators import random_problem

from theory_check.errors import InvalidArgumentError
from theory_check.oracles.estimates.counts import stream_entropy
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import plateau, valley
from theory_check.runs.measurements import attained
from theory_check.runs.measurements.attained import Attained
from theory_check.runs.predicted_cost import predicted_samples
from theory_check.runs.units import units_of
from theory_check.solvers import methods
from theory_check.solvers.method import Method, Plan
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

# Near the best on the plateau, so that searches are short.
START = {
    "step_size": 0.3,
    "inner_steps": 0.3,
    "inner_step_size": 0.35,
    "sigma": 0.01,
    "batch": 0.35,
}


def no_progress(done: int, total: int) -> None:
    assert 0 < done <= total


@pytest.fixture(scope="module")
def table():  # type: ignore[no-untyped-def]
    measurement = Attained("penalty-shared", (0.3, 0.1), runs=2, start=START, evaluations=12)
    return measurement.measure(plateau(), [5, 3, 8], no_progress)


def test_the_reported_cost_is_that_of_a_direct_run_on_streams_that_did_not_tune(table) -> None:  # type: ignore[no-untyped-def]
    assert table.seed.tolist() == [5, 3, 8, 5, 3, 8]
    row = table[(table.seed == 3) & (table.target == 0.1)].iloc[0]
    problem = plateau(epsilon=0.1)
    scales, _ = units_of(problem, attained.UNIT_SEEDS, 1.0, 1.0)
    plan = methods()["penalty-shared"].configure(0.1, json.loads(row.constants), scales)
    for role, cost in (("reported", row.samples), ("tuning", row.tuned_samples)):
        streams = [stream_entropy(f"{role} run {run}", 3) % 2**63 for run in range(2)]
        tools = instruments_for(problem, streams)
        state = tools.initial_state(plan.solver, streams, 1.0)
        squared, samples = [], []
        for _ in range(4 * plan.iterations):
            state = plan.solver.step(tools.sampled, state)
            squared.append(problem.hypergradient(state.upper).square().sum(-1).mean().item())
            samples.append(tools.sampled.counts.samples)
        asked = 0.1 if role == "reported" else 0.09
        met = np.array([np.mean(squared[t // 2 : t]) for t in range(1, len(squared) + 1)]) <= asked
        # The first iteration from which on the target is kept for half as many more.
        kept = next(t for t in range(1, len(squared) // 2) if met[t - 1 : t + t // 2].all())
        # Looked at every iteration up to 50, then 2 % apart.
        assert samples[kept - 1] <= cost <= 1.03 * samples[kept - 1]
    assert row.samples_per_loop == row.samples / (row.inner_steps + 1)
    assert row.cost_ratio == row.samples / row.predicted_samples


def test_replicates_do_not_share_their_draws_and_company_does_not_matter() -> None:
    problem = plateau(epsilon=0.3)
    scales, _ = units_of(problem, attained.UNIT_SEEDS, 1.0, 1.0)
    settings = Attained("penalty-shared", (0.3,), runs=2)
    # Far from every edge: inner loops that follow, and batches that cost more than they have to.
    generous = {**START, "inner_steps": 3.0, "inner_step_size": 0.5, "batch": 40.0}
    arrivals = {}
    for seeds in ((3,), (5, 3, 8)):
        groups = attained._Groups(seeds, 2)
        search = attained._Search(
            settings, methods()["penalty-shared"], problem, groups, 0.3, 0.3, scales, np.inf
        )
        arrivals[seeds] = search.evaluate(generous, np.inf).outcome.samples
    assert np.isfinite(arrivals[5, 3, 8]).all()
    np.testing.assert_array_equal(arrivals[3,][:, 0], arrivals[5, 3, 8][:, 1])
    assert len(np.unique(arrivals[5, 3, 8])) > 1


def test_the_ergodic_mean_costs_more_than_the_second_half(table) -> None:  # type: ignore[no-untyped-def]
    ergodic = Attained(
        "penalty-shared", (0.3,), "ergodic", runs=2, start=START, evaluations=12
    ).measure(plateau(), [5, 3, 8], no_progress)
    half = table[table.target == 0.3]
    assert ergodic.samples.median() > 1.5 * half.samples.median()
    assert ergodic.predicted_samples.iloc[0] > 1.5 * half.predicted_samples.iloc[0]


def test_without_noise_the_cheapest_batch_is_one() -> None:
    """So that the verdict can tell a cost of iterations from one of samples."""
    found = Attained("penalty-shared", (0.3,), runs=1, start=START).measure(
        plateau(noise=1e-9), [0, 1], no_progress
    )
    assert (found.trajectories == 1).all()


def test_a_users_own_method_is_searched_over_its_own_constants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def plan(epsilon: float, constants, scales):  # type: ignore[no-untyped-def]
        solver = PenaltyBilevel(
            sigma=constants["weight"],
            inner_steps=2,
            inner_step_size=scales.inner_step,
            step_size=0.3 * scales.outer_step,
            trajectories=max(1, round(constants["size"])),
            pairs=max(1, round(constants["size"])),
            coupling="shared",
        )
        return Plan(15, solver)

    own = Method(
        id="own",
        title="own",
        solver=PenaltyBilevel,
        constants={"weight": (0.03, 0.1, 0.3, 1.0), "size": (3.0, 10.0, 30.0, 100.0)},
        plan=plan,
        rate=None,
        estimates="penalised",
    )
    monkeypatch.setattr(attained, "methods", lambda: {"own": own})
    problem = random_problem(45, (2, 2, 2), objective="excess_risk", features=2)
    found = Attained("own", (0.5,), runs=2).measure(problem, [0, 1], no_progress)
    # Two runs a seed are few: one of the two may miss the target that it was tuned to.
    assert np.isfinite(found.samples).any()
    assert found.interior.all()
    assert found.evaluations.iloc[0] > 16
    assert set(json.loads(found.constants.iloc[0])) == {"weight", "size"}
    assert found.predicted_samples.isna().all()
    # Relative to the median squared gradient of the starts.
    tools = instruments_for(problem, attained.UNIT_SEEDS)
    starts = tools.truth.hypergradient(tools.initial_upper(attained.UNIT_SEEDS, 1.0))
    assert found.epsilon.iloc[0] == pytest.approx(0.5 * starts.square().sum(-1).median().item())


def test_unreachable_targets_are_infinite_and_not_interior() -> None:
    """400 steps of 1e-6 do not cross a slope of length 2."""
    found = Attained("penalty", (0.1,), runs=1, evaluations=1, start={**START, "step_size": 1e-6})
    table = found.measure(plateau(), [0, 1], no_progress)
    assert np.isinf(table.samples).all()
    assert not table.interior.any()
    assert (table.evaluations == 1).all()


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"method": "penalti"}, "method"),
        ({"accuracy": "last"}, "accuracy"),
        ({"targets": ()}, "targets"),
        ({"targets": (0.1, 0.2)}, "targets"),
        ({"targets": (0.1, 0.1)}, "targets"),
        ({"targets": (2.0,)}, "targets"),
        ({"runs": 0}, "runs"),
        ({"start": {"sigma": 1.0}}, "start"),
        ({"start": {**START, "sigma": -1.0}}, "start.sigma"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, object], argument: str) -> None:
    settings = {"method": "penalty", "targets": (0.2, 0.1)} | changes
    with pytest.raises(InvalidArgumentError) as caught:
        Attained(**settings)  # type: ignore[arg-type]
    assert caught.value.argument == argument


def test_methods_that_draw_no_samples_are_refused() -> None:
    with pytest.raises(
        InvalidArgumentError, match="method: received f2ba; pass one that draws samples"
    ):
        Attained("f2ba", (0.2,)).measure(plateau(), [0], no_progress)


def brute_force(problem, epsilon: float, coupling: str, accuracy: str) -> float:  # type: ignore[no-untyped-def]
    """Return the cheapest of a grid, the descent followed step by step at a small eta."""
    eta, z = 0.02, float(problem.start[0])
    squared = []
    for _ in range(int(12 / epsilon / eta)):
        slope = problem.height_slope(torch.tensor([z], dtype=torch.float64)).item()
        squared.append(slope**2)
        z -= eta * slope
    sums = np.concatenate([[0.0], np.cumsum(squared)])
    best = np.inf
    for steps in np.unique(np.geomspace(10, len(squared), 400).astype(int)):
        before = steps // 2 if accuracy == "half" else 0
        slope_part = (sums[steps] - sums[before]) / (steps - before)
        for sigma in np.geomspace(1e-5, 0.3, 200):
            c, u = 1.0, problem.slope
            lasting = (
                0.0
                if coupling == "shared"
                else (sigma * u**2 / 4 / (c + sigma * u * problem.bend) ** 2)
            )
            room = epsilon - slope_part - lasting**2
            if room <= 0:
                continue
            variance = 2.0 if coupling == "shared" else 4 / sigma**2 + 2
            gain = sum(eta * m / (2 - eta * m) for m in (problem.stiffness, problem.end_curvature))
            m = problem.stiffness
            bent = problem.slope**2 / 4 if coupling == "shared" else 0.0
            spread = gain * variance + eta * m / (2 - eta * m) * bent
            batch = spread * problem.noise**2 / room
            best = min(best, 2 * steps * (2 if coupling == "shared" else 3) * batch)
    return best


@pytest.mark.parametrize("coupling", ["independent", "shared"])
@pytest.mark.parametrize("accuracy", ["half", "ergodic"])
@pytest.mark.parametrize(
    "build",
    [partial(plateau, epsilon=0.05), partial(valley, depth=2.0, decay=0.4)],
    ids=["plateau", "valley"],
)
def test_the_predicted_cost_by_brute_force(build, accuracy: str, coupling: str) -> None:  # type: ignore[no-untyped-def]
    """The grids leave up to 6 %, the finite step up to 3 %."""
    problem = build(noise=0.7)
    found = predicted_samples(problem, 0.05, coupling, accuracy)  # type: ignore[arg-type]
    assert found == pytest.approx(brute_force(problem, 0.05, coupling, accuracy), rel=0.08)
