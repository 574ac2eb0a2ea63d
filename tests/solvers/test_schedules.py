"""Arithmetic of the schedules, derived by hand from docs/theory.md section 5.3."""

from __future__ import annotations

import dataclasses
import math

import pytest

from theory_check.catalogue import installed
from theory_check.errors import InvalidArgumentError
from theory_check.solvers.method import Scales
from theory_check.solvers.penalty_bilevel import (
    METHOD_CENTRAL,
    METHOD_CENTRAL_SHARED,
    METHOD_INDEPENDENT,
    METHOD_SHARED,
)
from theory_check.solvers.schedules import (
    CONTROL_SCHEDULES,
    SCHEDULES,
    ScheduleConstants,
    get_schedule,
)

CONSTANTS = ScheduleConstants(
    sigma=2.0,
    iterations=3.0,
    inner_steps=1.5,
    trajectories=5.0,
    pairs=7.0,
    step_size=0.4,
    inner_step_size=0.9,
)
UNIT = ScheduleConstants(**dict.fromkeys(dataclasses.asdict(CONSTANTS), 1.0))


@pytest.mark.parametrize(
    ("name", "iterations", "batch", "step_size", "coupling"),
    [
        # T = 3 * 1000, n = 5 * 10^4, B = 7 * 10^4, step 0.4 * 0.1.
        ("total-7/2", 3000, (50_000, 70_000), 0.04, "independent"),
        ("total-3", 300, (50_000, 70_000), 0.4, "independent"),
        ("total-2", 300, (500, 700), 0.4, "shared"),
        # n = 5 * 1000, B = 7 * 1000.
        ("total-5/2", 300, (5000, 7000), 0.4, "independent"),
        ("total-2-central", 300, (500, 700), 0.4, "shared"),
    ],
)
def test_settings_at_a_hundredth(
    name: str, iterations: int, batch: tuple[int, int], step_size: float, coupling: str
) -> None:
    # Common to all: K = 1.5 * log(100) = 6.9078 rounded up; sigma = 2 * 0.1, or 2 * 0.1^(1/2).
    schedule = get_schedule(name)
    found_iterations, found = schedule.configure(0.01, CONSTANTS)
    assert found_iterations == iterations
    central = name in ("total-5/2", "total-2-central")
    assert found.difference == ("central" if central else "forward")
    assert found.sigma == pytest.approx(2 * 0.1 ** (0.5 if central else 1.0), rel=1e-12)
    assert found.inner_steps == 7
    assert found.inner_step_size == 0.9
    assert found.step_size == pytest.approx(step_size, rel=1e-12)
    assert (found.trajectories, found.pairs) == batch
    assert found.coupling == coupling == schedule.coupling


@pytest.mark.parametrize(
    ("name", "exponent", "tag"),
    [
        ("total-7/2", 3.5, "R"),
        ("total-3", 3.0, "S"),
        ("total-2", 2, "D"),
        ("total-5/2", 2.5, "V"),
        ("total-2-central", 2, "D"),
    ],
)
def test_samples_grow_with_the_exponent_of_the_claim(name: str, exponent: float, tag: str) -> None:
    schedule = get_schedule(name)
    assert schedule.sample_exponent == exponent
    assert schedule.provenance == tag
    # At epsilon = 4^-k every power of epsilon^(1/2) is an integer, so nothing is rounded.
    (few, coarse), (many, fine) = (schedule.configure(4.0**-k, UNIT) for k in (2, 5))
    growth = many * fine.trajectories / (few * coarse.trajectories)
    assert math.log(growth) / math.log(4.0**3) == pytest.approx(exponent, rel=1e-12)


@pytest.mark.parametrize("epsilon", [0.5, 0.1, 0.003])
@pytest.mark.parametrize("name", ["total-3", "total-2", "total-5/2", "total-2-central"])
def test_the_plans_of_the_penalty_methods_are_these_schedules(name: str, epsilon: float) -> None:
    """Their constants are in units of the problem, their exponents in epsilon those of the schedule."""
    method = {
        "total-3": METHOD_INDEPENDENT,
        "total-2": METHOD_SHARED,
        "total-5/2": METHOD_CENTRAL,
        "total-2-central": METHOD_CENTRAL_SHARED,
    }[name]
    scales = Scales(outer_step=0.2, inner_step=0.7, kl_weight=0.5, sigma=0.5, batch=300.0)
    for constants in method.grid:
        sigma = constants["sigma"] * 0.5
        # Var / sigma² of two batches, a quarter of it of a central difference, or the variance
        # (1 + tau^-2) / 2 of a response, over the share
        # epsilon / batch: both at epsilon = 1.
        batch = 300.0 * constants["batch"]
        noise = {"total-3": 2 / sigma**2, "total-5/2": 1 / (2 * sigma**2)}
        batch *= noise.get(name, (1 + 1 / 0.5**2) / 2)
        prefactors = ScheduleConstants(
            sigma=sigma,
            iterations=10.0,
            inner_steps=constants["inner_steps"],
            trajectories=batch,
            pairs=batch,
            step_size=constants["step_size"] * 0.2,
            inner_step_size=constants["inner_step_size"] * 0.7,
        )
        plan = method.configure(epsilon, constants, scales)
        iterations, solver = get_schedule(name).configure(epsilon, prefactors)
        assert plan.iterations == iterations
        assert plan.solver.coupling == solver.coupling
        assert plan.solver.difference == solver.difference
        words = ("coupling", "difference")
        numbers = [name for name in dataclasses.asdict(solver) if name not in words]
        for number in numbers:
            expected = getattr(solver, number)
            assert getattr(plan.solver, number) == pytest.approx(expected, rel=1e-12), number


CONTROLS = {
    "control-small-batch": ("total-2", {"coupling": "independent"}),
    "control-fixed-sigma": ("total-2", {"sigma": 0.0}),
    "control-batch-3/2": ("total-3", {"batch": -1.5}),
    "control-sigma-1/4": ("total-3", {"sigma": 0.25}),
    "control-few-iterations": ("total-3", {"iterations": -0.5}),
    "control-shared-batch-1/2": ("total-2", {"batch": -0.5}),
    "control-short-7/2": ("total-7/2", {"iterations": -1.0}),
    "control-forward-5/2": ("total-5/2", {"difference": "forward"}),
    "control-central-batch-1": ("total-5/2", {"batch": -1.0}),
    "control-forward-2": ("total-2-central", {"difference": "forward"}),
    "wasteful-4": ("total-3", {"batch": -3.0}),
    "wasteful-7/2": ("total-3", {"batch": -2.5}),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_is_a_schedule_with_one_mistake(name: str) -> None:
    right, mistake = CONTROLS[name]
    control, guarded = get_schedule(name), get_schedule(right)
    fields = [field.name for field in dataclasses.fields(guarded)]
    changed = {
        field: getattr(control, field)
        for field in fields
        if getattr(control, field) != getattr(guarded, field)
    }
    changed.pop("provenance", None)
    assert changed.pop("id") == name
    assert "docs/theory.md section 6." in changed.pop("source")
    assert changed == mistake
    # The forbidden ones look at least as cheap as the right one; the wasteful ones are dearer.
    dearer = control.sample_exponent > guarded.sample_exponent
    assert dearer == name.startswith("wasteful")


def test_settings_of_the_controls_at_a_hundredth() -> None:
    """T = 3 * 100, n = 5 * 100, B = 7 * 100, the step 0.4: those of total-2."""
    for name, sigma, coupling in (
        ("control-small-batch", 0.2, "independent"),
        # 2 * 0.01^0.
        ("control-fixed-sigma", 2.0, "shared"),
    ):
        iterations, found = get_schedule(name).configure(0.01, CONSTANTS)
        assert (iterations, found.trajectories, found.pairs) == (300, 500, 700)
        assert found.sigma == pytest.approx(sigma, rel=1e-12)
        assert found.step_size == 0.4
        assert found.coupling == coupling


def test_controls_are_not_among_what_is_advised() -> None:
    assert set(CONTROL_SCHEDULES) == set(CONTROLS)
    assert not set(SCHEDULES) & set(CONTROL_SCHEDULES)
    with pytest.raises(TypeError):
        SCHEDULES["control-small-batch"] = CONTROL_SCHEDULES["control-small-batch"]  # type: ignore[index]


def test_products_that_are_integers_up_to_rounding_are_not_rounded_up() -> None:
    # 1 / 0.1**2 is 99.99999999999999 or 100.00000000000001 depending on how it is computed.
    for epsilon, expected in ((0.1, 100), (0.01, 10_000), (0.001, 1_000_000)):
        iterations, found = get_schedule("total-3").configure(epsilon, UNIT)
        assert found.trajectories == expected
        assert iterations == round(1 / epsilon)
    # A batch of 5.3 is 6.
    assert get_schedule("total-2").configure(1 / 5.3, UNIT)[1].trajectories == 6
    # K = log(1/0.99) = 0.01 is at least 1.
    assert get_schedule("total-2").configure(0.99, UNIT)[1].inner_steps == 1


def test_schedules_are_frozen_and_not_solvers() -> None:
    assert set(SCHEDULES) == {"total-7/2", "total-3", "total-5/2", "total-2", "total-2-central"}
    found = installed().solvers
    assert not {"Schedule", "ScheduleConstants"} & {cls.__name__ for cls in found.values()}
    for schedule in SCHEDULES.values():
        assert schedule.source
        with pytest.raises(dataclasses.FrozenInstanceError):
            schedule.batch = -3.0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        CONSTANTS.sigma = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("bad", [0.0, 1.0, 2.0, -0.1, float("nan")])
def test_impossible_targets_are_refused(bad: float) -> None:
    with pytest.raises(InvalidArgumentError, match="between 0 and 1") as caught:
        get_schedule("total-3").configure(bad, CONSTANTS)
    assert caught.value.argument == "epsilon"


def test_unknown_schedule_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InvalidArgumentError, match="did you mean 'total-3'"):
        get_schedule("total3")


def test_what_is_printed_of_a_method_and_its_plan_is_one_line() -> None:
    assert repr(METHOD_SHARED) == (
        "<Method penalty-shared: PenaltyBilevel, constants step_size, inner_steps, inner_step_size, "
        "sigma, batch; epsilon^-2 samples [D]>"
    )
    unstated = dataclasses.replace(METHOD_SHARED, id="mine", rate=None)
    assert repr(unstated).endswith("sigma, batch; no stated rate>")
    scales = Scales(outer_step=0.2, inner_step=0.7, kl_weight=0.5, sigma=0.5, batch=1.0)
    constants = dict.fromkeys(METHOD_SHARED.constants, 1.0)
    # K = ceil(ln 4), batch (1 + 1 / 0.5²) / 2 over epsilon.
    assert repr(METHOD_SHARED.configure(0.25, constants, scales)) == (
        "Plan(iterations=40, solver=PenaltyBilevel(sigma=0.25, inner_steps=2, inner_step_size=0.7, "
        "step_size=0.2, trajectories=10, pairs=10, coupling='shared', difference='forward'))"
    )
