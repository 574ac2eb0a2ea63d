"""Checks, how they are run, and what contracts share."""

from __future__ import annotations

import ast
import doctest
import functools
import inspect
import pickle
import random
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

from theory_check.bilevel import AdjointSystem
from theory_check.errors import nearest, shortened
from theory_check.models.base import (
    ABSENT,
    ModelInputs,
    PolicyClass,
    PolicyModel,
    RewardClass,
    RewardModel,
)
from theory_check.oracles.instruments import Instruments, instruments_for, instruments_of
from theory_check.problems import garnet, quadratic
from theory_check.solvers.method import Method, Scales

Case = TypeVar("Case")

EXACT, DIFFERENCED = 1e-10, 1e-6
"""Largest relative errors of what is known to rounding, and of what is compared with differences."""

STEPS = 4
"""Iterations of a solver that is checked."""

FAR = 1e3
"""Where descent has left the region whose stationary points are judged."""

EPSILON = 0.25
SCALES = Scales(outer_step=0.2, inner_step=0.2, kl_weight=1.0, sigma=1.0, batch=4.0)
"""Units in which the solver of a method is configured where it is checked on preferences."""

KINDS = ("tabular", "closed form")
"""Problems that a solver is checked on, where their oracles offer what it needs; one that is for some of
them only names those in ``checked_on``."""

Contract = Callable[[Case], str]
"""Looks at a component and returns what is wrong with it and what to do, ``""`` where it is kept."""


@dataclass(frozen=True)
class Check:
    """What became of one contract of one component.

    Attributes
    ----------
    component
        Name of the component.
    name
        The contract, in words.
    passed
        Whether it is kept.
    detail
        What is wrong and what to do about it; ``""`` where it is kept.
    """

    component: str
    name: str
    passed: bool
    detail: str = ""

    def __str__(self) -> str:
        """Say the contract and what is wrong."""
        return f"{self.component}: {self.name}: {self.detail or 'kept'}"


def checked(
    component: str, contracts: Iterable[Contract[Case]], case: Case, suffix: str = ""
) -> tuple[Check, ...]:
    """Return one check per contract; one that raises is broken, and the others are still tried.

    ``suffix`` is added to the names, such as the problem on which they were tried.
    """
    return tuple(_check(component, contract, case, suffix) for contract in contracts)


def _check(component: str, contract: Contract[Case], case: Case, suffix: str) -> Check:
    name = contract.__name__.replace("_", " ") + suffix
    try:
        detail = contract(case)
    except Exception as error:  # of somebody else's component, whatever it raises
        return Check(component, name, False, raised(error))
    return Check(component, name, not detail, detail)


def raised(error: BaseException) -> str:
    """Return an error as a detail: its kind, its words and the line that raised it."""
    place = traceback.extract_tb(error.__traceback__)
    where = f" ({place[-1].filename}, line {place[-1].lineno})" if place else ""
    return f"{type(error).__name__}: {error}{where}"


def failures(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks of contracts that are broken."""
    return tuple(check for check in checks if not check.passed)


def tensors(record: object) -> dict[str, Tensor]:
    """Return all tensors of a dataclass by name, those of dataclasses inside of it included."""
    found: dict[str, Tensor] = {}
    for entry in fields(record) if is_dataclass(record) else ():
        value = getattr(record, entry.name)
        if isinstance(value, Tensor):
            found[entry.name] = value
        elif is_dataclass(value):
            found |= {f"{entry.name}.{name}": part for name, part in tensors(value).items()}
    return found


def normal(seed: int, *shape: int) -> Tensor:
    """Return standard normal numbers, the same for a seed and a shape."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def distance(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference as a share of the largest expected number, at least of 1."""
    if found.shape != expected.shape:
        return float("inf")
    if expected.dtype == torch.bool:
        found, expected = found.to(torch.float64), expected.to(torch.float64)
    if not found.numel():
        return 0.0
    scale = max(1.0, expected.abs().max().item())
    gap = ((found - expected).abs().max() / scale).item()
    return gap if gap == gap else float("inf")


def differing(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], limit: float) -> str:
    """Return the first name at which two records differ by more than ``limit``, ``""`` for none."""
    for name, value in expected.items():
        gap = distance(found[name], value) if name in found else float("inf")
        if gap > limit:
            return f"{name} (by {gap:.2g})"
    return ""


def numerical_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the derivative of a function of points in every component, by central differences.

    Steps of 1e-4 and 5e-5 together cancel the third derivatives: truncation 1e-17 of the fifth, rounding
    1e-12 of the values.
    """

    def slope(move: Tensor) -> Tensor:
        return (function(x + move) - function(x - move)) / (2 * move.sum())

    axes = torch.eye(x.shape[1], dtype=x.dtype)
    columns = [(4 * slope(5e-5 * axis) - slope(1e-4 * axis)) / 3 for axis in axes]
    return torch.stack(columns, dim=1)


class Witness:
    """An oracle that answers some operations, and remembers what was asked of it, these and others."""

    def __init__(self, oracle: Any, operations: Iterable[str]) -> None:
        kept = vars(self)
        kept["asked_beside"], kept["asked"] = [], []
        for name in operations:
            if hasattr(oracle, name):
                kept[name] = self._answer(name, getattr(oracle, name))

    def _answer(self, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(operation)
        def asked(*variables: Any, **options: Any) -> Any:
            self.asked.append(name)
            return operation(*variables, **options)

        return asked

    def __getattr__(self, name: str) -> Any:
        """Refuse what is none of them."""
        # What Python looks for by itself, such as when a class is checked, is no question.
        if not (name.startswith("__") and name != "__deepcopy__"):
            self.asked_beside.append(name)
        raise AttributeError(name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse to be copied: what is drawn by a copy is counted nowhere."""
        self.asked_beside.append("a copy")
        raise TypeError("cannot be copied")

    def __setattr__(self, name: str, value: object) -> None:
        """Take nothing."""
        self.asked_beside.append(name)


def known(argument: str, name: object, choices: Iterable[str]) -> str:
    """Return a detail that says what is known where ``name`` is not, ``""`` where it is."""
    options = list(choices)
    if name in options:
        return ""
    text = name if isinstance(name, str) else ""
    return f"{argument}: received {shortened(name)}; {nearest(text, options)}"


def solution_of(system: AdjointSystem) -> Tensor:
    """Return the solution of least norm: what has no curvature has no pull."""
    right = system.right_hand_side
    columns = torch.eye(right.shape[1], dtype=right.dtype)
    matrix = torch.stack([system.apply(column.expand_as(right)) for column in columns], dim=-1)
    solution: Tensor = torch.linalg.pinv(matrix, rtol=1e-10).matmul(right[..., None]).squeeze(-1)
    return solution


@contextmanager
def drawn_elsewhere(seed: int) -> Iterator[None]:
    """Let the generators that a process shares stand elsewhere, and return them as they were."""
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        random.setstate(before[2])


def no_value(record: Any) -> str:
    """Return why a record of settings is no value, ``""`` where it is: cells are identified by them."""
    options = getattr(record, "__dataclass_params__", None)
    if options is None or not options.frozen:
        return "its settings can be changed; decorate the class with @dataclass(frozen=True)"
    copy = pickle.loads(pickle.dumps(record))
    if copy != record or hash(copy) != hash(record):
        return (
            "a pickled copy is not equal to it; keep nothing in it but settings, compared by value"
        )
    return ""


def off(what: str, gap: float, limit: float, other: str) -> str:
    """Return that a number is not what another way to it gives, ``""`` where it is up to ``limit``."""
    return "" if gap <= limit else f"{what} is {gap:.2g} away from {other}; correct one of the two"


def example(family: Callable[..., Any]) -> dict[str, Any]:
    """Return the keyword arguments of the first call in a family's docstring, none without one."""
    for documented in doctest.DocTestParser().get_examples(inspect.getdoc(family) or ""):
        for node in ast.walk(ast.parse(documented.source)):
            called = isinstance(node, ast.Call) and ast.unparse(node.func) == family.__name__
            if isinstance(node, ast.Call) and called:
                return {str(part.arg): ast.literal_eval(part.value) for part in node.keywords}
    return {}


def descended(truth: Any, start: Tensor) -> tuple[float, float]:
    """Return the value where descent ends, and the largest component of its gradient there."""

    def at(point: Any) -> tuple[float, Any]:
        x = torch.from_numpy(point)[None]
        return truth.hyperobjective(x).item(), truth.hypergradient(x)[0].numpy()

    options = {"gtol": 1e-12, "maxiter": 200}
    end = optimize.minimize(at, start.numpy(), jac=True, method="BFGS", options=options)
    # An infimum far away may not be attained at all.
    far = float(abs(end.x - start.numpy()).max()) > FAR
    return float(end.fun), float("inf") if far else float(abs(end.jac).max())


def configured(method: Method, scales: Scales = SCALES) -> Any:
    """Return the solver of the setting with the smallest steps."""
    gentlest = min(method.grid, key=lambda constants: constants.get("step_size", 0.0))
    return method.configure(EPSILON, gentlest, scales).solver


def problem_of(kind: str) -> Any:
    """Return the problem of a kind that solvers are checked on."""
    if kind == "closed form":
        return quadratic()
    return garnet(
        states=2, actions=2, horizon=2, features=2, objective="excess_risk", kl_weight=0.7, seed=31
    )


def kinds_for(solver: type) -> list[str]:
    """Return the kinds of problems that a class of solvers is checked on: those that offer what it needs.

    All that it is for where none does, so that the checks say what it asks for in vain.
    """
    kinds = list(getattr(solver, "checked_on", KINDS))
    offering = {kind: instruments_of(problem_of(kind)) for kind in kinds}
    return [
        kind for kind in kinds if (tools := offering[kind]) and not tools.lacking(solver)
    ] or kinds


@dataclass(frozen=True)
class SolverCase:
    """A configured solver on one problem."""

    solver: Any
    problem: Any

    def instruments(self, seeds: Sequence[int]) -> Instruments:
        """Return the instruments of the problem."""
        return instruments_for(self.problem, seeds)

    def states(self, oracle: Any, start: Any, number: int = STEPS) -> list[Any]:
        """Return the states of the first iterations, the start included."""
        states = [start]
        for _ in range(number):
            states.append(self.solver.step(oracle, states[-1]))
        return states

    def sampled(self, seeds: Sequence[int], number: int = STEPS) -> list[Any]:
        """Return the states of a run with what the solver is to see."""
        tools = self.instruments(seeds)
        oracle = tools.oracle_for(self.solver)
        return self.states(oracle, tools.initial_state(self.solver, seeds, 1.0), number)


@dataclass(frozen=True, eq=False)
class ClassCase:
    """A reward or policy class with its settings, bound to what it may see of a problem."""

    settings: RewardClass | PolicyClass
    inputs: ModelInputs

    @property
    def model(self) -> RewardModel | PolicyModel:
        """A model that has not been used."""
        return self.settings.bind(self.inputs)

    @property
    def absent(self) -> Tensor:
        """Which actions do not exist, truth values of shape (steps, states, actions)."""
        return self.inputs.log_reference <= ABSENT

    def parameters(self, replicates: int) -> Tensor:
        """Return parameters at which no activation is saturated."""
        return 0.5 * normal(6, replicates, self.model.parameters)
