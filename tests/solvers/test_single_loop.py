"""What solvers share is stated once, and the falling steps are those of their source."""

from __future__ import annotations

import dataclasses

import pytest
from helpers.methods import METHODS, configured

from theory_check.catalogue import installed
from theory_check.solvers.method import Method
from theory_check.solvers.single_loop import WARM_UP, SingleLoop
from theory_check.solvers.states import InnerLoopSettings

SHARED = {
    base: {field.name for field in dataclasses.fields(base)}
    for base in (SingleLoop, InnerLoopSettings)
}


@pytest.mark.parametrize(("name", "a", "c"), [("f2sa", 5 / 7, 4 / 7), ("f3sa", 3 / 5, 2 / 5)])
def test_steps_and_sigma_fall_as_the_source_says(name: str, a: float, c: float) -> None:
    solver = configured(installed().methods[name])
    assert solver.step_at(0) == solver.step_size
    assert solver.inner_step_at(0) == solver.inner_step_size
    assert solver.sigma_at(0) == solver.sigma
    later = 31 * WARM_UP  # 1 + k / k_0 = 32
    assert solver.step_at(later) == pytest.approx(solver.step_size * 32**-a, rel=1e-14)
    assert solver.inner_step_at(later) == pytest.approx(solver.inner_step_size * 32**-c, rel=1e-14)
    # lambda_k = gamma_k / (2 alpha_k), up to its constant.
    ratio = solver.step_at(later) / solver.inner_step_at(later)
    assert solver.sigma_at(later) / solver.sigma == pytest.approx(
        ratio * solver.inner_step_size / solver.step_size, rel=1e-14
    )


@METHODS
def test_what_a_base_states_no_solver_states_again(method: Method) -> None:
    for base, names in SHARED.items():
        if issubclass(method.solver, base):
            assert not names & set(vars(method.solver).get("__annotations__", {}))


def test_who_shares_what() -> None:
    solvers = installed().solvers
    loops = {name for name, kind in solvers.items() if issubclass(kind, SingleLoop)}
    assert loops == {"f2sa", "f3sa"}
    shared = {name for name, kind in solvers.items() if issubclass(kind, InnerLoopSettings)}
    assert {"offline-rlhf", "pbrl", "aho", "alternating"} <= shared
