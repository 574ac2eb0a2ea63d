"""The contract of a solver and of the method that configures it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from theory_check.bilevel import Information, Solver, Surrogate, needs, operations, tells_inner_path
from theory_check.errors import InvalidArgumentError, TheoryCheckError
from theory_check.oracles.instruments import CountedInformation, instruments_for
from theory_check.problems import quadratic
from theory_check.recording.run import run
from theory_check.solvers.method import GRID_SIZE, Method, Scales
from theory_check.testing.contract import (
    DIFFERENCED,
    EPSILON,
    SCALES,
    STEPS,
    Check,
    Contract,
    SolverCase,
    Witness,
    checked,
    configured,
    differing,
    distance,
    drawn_elsewhere,
    kinds_for,
    no_value,
    normal,
    numerical_gradient,
    problem_of,
    solution_of,
    tensors,
)

ROUNDING = 1e-9
"""Relative: what the order of summation may change from one size of a batch to another."""


def check_solver(solver: Any, problems: Mapping[str, Any] | None = None) -> tuple[Check, ...]:
    """Check a solver, a few iterations on each problem that offers what it needs.

    Parameters
    ----------
    solver
        A configured solver; or a :class:`~theory_check.solvers.method.Method`, which is checked as
        well, and whose gentlest setting gives the solver.
    problems
        Problems by what the checks call them; a small one of preferences and a quadratic one, or those
        of the two that the solver's attribute ``checked_on`` names, when absent.

    Returns
    -------
    tuple of Check
        One for each contract of a method, and for each contract of a solver and problem.
    """
    checks: tuple[Check, ...] = ()
    name = str(getattr(solver, "name", type(solver).__name__))
    if isinstance(solver, Method):
        name, checks = solver.id, checked(solver.id, METHOD_CONTRACTS, solver)
        try:
            solver = configured(solver)
        except Exception:  # the checks of the method say which
            return checks
    checks += checked(name, [it_is_a_frozen_record_of_settings], solver)
    if not checks[-1].passed:
        return checks
    if problems is None:
        problems = {kind: problem_of(kind) for kind in kinds_for(type(solver))}
    for label, problem in problems.items():
        checks += checked(name, PROBLEM_CONTRACTS, SolverCase(solver, problem), f", {label}")
    return checks


def it_is_a_frozen_record_of_settings(solver: Any) -> str:
    """Read by the loop, hashed by the store and sent to workers: a frozen dataclass, equal by value."""
    if not isinstance(solver, Solver):
        wanted = "name, information, penalty, init, step, hypergradient_estimate"
        missing = [part for part in wanted.split(", ") if not hasattr(solver, part)]
        return f"it has no {', '.join(missing)}; define what theory_check.bilevel.Solver has"
    if solver.information not in get_args(Information):
        return f"information is {solver.information!r}; declare one of {get_args(Information)}"
    return no_value(solver)


def its_states_are_finite_and_have_the_shapes(case: SolverCase) -> str:
    """Every tensor leads with the replicate; iterates and estimates have the shape of the variables."""
    tools = case.instruments([0, 1])
    upper = tools.initial_upper([0, 1], 1.0)
    states = case.sampled([0, 1])
    if distance(states[0].next_upper, upper) > 0:
        return "its first next_upper is not where the run starts; return the start from init"
    for number, state in enumerate(states):
        for name, value in tensors(state).items():
            if value.shape[:1] != (2,):
                return f"{name} has shape {tuple(value.shape)} for 2 replicates; lead with them"
            if not bool(torch.isfinite(value).all()):
                return f"{name} is not finite in iteration {number}, with gentle steps"
        for name in ("upper", "next_upper", "estimate"):
            value = getattr(state, name)
            if value.shape != upper.shape:
                return f"{name} has shape {tuple(value.shape)}, x has {tuple(upper.shape)}"
        if number and not torch.equal(state.upper, states[number - 1].next_upper):
            return (
                f"iteration {number} formed its estimate elsewhere than at next_upper of the one "
                "before; return upper=state.next_upper"
            )
    return ""


def replicates_do_not_depend_on_their_company(case: SolverCase) -> str:
    """Compare a batch of one with its row in a batch of three, in every tensor of the state."""
    together, alone = case.sampled([0, 1, 2])[-1], case.sampled([1])[-1]
    rows = {name: value[1:2] for name, value in tensors(together).items()}
    found = differing(tensors(alone), rows, ROUNDING)
    if not found:
        return ""
    return (
        f"seed 1 alone and beside seeds 0 and 2 differ in {found}; reduce over no dimension that "
        "holds replicates, and take all randomness from the oracle"
    )


def a_lost_replicate_leaves_the_others_alone(case: SolverCase) -> str:
    """Replicates that are not finite spoil no other."""
    tools = case.instruments([0, 1, 2])
    upper, lower = tools.initial_upper([0, 1, 2], 1.0), tools.initial_lower([0, 1, 2])

    def last(spoilt: bool) -> dict[str, Tensor]:
        x, y = upper.clone(), lower.clone()
        if spoilt:
            x[0] = y[0] = float("nan")
        fresh = case.instruments([0, 1, 2]).oracle_for(case.solver)
        states = case.states(fresh, case.solver.init(x, y), 2)
        return {name: value[1:] for name, value in tensors(states[-1]).items()}

    found = differing(last(True), last(False), ROUNDING)
    return (
        f"where seed 0 is not a number, the others change in {found}; keep replicates apart"
        if found
        else ""
    )


def seeds_decide_everything(case: SolverCase) -> str:
    """Equal seeds give equal numbers, others other ones, whatever was drawn elsewhere."""
    ends = []
    for elsewhere in (1, 2):
        with drawn_elsewhere(elsewhere):
            ends.append(tensors(case.sampled([3, 4])[-1]))
    found = differing(ends[1], ends[0], 0.0)
    if found:
        return (
            f"two runs of the same seeds differ in {found}; draw nothing but through the oracle, "
            "which draws from the seeds and counts"
        )
    if case.solver.information == "exact":
        return ""
    # From one point, so that nothing but samples can tell the replicates apart.
    tools = case.instruments([3, 4])
    start = case.solver.init(
        tools.initial_upper([3], 1.0).repeat(2, 1), tools.initial_lower([3]).repeat(2, 1)
    )
    first, second = case.states(tools.oracle_for(case.solver), start)[-1].next_upper
    if torch.equal(first, second):
        return 'two seeds give the same numbers; it samples nothing: declare information = "exact"'
    return ""


def it_asks_for_nothing_beside_what_it_declares(case: SolverCase) -> str:
    """Stay within the capabilities: what goes round them is neither counted nor capped."""
    declared = needs(case.solver)
    names = ", ".join(capability.__name__ for capability in declared) or "nothing"
    tools = case.instruments([0, 1])
    witness = Witness(tools.oracle_for(case.solver), operations(declared))
    try:
        case.states(witness, tools.initial_state(case.solver, [0, 1], 1.0))
    except Exception:
        if not witness.asked_beside:
            raise
    if witness.asked_beside:
        asked = ", ".join(dict.fromkeys(witness.asked_beside))
        remedy = (
            "give the oracle of step a type of theory_check.bilevel, or one derived from several"
        )
        return f"it asks the oracle for {asked}, and declares {names}; {remedy}"
    return ""


def telling_its_inner_path_changes_nothing(case: SolverCase) -> str:
    """Compare a step that tells its path with one that does not; a path starts at the state before."""
    if not tells_inner_path(case.solver):
        return ""
    start = case.instruments([0, 1]).initial_state(case.solver, [0, 1], 1.0)
    oracles = [case.instruments([0, 1]).oracle_for(case.solver) for _ in range(2)]
    path: list[Any] = []
    told = case.solver.step(oracles[0], start, path)
    if not path or not torch.equal(path[0][0], start.lower):
        return "its path does not start at y of the state before; append (y, y') before every step"
    found = differing(tensors(told), tensors(case.solver.step(oracles[1], start)), 0.0)
    return f"{found} changes where its path is told; only append to it" if found else ""


def what_it_uses_is_counted(case: SolverCase) -> str:
    """Counters grow with the iterations: samples, or exact calls of a solver that is exact."""
    tools = case.instruments([0, 1])
    oracle = tools.oracle_for(case.solver)
    state, before = tools.initial_state(case.solver, [0, 1], 1.0), oracle.counts
    for iteration in range(1, STEPS + 1):
        state = case.solver.step(oracle, state)
        if any(np.any(np.less(now, vars(before)[key])) for key, now in vars(oracle.counts).items()):
            return f"a counter fell in iteration {iteration}; keep the oracle that is given"
        before = oracle.counts
    if case.solver.information == "exact":
        if np.any(before.samples):
            return 'it draws samples; declare information = "samples"'
        return (
            "" if before.exact_calls else "it asks for no exact quantity, and what it does is free"
        )
    if np.all(before.samples):
        return ""
    return (
        f"after {STEPS} iterations no sample is counted; estimate from what the oracle draws, or "
        'declare information = "exact"'
    )


def its_budget_is_kept(case: SolverCase) -> str:
    """End when the next batch would exceed the budget, with a status that says so."""

    def table(iterations: int, budget: int | None = None) -> pd.DataFrame:
        options: dict[str, Any] = {"points_per_decade": 1, "ergodic": False}
        return run(
            case.problem, case.solver, iterations, [0, 1], sample_budget=budget, **options
        ).table

    if case.solver.information == "exact":
        stopped = set(table(3, 1)["status"]) - {"ok"}
        return f"a budget of one sample ends it: {', '.join(sorted(stopped))}" if stopped else ""
    first = table(1).iloc[0]
    budget = max(1, int(3.5 * (first["trajectories"] + first["labels"])))
    spent = table(2000, budget)
    samples = (spent["trajectories"] + spent["labels"]).max()
    if samples > budget:
        return f"it spent {samples} samples of {budget}; draw through the oracle alone"
    ends = set(spent.groupby("seed")["status"].last())
    if ends == {"budget exhausted"}:
        return ""
    return (
        f"2000 iterations with the samples of three and a half end as {sorted(ends)}; do not catch "
        "SampleBudgetExhausted"
    )


def its_estimate_is_that_of_the_state_it_returns(case: SolverCase) -> str:
    """Both with exact information: the recorder takes their difference for the sampling error."""
    tools = case.instruments([0, 1])
    exact: Any = tools.information
    oracle = CountedInformation(exact) if case.solver.information == "exact" else exact
    start = case.solver.init(tools.initial_upper([0, 1], 1.0), tools.initial_lower([0, 1]))
    for number, state in enumerate(case.states(oracle, start)[1:], start=1):
        expected = case.solver.hypergradient_estimate(exact, state)
        if expected is None:  # what it uses is no estimate
            return ""
        gap = distance(state.estimate, expected)
        if gap > ROUNDING:
            return (
                f"with exact information, the estimate of iteration {number} is {gap:.2g} away from "
                "hypergradient_estimate of the state; evaluate both at the same iterates"
            )
    return ""


def its_estimate_tends_to_the_gradient_that_it_declares(case: SolverCase) -> str:
    """At solved inner problems, with exact information: the derivative of ``Phi``, by differences.

    Only where the solver says that it estimates ``∇Phi``, and its inner problems can be solved here.
    """
    tools = case.instruments([0, 1])
    solver: Any = case.solver
    truth: Any = tools.truth
    information: Any = tools.information
    x = tools.initial_upper([0, 1], 0.5)
    try:
        y = information.optimal_lower(x)
    except InvalidArgumentError:  # of a class that does not contain it
        return ""
    state = solver.init(x, y)
    declares: bool = isinstance(solver, Surrogate)
    # A penalised variable, or a linear system that is solved anew, has solutions of its own.
    if not declares or state.lower_penalised is not None:
        return ""
    changes = {"upper": x, "lower": y}
    if hasattr(state, "adjoint"):
        changes["adjoint"] = solution_of(information.adjoint_system(x, y))
    state = dataclasses.replace(state, **changes)
    declared = solver.surrogate_gradient(truth, state)
    if hasattr(solver, "solve_steps") or distance(declared, truth.hypergradient(x)) > 0:
        return ""
    gradient = numerical_gradient(truth.hyperobjective, x)
    gap = distance(solver.hypergradient_estimate(information, state), gradient)
    if gap <= DIFFERENCED:
        return ""
    return (
        f"it declares to estimate the gradient of Phi, and at solved inner problems it is {gap:.2g} away "
        "from the difference quotients of Phi; correct hypergradient_estimate, or declare another "
        "surrogate_gradient"
    )


PROBLEM_CONTRACTS: tuple[Contract[SolverCase], ...] = (
    its_states_are_finite_and_have_the_shapes,
    replicates_do_not_depend_on_their_company,
    a_lost_replicate_leaves_the_others_alone,
    seeds_decide_everything,
    it_asks_for_nothing_beside_what_it_declares,
    telling_its_inner_path_changes_nothing,
    what_it_uses_is_counted,
    its_budget_is_kept,
    its_estimate_is_that_of_the_state_it_returns,
    its_estimate_tends_to_the_gradient_that_it_declares,
)


def every_setting_of_its_grid_is_a_plan(method: Method) -> str:
    """Another solver each, of the class that the method names, and iterations."""
    # A unit of batches of 1e4: none is rounded to the same integer as its neighbour.
    scales = dataclasses.replace(SCALES, batch=1e4)
    plans = [method.configure(EPSILON, constants, scales) for constants in method.grid]
    for constants, plan in zip(method.grid, plans, strict=True):
        if not isinstance(plan.solver, method.solver):
            return (
                f"{constants} configures a {type(plan.solver).__name__}; return a {method.solver}"
            )
        if plan.iterations < 1:
            return f"{constants} plans {plan.iterations} iterations; plan at least 1"
    if len({plan.solver for plan in plans}) < GRID_SIZE:
        return f"two of its {GRID_SIZE} settings configure equal solvers; use every constant"
    return ""


def more_accuracy_takes_more(method: Method) -> str:
    """At several accuracies: more iterations, and no smaller batches."""
    for constants in method.grid:
        plans = [method.configure(epsilon, constants, SCALES) for epsilon in (0.5, 0.25, 0.05)]
        for coarse, fine in pairwise(plans):
            if fine.iterations <= coarse.iterations:
                return (
                    f"{constants}: {fine.iterations} iterations after {coarse.iterations} for less "
                    "accuracy; let iterations grow with 1/epsilon"
                )
            for name in ("trajectories", "pairs", "inner_steps"):
                if getattr(fine.solver, name, 0) < getattr(coarse.solver, name, 0):
                    return f"{constants}: {name} shrinks with the accuracy; let it grow, or stay"
    return ""


def it_descends_on_a_quadratic(method: Method) -> str:
    """With exact information, from far away: 200 iterations halve ``Phi``."""
    if "closed form" not in kinds_for(method.solver):
        return ""
    problem = quadratic(noise=0.0)
    curvature = torch.linalg.eigvalsh(problem.response.T @ problem.response).max().item() + 0.1
    units = Scales(
        1 / curvature, 1 / problem.curvatures.max().item(), kl_weight=1.0, sigma=1.0, batch=1.0
    )
    solver, tools = configured(method, units), instruments_for(problem, [0, 1])
    start = 5 * normal(3, 2, problem.upper_parameters)
    state = solver.init(start, problem.lower_minimiser(start))
    oracle: Any = tools.information
    if solver.information == "exact":
        oracle = CountedInformation(oracle)
    try:
        for _ in range(200):
            state = solver.step(oracle, state)
    except TheoryCheckError as error:
        return f"it stops before 200 iterations: {error}"
    before, after = problem.hyperobjective(start), problem.hyperobjective(state.next_upper)
    if not bool((after < 0.5 * before).all()):
        return (
            f"Phi went from {before.tolist()} to {after.tolist()} with the smallest steps of the grid; "
            "is the sign of the step right, and are the steps in units of scales.outer_step?"
        )
    return ""


METHOD_CONTRACTS: tuple[Contract[Method], ...] = (
    every_setting_of_its_grid_is_a_plan,
    more_accuracy_takes_more,
    it_descends_on_a_quadratic,
)
