"""The instruments of a run: what the solver samples from, and what the recorder knows.

A kind of problem is a class whose attribute ``instruments`` is a subclass of :class:`Instruments`, or its
dotted name where that is above the class.
"""

from __future__ import annotations

import functools
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, ParamSpec, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import (
    CAPABILITIES,
    AdjointSystem,
    BilevelOracle,
    BilevelTruth,
    HasInnerPenalties,
    Solver,
    needs,
    operations,
)
from theory_check.errors import InvalidArgumentError, SampleBudgetExhausted
from theory_check.oracles.comparisons.trajectories import DEFAULT_ENUMERATION_BUDGET
from theory_check.oracles.estimates.counts import SampleCounts

P = ParamSpec("P")


class CountedInformation:
    """An oracle of exact information whose calls are counted, those of its linear systems included.

    It offers what ``information`` offers of the capabilities of ``theory_check.bilevel``.

    Nothing is sampled through it: trajectories, labels and steps stay 0.

    Parameters
    ----------
    information
        The oracle that answers.
    call_budget
        Largest number of calls; None for no limit.

    Raises
    ------
    SampleBudgetExhausted
        From any operation that would exceed the budget.
    """

    def __init__(self, information: Any, call_budget: int | None = None) -> None:
        self._call_budget = call_budget
        self._calls = 0
        for name in operations(CAPABILITIES):
            if hasattr(information, name):
                setattr(self, name, self._counted(getattr(information, name)))

    @property
    def counts(self) -> SampleCounts:
        """Exact quantities asked for so far, as ``exact_calls``."""
        return SampleCounts(exact_calls=self._calls)

    def _counted(self, operation: Callable[P, Any]) -> Callable[P, Any]:
        """Return an operation that is counted when it is called, and so is what it returns."""

        @functools.wraps(operation)
        def counted(*variables: P.args, **options: P.kwargs) -> Any:
            self._count()
            answer = operation(*variables, **options)
            return (
                _CountedSystem(answer, self._count) if isinstance(answer, AdjointSystem) else answer
            )

        return counted

    def _count(self) -> None:
        if self._call_budget is not None and self._calls >= self._call_budget:
            raise SampleBudgetExhausted(
                f"call_budget: {self._call_budget} exact quantities allow no further one; raise it"
            )
        self._calls += 1


class _CountedSystem:
    def __init__(self, system: AdjointSystem, count: Callable[[], None]) -> None:
        self._system = system
        self._count = count

    @property
    def right_hand_side(self) -> Any:
        return self._system.right_hand_side

    def apply(self, vector: Any) -> Any:
        self._count()
        return self._system.apply(vector)

    def apply_transposed(self, vector: Any) -> Any:
        self._count()
        return self._system.apply_transposed(vector)

    def hypergradient(self, solution: Any) -> Any:
        return self._system.hypergradient(solution)


@runtime_checkable
class Counting(Protocol):
    """What a solver uses, with its counters."""

    @property
    def counts(self) -> SampleCounts:
        """Samples each replicate has drawn so far, and exact quantities that were asked for."""
        ...


class CountingOracle(BilevelOracle, Counting, Protocol):
    """A sampled oracle: first-order information of both levels, with its counters."""


class Instruments(ABC):
    """Oracles of one problem for a batch of replicates.

    Attributes
    ----------
    truth, sampled, information
        What the recorder knows, what the solver samples from, and the same with exact expectations.
    differing_batches
        Whether ``sampled`` takes batches whose sizes differ between replicates.
    upper_parameters
        Number of upper parameters of a replicate.
    sampled_kind, exact_kind
        Classes of ``sampled`` and of ``information``: what they offer is known before they are made.
    """

    differing_batches: ClassVar[bool] = False
    sampled_kind: ClassVar[type]
    exact_kind: ClassVar[type]

    truth: BilevelTruth
    sampled: CountingOracle
    information: BilevelOracle
    upper_parameters: int

    @classmethod
    def lacking(cls, solver: Any) -> tuple[type, ...]:
        """Return the capabilities that a solver, or a class of solvers, needs and would not find."""
        kind = cls.sampled_kind if solver.information == "samples" else cls.exact_kind
        return tuple(
            capability
            for capability in needs(solver)
            if not all(hasattr(kind, name) for name in operations([capability]))
        )

    @classmethod
    def withheld(cls, problem: Any) -> Mapping[type, str]:
        """Return the capabilities that these oracles have for other problems, each with a remedy."""
        return {}

    def oracle_for(self, solver: Solver, call_budget: int | None = None) -> Counting:
        """Return what a solver may see: samples, or counted exact information where it declares it.

        ``call_budget`` limits exact calls, as the budget of samples does samples.
        """
        if solver.information == "samples":
            return self.sampled
        return CountedInformation(self.information, call_budget)

    # Any: of the kind that the solver's own step takes.
    def initial_state(self, solver: Solver, seeds: Sequence[int], scale: float) -> Any:
        """Return the state before the first step.

        A problem with a start of its own has the inner loops of a solver with a fixed sigma start at
        their solutions as well.
        """
        upper = self.initial_upper(seeds, scale)
        state: Any = solver.init(upper, self.initial_lower(seeds))
        if state.lower_penalised is None:
            return state
        below, above = None, solver.penalty
        if isinstance(solver, HasInnerPenalties):
            below, above = solver.inner_penalties
        for name, sigma in (("lower", below), ("lower_penalised", above)):
            solved = self.initial_penalised(upper, sigma) if sigma else None
            if solved is not None:
                state = replace(state, **{name: solved})
        return state

    def initial_penalised(
        self, upper: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate lower"] | None:
        """Return where the penalised inner loop starts; None where it starts as the other one does."""
        return None

    @abstractmethod
    def __init__(
        self,
        problem: Any,
        seeds: Sequence[int],
        *,
        sample_budget: int | None,
        enumeration_budget: int,
        device: torch.device | str,
    ) -> None: ...

    @abstractmethod
    def initial_upper(self, seeds: Sequence[int], scale: float) -> Float[Tensor, "replicate upper"]:
        """Return where the upper variables start: from noise of standard deviation ``scale``."""

    @abstractmethod
    def initial_lower(self, seeds: Sequence[int]) -> Float[Tensor, "replicate lower"]:
        """Return where the lower variables start."""


def instruments_of(problem: object) -> type[Instruments] | None:
    """Return the instruments that the class of a problem names; None where it names none."""
    kind = getattr(type(problem), "instruments", None)
    if isinstance(kind, str):
        module, _, name = kind.rpartition(".")
        kind = getattr(importlib.import_module(module), name)
    return kind if isinstance(kind, type) and issubclass(kind, Instruments) else None


def require_fit(argument: str, problem: object, name: str, solver: Any) -> None:
    """Refuse a solver that needs what no oracle of a problem offers, or not for its classes.

    Parameters
    ----------
    argument
        What the error names.
    problem, name
        The problem, and what it is called; nothing is refused of one without instruments.
    solver
        A solver, or a class of solvers.

    Raises
    ------
    InvalidArgumentError
        Naming the solver, the problem, and the capabilities that are missing.
    """
    kind = instruments_of(problem)
    if kind is None:
        return
    if missing := kind.lacking(solver):
        raise InvalidArgumentError(
            argument,
            f"solver {solver.name!r}, which needs {_in_words(missing)}, with problem {name!r}, a "
            f"{type(problem).__name__}, which has none",
            "pass another solver for this problem, or this solver a problem of another kind",
        )
    for capability, remedy in kind.withheld(problem).items():
        wanted = [each for each in needs(solver) if operations([each]) & operations([capability])]
        if wanted:
            raise InvalidArgumentError(
                argument,
                f"solver {solver.name!r}, which needs {_in_words(wanted)}, with problem {name!r}, "
                f"a {type(problem).__name__}, which has none for its reward and policy classes",
                f"{remedy}; or pass another solver for this problem",
            )


def _in_words(capabilities: Iterable[type]) -> str:
    return " and ".join(
        f"{capability.__name__} ({', '.join(sorted(operations([capability])))})"
        for capability in capabilities
    )


def instruments_for(
    problem: object,
    seeds: Sequence[int],
    *,
    sample_budget: int | None = None,
    enumeration_budget: int = DEFAULT_ENUMERATION_BUDGET,
    device: torch.device | str = "cpu",
) -> Instruments:
    """Return the instruments for ``problem``.

    Parameters
    ----------
    problem
        What ``theory_check.problems`` builds.
    seeds
        One replicate each.
    sample_budget
        Largest number of samples of a replicate; None for no limit.
    enumeration_budget
        Largest number of trajectories the oracles may enumerate.
    device
        Device of the tables.

    Raises
    ------
    InvalidArgumentError
        If no instruments are known for this kind of problem.
    """
    kind = instruments_of(problem)
    if kind is None:
        raise InvalidArgumentError(
            "problem",
            f"a {type(problem).__name__}",
            "pass a problem built by theory_check.problems, or let its class name its instruments",
        )
    return kind(
        problem,
        seeds,
        sample_budget=sample_budget,
        enumeration_budget=enumeration_budget,
        device=device,
    )
