"""Exact quantities for methods that are defined with them: every use is counted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from theory_check.bilevel import AdjointSystem, BilevelOracle, ExactOracleInformation
from theory_check.errors import SampleBudgetExhausted
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
