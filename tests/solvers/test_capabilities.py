"""What solvers declare to need, what they ask for, and where their inner loops go."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import torch
from helpers.generators import random_problem
from helpers.methods import configured
from torch import Tensor

import theory_check as tc
from theory_check.bilevel import (
    CAPABILITIES,
    AdjointOracle,
    BilevelOracle,
    ContractionOracle,
    DirectOracle,
    FirstOrderOracle,
    HypergradientOracle,
    ImplicitDataOracle,
    InnerPath,
    LowerOracle,
    OpposedPreferenceOracle,
    OptimalLowerOracle,
    PenaltyOracle,
    PreferenceOracle,
    UpperOracle,
    needs,
    operations,
    tells_inner_path,
)
from theory_check.catalogue import installed
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.audits import Audits
from theory_check.oracles.closed_form import ClosedFormInstruments, ClosedFormOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.instruments import CountedInformation, instruments_for
from theory_check.oracles.rlhf_instruments import RLHFInstruments
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import quadratic
from theory_check.runs import load_experiment
from theory_check.solvers.alternating import Alternating
from theory_check.solvers.exact_hypergradient import ExactHypergradient
from theory_check.solvers.f3sa import F3SA
from theory_check.solvers.offline_rlhf import OfflineRLHF
from theory_check.solvers.online_dpo import OnlineDPO
from theory_check.solvers.parl import PARL
from theory_check.solvers.pbrl import PBRL
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.testing.contract import Witness

TABULAR = random_problem(31, (2, 2, 2), objective="excess_risk", features=2)
OFFLINE = OfflineRLHF(pairs=5, step_size=0.1, inner_steps=2, inner_step_size=0.1, trajectories=5)
SOLVERS = pytest.mark.parametrize(
    "solver", installed().solvers.values(), ids=list(installed().solvers)
)


def asked_by(solver: Any) -> set[str]:
    """Return the operations that three iterations and an estimate ask of all that there are."""
    tools = instruments_for(TABULAR, [0, 1])
    witness = Witness(tools.oracle_for(solver), operations(CAPABILITIES))
    state = tools.initial_state(solver, [0, 1], 1.0)
    for _ in range(3):
        state = solver.step(witness, state)
    solver.hypergradient_estimate(witness, state)
    assert witness.asked_beside == []
    return set(witness.asked)


@SOLVERS
def test_a_solver_asks_for_what_it_declares_and_for_nothing_else(solver: type) -> None:
    """All operations asked for are declared; of every capability declared, some method uses one.

    A solver with several methods, such as two penalties, declares what any of them needs.
    """
    methods = [method for method in installed().methods.values() if method.solver is solver]
    asked = set().union(*(asked_by(configured(method)) for method in methods))
    assert asked <= operations(needs(solver))
    for capability in needs(solver):
        assert asked & operations([capability]), f"{capability.__name__} is not used"


def test_declarations_are_those_of_the_annotations() -> None:
    assert set(needs(Alternating)) == {LowerOracle, DirectOracle}
    assert set(needs(ExactHypergradient)) == {OptimalLowerOracle, HypergradientOracle}
    assert set(needs(OFFLINE)) == {LowerOracle, PreferenceOracle}
    # A combination is taken apart.
    assert operations(needs(PenaltyBilevel)) == {
        "lower_gradients",
        "upper_gradients",
        "penalty_difference",
    }
    # The step is inherited, the estimate is not.
    assert operations(needs(PARL)) == operations([BilevelOracle])

    class Own(Protocol):
        def curvature(self) -> float: ...

    class Asking:
        def step(self, oracle: Own, state: Any) -> Any: ...

    class Untold:
        def step(self, oracle: Missing, state: Any) -> Any: ...  # type: ignore[name-defined]
        def hypergradient_estimate(self, oracle: ClosedFormOracle, state: Any) -> Any: ...

    Asking.step.__globals__["Own"] = Own  # annotations are looked up in the module
    try:
        assert operations(needs(Asking)) == {"curvature"}
    finally:
        del Asking.step.__globals__["Own"]
    assert needs(Untold) == ()


def test_every_operation_belongs_to_one_capability() -> None:
    names = [name for capability in CAPABILITIES for name in operations([capability])]
    assert sorted(names) == sorted(set(names))
    exact = operations([OptimalLowerOracle, ContractionOracle, AdjointOracle])
    offered = {name for name in names if hasattr(SampledOracle, name)}
    assert offered == set(names) - exact
    assert all(hasattr(ExactInformation, name) for name in names)


def test_closed_forms_have_no_preferences() -> None:
    everything = set(CAPABILITIES)
    lacking = {
        capability
        for capability in everything
        if not all(hasattr(ClosedFormOracle, name) for name in operations([capability]))
    }
    assert lacking == {PreferenceOracle, OpposedPreferenceOracle, ImplicitDataOracle}
    counted = CountedInformation(ClosedFormOracle(quadratic()))
    assert not isinstance(counted, PreferenceOracle)
    assert isinstance(counted, FirstOrderOracle)
    assert ClosedFormInstruments.lacking(OFFLINE) == (PreferenceOracle,)
    assert RLHFInstruments.lacking(OFFLINE) == ()
    # Sampled oracles never have the solution of the lower level.
    sampling = type("Sampling", (ExactHypergradient,), {"information": "samples"})
    assert RLHFInstruments.lacking(sampling) == (OptimalLowerOracle,)


MISFIT = (
    r"received solver 'offline-rlhf', which needs PreferenceOracle \(data_gradient, preference_data\), "
    r"with problem '{name}', a QuadraticProblem, which has none; pass another solver"
)
FILE = """\
measurement = "{measurement}"
description = "A pair that does not fit."
seeds = 1
[settings]
{settings}
[problems.wells]
family = "quadratic"
"""
RUN = """\
iterations = 2
[settings.solver]
name = "offline-rlhf"
pairs = 5
step_size = 0.1
inner_steps = 2
inner_step_size = 0.1
trajectories = 5
"""
COMPARED = 'targets = [0.5]\ntuning_target = 0.5\n[grid]\nmethod = ["penalty", "offline"]'


@pytest.mark.parametrize(
    ("measurement", "settings"), [("solver-run", RUN), ("comparison", COMPARED)]
)
def test_a_pair_that_does_not_fit_is_refused_on_loading(
    tmp_path: Path, measurement: str, settings: str
) -> None:
    path = tmp_path / "misfit.toml"
    text = FILE.format(measurement=measurement, settings=settings)
    path.write_text(text)
    message = rf"misfit.toml: problems\.wells: {MISFIT.format(name='wells')}"
    with pytest.raises(InvalidArgumentError, match=message):
        load_experiment(path)
    # Where the problem has preferences, or the solver needs none, the same files are read.
    bandit = '"bandit"\ncontexts = 2\nactions = 2\nfeatures = 2'
    path.write_text(text.replace('"quadratic"', bandit))
    assert load_experiment(path).cells()
    path.write_text(text.replace('"offline"', '"hpgd"').replace("offline-rlhf", "alternating"))
    assert load_experiment(path).cells()


NETWORKS = (
    'family = "bandit"\ncontexts = 2\nactions = 2\nfeatures = 2\n'
    '{key} = {{ name = "mlp", width = 2 }}\n'
)


@pytest.mark.parametrize(
    ("solver", "needed", "key", "other", "remedy"),
    [
        (
            'name = "exact-hypergradient"\nstep_size = 0.1\n',
            r"solver 'exact-hypergradient', which needs OptimalLowerOracle \(optimal_lower\)",
            "policy",
            "reward",
            "search tabular policies",
        ),
        (
            'name = "online-dpo"\nstep_size = 0.1\npairs = 5\n',
            r"solver 'online-dpo', which needs ImplicitUpperOracle \(implicit_gradient, implied_upper\)",
            "reward",
            "policy",
            "search linear rewards",
        ),
    ],
)
def test_what_oracles_lack_for_the_classes_of_a_problem_is_refused_on_loading(
    solver: str, needed: str, key: str, other: str, remedy: str, tmp_path: Path
) -> None:
    path = tmp_path / "misfit.toml"
    settings = f"iterations = 2\n[settings.solver]\n{solver}"
    text = FILE.format(measurement="solver-run", settings=settings)
    path.write_text(text.replace('family = "quadratic"\n', NETWORKS.format(key=key)))
    message = (
        rf"misfit.toml: problems\.wells: received {needed}, with problem 'wells', a Problem, which has "
        rf"none for its reward and policy classes; {remedy}"
    )
    with pytest.raises(InvalidArgumentError, match=message):
        load_experiment(path)
    path.write_text(text.replace('family = "quadratic"\n', NETWORKS.format(key=other)))
    (cell,) = load_experiment(path).cells()
    tc.run(cell.problem.build(), cell.measurement.solver, 1, [0])  # type: ignore[attr-defined]


def test_a_pair_that_does_not_fit_is_refused_by_run() -> None:
    problem = quadratic()
    message = rf"^solver: {MISFIT.format(name=re.escape(problem.name))}"
    with pytest.raises(InvalidArgumentError, match=message):
        tc.run(problem, OFFLINE, 2, [0])
    with pytest.raises(InvalidArgumentError, match=message):
        Audits(OFFLINE, iterations=2).measure(problem, [0], lambda done, total: None)


def test_audits_need_a_solver_that_tells_its_inner_path() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^solver: received 'exact-hypergradient'"):
        Audits(ExactHypergradient(step_size=0.1), iterations=2)
    without = {name for name, kind in installed().solvers.items() if not tells_inner_path(kind)}
    assert without == {"exact-hypergradient", "online-dpo", "sail", "sail-revkl", "dpo-rounds"}


def test_a_solver_without_an_estimate_has_no_errors() -> None:
    """Online DPO stores the change of the implied reward in the place of an estimate."""
    solver = OnlineDPO(step_size=0.1, pairs=5)
    table = tc.run(TABULAR, solver, 3, [0, 1], points_per_decade=9).table
    errors = ["hypergradient_error", "penalty_bias", "inner_error", "sampling_error"]
    assert table[errors].isna().all(axis=None)
    assert np.isfinite(table[["hyperobjective", "stationarity", "lower_gap"]]).all(axis=None)
    # One that has an estimate and no surrogate keeps what is known of it.
    other = Alternating(inner_steps=1, inner_step_size=0.1, step_size=0.1, trajectories=5, pairs=5)
    table = tc.run(TABULAR, other, 2, [0], points_per_decade=9).table
    assert table[["hypergradient_error", "sampling_error"]].notna().all(axis=None)
    assert table[["penalty_bias", "inner_error"]].isna().all(axis=None)


class Spy:
    """The rule that the path replaces: every lower gradient that is asked for is a step of y."""

    def __init__(self, oracle: Any) -> None:
        self._oracle, self.visited = oracle, []

    def lower_gradient(self, upper: Tensor, lower: Tensor, samples: int) -> Tensor:
        self.visited.append((lower, None))
        return self._oracle.lower_gradient(upper, lower, samples)

    def lower_gradients(self, upper: Tensor, lower: Tensor, other: Tensor, *rest: Any) -> Any:
        self.visited.append((lower, other))
        return self._oracle.lower_gradients(upper, lower, other, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._oracle, name)


def told(solver: Any, iterations: int) -> tuple[InnerPath, InnerPath, Any, Any]:
    """Return what the last of some exact iterations tells, what a spy sees, and the states around it."""
    problem = quadratic(noise=0.0)
    generator = torch.Generator().manual_seed(5)
    x, y = (
        torch.randn(2, size, generator=generator, dtype=torch.float64)
        for size in (problem.upper_parameters, problem.lower_parameters)
    )
    spy, state = Spy(ClosedFormOracle(problem)), solver.init(x, y)
    before, path = state, []
    for _ in range(iterations):
        before, path = state, []
        spy.visited = []
        state = solver.step(spy, state, path)
    return path, spy.visited, before, state


def descent(
    gradient: Callable[[Tensor], Tensor], start: Tensor, step_size: float, steps: int
) -> list[Tensor]:
    """Return gradient descent from a start, the start and the end included."""
    points = [start]
    for _ in range(steps):
        points.append(points[-1] - step_size * gradient(points[-1]))
    return points


def lower_slope(x: Tensor) -> Callable[[Tensor], Tensor]:
    """Return ``∂_y g(x, .)`` of the quadratic: ``Q^T a (Q y - M x)``, with the directions Q."""
    problem = quadratic(noise=0.0)
    a, q, m = problem.curvatures, problem.directions, problem.response
    return lambda y: (a * (y @ q.T - x @ m.T)) @ q


def same(found: InnerPath, expected: list[Tensor], column: int = 0) -> bool:
    """Return whether a path goes through some points, to rounding."""
    return len(found) == len(expected) and all(
        torch.allclose(pair[column], point, rtol=1e-12, atol=1e-14)
        for pair, point in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("iterations", [1, 2])
def test_the_path_of_parl_is_that_of_y_alone(iterations: int) -> None:
    """Not the ends of the difference quotients of its linear solve, which a spy takes for steps."""
    solver = PARL(
        inner_steps=3,
        inner_step_size=0.3,
        step_size=0.1,
        trajectories=1,
        pairs=1,
        solve_steps=4,
        solve_step_size=0.2,
    )
    path, seen, before, after = told(solver, iterations)
    points = descent(lower_slope(after.upper), before.lower, 0.3, 3)
    assert same(path, points[:-1])
    assert torch.allclose(after.lower, points[-1], rtol=1e-12)
    assert all(other is None for _, other in path)
    # Of four steps of the solve the first needs no product, and each of the others has two ends.
    assert len(seen) == 3 + 2 * 3
    assert same(seen[:3], points[:-1])


@pytest.mark.parametrize("iterations", [1, 2])
def test_the_path_of_pbrl_is_that_of_y_alone(iterations: int) -> None:
    """Not y', at which the value penalty asks for one lower gradient more."""
    solver = PBRL(
        penalty_function="value",
        sigma=0.2,
        inner_steps=3,
        inner_step_size=0.3,
        penalised_step_size=0.5,
        step_size=0.01,
        trajectories=1,
        pairs=1,
    )
    path, seen, before, after = told(solver, iterations)
    points = descent(lower_slope(after.upper), before.lower, 0.3, 3)
    assert same(path, points[:-1])
    assert torch.allclose(after.lower, points[-1], rtol=1e-12)
    # y' moves once an iteration, and stands still beside y.
    start = before.lower_penalised if before.next_penalised is None else before.next_penalised
    assert same(path, [start] * 3, column=1)
    assert torch.equal(after.lower_penalised, start)
    assert len(seen) == 4
    assert torch.equal(seen[3][0], after.lower_penalised)
    if iterations == 2:
        assert not torch.allclose(seen[3][0], after.lower)


def test_the_path_of_f3sa_is_one_step_of_both() -> None:
    """From the second iteration on its gradients are changes between iterations, which a spy misses."""
    solver = F3SA(
        sigma=0.3,
        momentum=0.4,
        inner_step_size=0.2,
        step_size=0.05,
        trajectories=1,
        pairs=1,
    )
    path, seen, before, after = told(solver, 1)
    (start,) = path
    assert torch.equal(start[0], before.lower)
    assert torch.equal(start[1], before.lower_penalised)
    # Without noise momentum changes nothing: one gradient step of y, of ``gamma_0``.
    assert torch.allclose(after.lower, descent(lower_slope(after.upper), start[0], 0.2, 1)[1])
    assert len(seen) == 1
    path, seen, before, after = told(solver, 2)
    assert len(path) == 1
    assert torch.equal(path[0][0], before.lower)
    assert torch.equal(path[0][1], before.lower_penalised)
    size = 0.2 * (1 + 1 / 100) ** -0.4
    assert torch.allclose(after.lower, descent(lower_slope(after.upper), before.lower, size, 1)[1])
    assert seen == []


def test_the_path_of_the_reference_solver_is_what_a_spy_sees() -> None:
    """All that it asks for the gradients of g is for steps of both lower variables."""
    solver = PenaltyBilevel(
        sigma=0.2, inner_steps=4, inner_step_size=0.3, step_size=0.1, trajectories=1, pairs=1
    )
    path, seen, before, after = told(solver, 2)
    assert len(path) == len(seen) == 4
    for here, there in zip(path, seen, strict=True):
        assert torch.equal(here[0], there[0])
        assert torch.equal(here[1], there[1])
    points = descent(lower_slope(after.upper), before.lower, 0.3, 4)
    assert same(path, points[:-1])


def test_audits_of_parl_have_the_rows_of_its_inner_loop() -> None:
    solver = PARL(
        inner_steps=2,
        inner_step_size=0.3,
        step_size=0.1,
        trajectories=5,
        pairs=5,
        solve_steps=3,
        solve_step_size=0.2,
    )
    table = Audits(solver, iterations=2).measure(quadratic(), [0], lambda done, total: None)
    assert sorted(set(table["inner_iteration"])) == [0, 1, 2]


def test_parts_of_a_capability_are_named_where_they_are_missing() -> None:
    """Half of a capability is none."""

    class Half(ClosedFormInstruments):
        exact_kind = type("Half", (), {"upper_gradients": None, "data_gradient": None})

    exact = type("Exact", (OfflineRLHF,), {"information": "exact"})
    assert Half.lacking(exact) == (LowerOracle, PreferenceOracle)
    assert UpperOracle not in Half.lacking(exact)
    assert PenaltyOracle in Half.lacking(type("Exact", (PenaltyBilevel,), {"information": "exact"}))
