"""The contracts of problems, and of reward and policy classes."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from theory_check.errors import UndeclaredTruthError
from theory_check.models.base import PolicyClass, PolicyModel, RewardClass, RewardModel
from theory_check.oracles.instruments import Instruments, instruments_for
from theory_check.problems import Problem
from theory_check.problems.closed_form import ClosedFormProblem
from theory_check.testing.class_inputs import class_inputs, sequence_inputs
from theory_check.testing.contract import (
    DIFFERENCED,
    EXACT,
    Check,
    ClassCase,
    Contract,
    checked,
    descended,
    differing,
    distance,
    example,
    no_value,
    normal,
    numerical_gradient,
    off,
    tensors,
)

REACH = 0.1
"""Standard deviation of the points around a start at which a problem is checked."""


@dataclass(frozen=True, eq=False)
class ProblemCase:
    """A problem, how to build it again, and points at which it is looked at."""

    build: Callable[..., Any]
    parameters: Mapping[str, Any]

    @cached_property
    def problem(self) -> Any:
        """The problem."""
        return self.build(**self.parameters)

    @cached_property
    def tools(self) -> Instruments:
        """Its instruments, for two replicates."""
        return instruments_for(self.problem, [0, 1])

    @cached_property
    def upper(self) -> Tensor:
        """Two upper points."""
        start: Tensor = self.tools.initial_upper([0, 1], 1.0)
        return start + REACH * normal(1, *start.shape)

    @cached_property
    def lower(self) -> Tensor:
        """Two lower points, near solutions."""
        solved: Tensor = self.problem.lower_minimiser(self.upper)
        return solved + REACH * normal(2, *solved.shape)


def check_problem(
    family: Any, parameters: Mapping[str, Any] | None = None, *, name: str = ""
) -> tuple[Check, ...]:
    """Check a problem against numerical differentiation, and what it declares.

    Parameters
    ----------
    family
        The function of a family; or a problem.
    parameters
        Its keyword arguments; those of the first example in its docstring when absent, else none.
    name
        What the checks call it; its own name when ``""``.

    Returns
    -------
    tuple of Check
        One for each contract; more where the problem is a closed form.
    """
    if not callable(family):
        case = ProblemCase(lambda: family, {})
    else:
        case = ProblemCase(family, example(family) if parameters is None else parameters)
    name = name or str(getattr(family, "__name__", getattr(family, "name", family)))
    checks = checked(name, [it_is_a_problem], case)
    if not checks[0].passed:
        return checks
    contracts = PROBLEM_CONTRACTS
    if isinstance(case.problem, ClosedFormProblem):
        contracts += CLOSED_FORM_CONTRACTS
    return checks + checked(name, contracts, case)


def it_is_a_problem(case: ProblemCase) -> str:
    """Build it, with the instruments that a run needs."""
    assert case.tools.upper_parameters >= 1, "a problem without upper variables"
    return ""


def its_numbers_are_finite_and_in_double_precision(case: ProblemCase) -> str:
    """All tables, and values and gradients at the points, have their sizes."""
    truth: Any = case.tools.truth
    found = tensors(case.problem) | {
        "hyperobjective": truth.hyperobjective(case.upper),
        "hypergradient": truth.hypergradient(case.upper),
    }
    for name, value in found.items():
        if value.dtype not in (torch.float64, torch.bool, torch.int64):
            return f"{name} is {value.dtype}; use float64, and int64 for what is counted"
        if not bool(torch.isfinite(value).all()):
            return f"{name} is not finite"
    sizes = {"hyperobjective": (2,), "hypergradient": (2, case.tools.upper_parameters)}
    for name, size in sizes.items():
        if tuple(found[name].shape) != size:
            return f"{name} has shape {tuple(found[name].shape)} at two points; return {size}"
    return ""


def the_same_arguments_give_the_same_problem(case: ProblemCase) -> str:
    """Bit for bit, and another seed another problem, where there is one."""
    again = case.build(**case.parameters)
    found = differing(tensors(again), tensors(case.problem), 0.0)
    if found or _values(again, case.upper) != _values(case.problem, case.upper):
        return f"two builds differ in {found or 'Phi'}; draw from a generator of the seed alone"
    if not inspect.isfunction(case.build) or "seed" not in inspect.signature(case.build).parameters:
        return ""
    others = [case.build(**{**case.parameters, "seed": seed}) for seed in (1, 2)]
    if all(not differing(tensors(a), tensors(b), 0.0) for a, b in [others]):
        return "seeds 1 and 2 give one problem; draw from the seed, or have no such argument"
    return ""


def copies_are_the_same(case: ProblemCase) -> str:
    """By pickle, as workers receive it, and by ``copy``; fresh and after it was used."""
    expected = _values(case.problem, case.upper)
    for way, made in (
        ("pickled", pickle.loads(pickle.dumps(case.problem))),
        ("deep", copy.deepcopy(case.problem)),
    ):
        if _values(made, case.upper) != expected:
            return f"a {way} copy has another Phi; keep nothing in it that a copy does not carry"
    return ""


def _values(problem: Any, upper: Tensor) -> list[float]:
    truth: Any = instruments_for(problem, [0, 1]).truth
    values: list[float] = truth.hyperobjective(upper).tolist()
    return values


def its_hypergradient_is_the_derivative_of_its_hyperobjective(case: ProblemCase) -> str:
    """By central differences, in every direction."""
    truth: Any = case.tools.truth
    gap = distance(
        truth.hypergradient(case.upper), numerical_gradient(truth.hyperobjective, case.upper)
    )
    return off("hypergradient", gap, DIFFERENCED, "the difference quotients of hyperobjective")


def no_point_is_below_its_declared_optimum(case: ProblemCase) -> str:
    """Found by descent from the points; and no stationary one of least value is above it."""
    truth: Any = case.tools.truth
    try:
        declared = float(case.problem.optimal_hyperobjective)
    except UndeclaredTruthError:
        return ""
    if declared != declared:
        return ""
    ends = [descended(truth, start) for start in case.upper]
    size = max(1.0, abs(declared))
    value = min(end for end, _ in ends)
    # Descents that end at one value stop at slopes of their own, as rounding lets them.
    slope = min(steepest for end, steepest in ends if end <= value + DIFFERENCED * size)
    if value < declared - EXACT * size:
        return (
            f"Phi is {value:.6g} at a point that descent finds, below the declared {declared:.6g}"
        )
    if isinstance(case.problem, Problem):  # of one local minimum nothing is known
        value = truth.hyperobjective(case.problem.true_parameters[None]).item()
        slope = 0.0
    if slope < EXACT and value > declared + DIFFERENCED * size:
        return (
            f"descent ends at a stationary value of {value:.6g}, above the declared {declared:.6g}"
        )
    return ""


PROBLEM_CONTRACTS: tuple[Contract[ProblemCase], ...] = (
    its_numbers_are_finite_and_in_double_precision,
    the_same_arguments_give_the_same_problem,
    copies_are_the_same,
    its_hypergradient_is_the_derivative_of_its_hyperobjective,
    no_point_is_below_its_declared_optimum,
)


def its_lower_gradient_is_the_derivative_of_its_gap(case: ProblemCase) -> str:
    """In y, by central differences: ``lower_gap`` is g up to its minimum."""
    gap = distance(
        case.problem.lower_gradients(case.upper, case.lower)[1],
        numerical_gradient(lambda y: case.problem.lower_gap(case.upper, y), case.lower),
    )
    return off("∂_y g", gap, DIFFERENCED, "the difference quotients of lower_gap")


def its_minimisers_are_stationary(case: ProblemCase) -> str:
    """``sigma ∂_y f + ∂_y g = 0``, also at ``sigma = 0``, where the gap is 0 as well."""
    x = case.upper
    for sigma in (0.5, 0.01, 0.0):
        y = case.problem.penalised_minimiser(x, sigma) if sigma else case.problem.lower_minimiser(x)
        slope = case.problem.lower_gradients(x, y)[1]
        slope = (slope + sigma * case.problem.upper_gradients(x, y)[1]).abs().max().item()
        if slope > EXACT:
            return f"sigma ∂_y f + ∂_y g is {slope:.2g} at the minimiser, sigma = {sigma}; it is 0"
    if (gap := case.problem.lower_gap(x, y).abs().max().item()) > EXACT:
        return f"lower_gap is {gap:.2g} at lower_minimiser; subtract the minimum of g"
    if bool((case.problem.lower_gap(x, case.lower) < 0).any()):
        return "lower_gap is negative somewhere; subtract the minimum of g"
    return ""


def its_hypergradient_follows_the_chain_rule(case: ProblemCase) -> str:
    """``∇Phi = ∂_x f + (dy*/dx)^T ∂_y f`` at the lower minimiser."""
    at = case.upper, case.problem.lower_minimiser(case.upper)
    direct, in_lower = case.problem.upper_gradients(*at)
    chained = direct + case.problem.pull_back_through_minimiser(case.upper, in_lower)
    gap = distance(case.problem.hypergradient(case.upper), chained)
    return off("hypergradient", gap, EXACT, "∂_x f plus what pull_back_through_minimiser returns")


def its_pullbacks_are_adjoint_to_its_maps(case: ProblemCase) -> str:
    """Of the lower minimiser, by central differences, and of the implied x, which is linear."""
    x, y, step = case.upper, case.lower, 1e-4
    along, cotangent = normal(3, *x.shape), normal(4, *y.shape)
    ahead, behind = (case.problem.lower_minimiser(x + sign * step * along) for sign in (1, -1))
    pulled = case.problem.pull_back_through_minimiser(x, cotangent)
    moved = ((ahead - behind) / (2 * step) * cotangent).sum(-1)
    gap = distance((pulled * along).sum(-1), moved)
    if gap > DIFFERENCED:
        return off("pull_back_through_minimiser", gap, 0, "the differences of lower_minimiser")
    change = case.problem.implied_upper(y + cotangent) - case.problem.implied_upper(y)
    pulled = case.problem.pull_back_through_implied_upper(along)
    gap = distance((pulled * cotangent).sum(-1), (change * along).sum(-1))
    return off("pull_back_through_implied_upper", gap, EXACT, "the differences of implied_upper")


def its_curvature_is_the_derivative_of_its_gradients(case: ProblemCase) -> str:
    """Second derivatives of g in y and in both, by central differences along a direction."""
    x, y, step = case.upper, case.lower, 1e-5
    along = normal(5, *y.shape)
    ahead, behind = (case.problem.lower_gradients(x, y + sign * step * along) for sign in (1, -1))
    parts = zip(ahead, behind, case.problem.lower_curvature(x, y, along), strict=True)
    for name, (above, below, found) in zip(("∇²_xy g v", "∇²_yy g v"), parts, strict=True):
        gap = distance(found, (above - below) / (2 * step))
        if gap > DIFFERENCED:
            return off(f"{name} of lower_curvature", gap, 0, "the differences of lower_gradients")
    return ""


CLOSED_FORM_CONTRACTS: tuple[Contract[ProblemCase], ...] = (
    its_lower_gradient_is_the_derivative_of_its_gap,
    its_minimisers_are_stationary,
    its_hypergradient_follows_the_chain_rule,
    its_pullbacks_are_adjoint_to_its_maps,
    its_curvature_is_the_derivative_of_its_gradients,
)


def check_class(cls: Any) -> tuple[Check, ...]:
    """Check a reward or policy class, on tables of one and of three steps, or of sequences it reads.

    Parameters
    ----------
    cls
        The class, whose settings all have defaults; or an object of it.

    Returns
    -------
    tuple of Check
        One for each contract and kind of table.
    """
    name = str(getattr(cls, "name", cls))
    try:
        settings = cls() if isinstance(cls, type) else cls
    except Exception as error:  # of somebody else's class
        detail = f"{type(error).__name__}: {error}; give every setting a default"
        return (Check(name, "it has defaults", False, detail),)
    checks: tuple[Check, ...] = ()
    reads = getattr(settings, "reads_prefixes", False)
    for what, inputs in sequence_inputs() if reads else class_inputs():
        checks += checked(name, CLASS_CONTRACTS, ClassCase(settings, inputs), f", {what}")
    return checks


def its_tables_have_the_shape_and_finite_numbers(case: ClassCase) -> str:
    """Rewards of states and actions; normalised log-probabilities of those that exist in each step."""
    steps, states, actions = case.inputs.log_reference.shape
    rewards = isinstance(case.settings, RewardClass)
    shape = (2, states, actions) if rewards else (2, steps, states, actions)
    if not isinstance(case.model, RewardModel if rewards else PolicyModel):
        return "what bind returns has not all of parameters, table, pullback and initial"
    table = case.model.table(case.parameters(2))
    if tuple(table.shape) != shape or table.dtype != torch.float64:
        return f"table is {table.dtype} of shape {tuple(table.shape)}; return float64 of {shape}"
    if not bool(torch.isfinite(table).all()):
        return "table is not finite"
    if not rewards and distance(table.exp().sum(-1), torch.ones(shape[:-1]).double()) > 1e-12:
        return "probabilities do not sum to 1; return log_softmax over the actions"
    if not rewards and bool((table.exp() * case.absent > 0).any()):
        return "actions that do not exist are taken; build the table with models.base.log_policy_of"
    return ""


def its_pullback_is_adjoint_to_its_table(case: ClassCase) -> str:
    """By central differences of the table along a direction: truncation 1e-10, rounding 1e-11."""
    model, at = case.model, case.parameters(3)
    cotangent = normal(10, *model.table(at).shape)
    step = 1e-5 * normal(11, *at.shape)
    pulled = (model.pullback(at, cotangent) * step).sum(-1)
    change = model.table(at + step) - model.table(at - step)
    moved = (change * cotangent).flatten(1).sum(-1) / 2
    # Against the size of what is pulled back, not of its component along the direction.
    scale = model.pullback(at, cotangent).norm(dim=-1) * step.norm(dim=-1)
    gap = ((pulled - moved).abs() / scale.clamp_min(1e-15)).max().item()
    return off("pullback", gap, DIFFERENCED, "the difference quotients of table")


def a_replicate_alone_is_the_same_in_a_batch(case: ClassCase) -> str:
    """Tables and pullbacks of one replicate do not depend on the others."""
    model, at = case.model, case.parameters(5)
    cotangent = normal(12, *model.table(at).shape)
    one = slice(4, 5)
    gaps = {
        "table": distance(model.table(at[one].clone()), model.table(at)[one]),
        "pullback": distance(
            model.pullback(at[one].clone(), cotangent[one]), model.pullback(at, cotangent)[one]
        ),
    }
    what, gap = max(gaps.items(), key=lambda entry: entry[1])
    if gap <= 1e-12:
        return ""
    return f"the {what} of a replicate is {gap:.2g} another in company; keep replicates apart"


def nothing_is_remembered_of_other_parameters(case: ClassCase) -> str:
    """Parameters that are written to give the numbers of the new ones."""
    model, at = case.model, case.parameters(2)
    model.table(at).zero_()  # by a careless caller
    at.mul_(1.5)
    gap = distance(model.table(at), case.model.table(at.clone()))
    return "table returns what it remembered of other numbers; compare them" if gap else ""


def its_start_is_a_function_of_the_noise(case: ClassCase) -> str:
    """Equal for equal noise; that of policies is the reference policy."""
    model = case.model
    noise = normal(13, 3, model.parameters)
    start = model.initial(noise.clone())
    if start.shape != noise.shape:
        return f"initial returns shape {tuple(start.shape)} for noise of {tuple(noise.shape)}"
    if distance(model.initial(noise.clone())[1:], start[1:]) or distance(
        model.initial(noise[:1].clone()), start[:1]
    ):
        return "initial is no function of each replicate's noise; draw nothing in it"
    if isinstance(case.settings, PolicyClass) and case.settings == type(case.settings)():
        expected = case.inputs.log_reference.expand_as(model.table(start))
        gap = distance(model.table(start), expected)
        return off("the policy at the start", gap, 1e-12, "the reference policy")
    return ""


def it_is_a_value(case: ClassCase) -> str:
    """Frozen and equal by its settings: a cell is identified by them."""
    return no_value(case.settings)


CLASS_CONTRACTS: tuple[Contract[ClassCase], ...] = (
    its_tables_have_the_shape_and_finite_numbers,
    its_pullback_is_adjoint_to_its_table,
    a_replicate_alone_is_the_same_in_a_batch,
    nothing_is_remembered_of_other_parameters,
    its_start_is_a_function_of_the_noise,
    it_is_a_value,
)
