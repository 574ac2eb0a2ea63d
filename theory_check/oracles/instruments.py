"""The instruments of a run: what the solver samples from, and what the recorder knows.

A kind of problem is a class whose attribute ``instruments`` is a subclass of :class:`Instruments`, or its
dotted name where that is above the class.
"""

from __future__ import annotations

import functools
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import (
    AdjointSystem,
    BilevelOracle,
    BilevelTruth,
    ExactOracleInformation,
    Solver,
)
from theory_check.errors import InvalidArgumentError, SampleBudgetExhausted
from theory_check.oracles.comparisons.trajectories import DEFAULT_ENUMERATION_BUDGET
from theory_check.oracles.estimates.counts import SampleCounts


class CountedInformation:
    """An oracle of exact information whose calls are counted, those of its linear systems included.

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

    def __init__(self, information: BilevelOracle, call_budget: int | None = None) -> None:
        self._information = information
        self._call_budget = call_budget
        self._calls = 0

    @property
    def counts(self) -> SampleCounts:
        """Exact quantities asked for so far, as ``exact_calls``."""
        return SampleCounts(exact_calls=self._calls)

    def adjoint_system(self, *variables: Any) -> AdjointSystem:
        """Return the system of the hypergradient, whose products are counted too."""
        self._count()
        assert isinstance(self._information, ExactOracleInformation)
        return _CountedSystem(self._information.adjoint_system(*variables), self._count)

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        """Return an operation of the oracle that is counted when it is called."""
        answer = getattr(self._information, operation)

        @functools.wraps(answer)
        def counted(*variables: Any, **options: Any) -> Any:
            self._count()
            return answer(*variables, **options)

        self.__dict__[operation] = counted  # made once: attributes that are set are found first
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


class CountingOracle(BilevelOracle, Protocol):
    """A sampled oracle: the bilevel interface, with its counters."""

    @property
    def counts(self) -> SampleCounts:
        """Samples each replicate has drawn so far."""
        ...


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
    """

    differing_batches: ClassVar[bool] = False

    truth: BilevelTruth
    sampled: CountingOracle
    information: BilevelOracle
    upper_parameters: int

    def oracle_for(self, solver: Solver, call_budget: int | None = None) -> CountingOracle:
        """Return what a solver may see: samples, or counted exact information where it declares it.

        ``call_budget`` limits exact calls, as the budget of samples does samples.
        """
        if solver.information == "samples":
            return self.sampled
        counted: CountingOracle = CountedInformation(self.information, call_budget)
        return counted

    # Any: of the kind that the solver's own step takes.
    def initial_state(self, solver: Solver, seeds: Sequence[int], scale: float) -> Any:
        """Return the state before the first step.

        A problem with a start of its own has the penalised inner loop of a solver with a fixed sigma
        start at its solution as well.
        """
        upper = self.initial_upper(seeds, scale)
        state = solver.init(upper, self.initial_lower(seeds))
        if solver.penalty is None or state.lower_penalised is None:
            return state
        solved = self.initial_penalised(upper, solver.penalty)
        if solved is None:
            return state
        record: Any = state
        return replace(record, lower_penalised=solved)

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
    kind = getattr(type(problem), "instruments", None)
    if isinstance(kind, str):
        module, _, name = kind.rpartition(".")
        kind = getattr(importlib.import_module(module), name)
    if not (isinstance(kind, type) and issubclass(kind, Instruments)):
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
