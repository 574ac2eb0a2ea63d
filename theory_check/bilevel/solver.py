"""Solvers, as the loop and the recorder see them."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Literal, Protocol, TypeGuard, runtime_checkable

from jaxtyping import Float
from torch import Tensor

Information = Literal["samples", "exact"]

Difference = Literal["forward", "central"]
"""Of two penalised levels: at sigma and 0, or at sigma and -sigma (``docs/theory.md`` section 3.6)."""

InnerPath = list[tuple[Tensor, Tensor | None]]
"""Iterates (y, y') of an inner loop, each before the step that leaves it; y' is None without one."""


@runtime_checkable
class SolverState(Protocol):
    """What every solver's state shows to the loop and the recorder.

    A state is a dataclass, and every tensor in it leads with the replicate dimension: the recorder
    restricts it to the replicates that are still running.
    """

    @property
    def upper(self) -> Float[Tensor, "replicate upper"]:
        """The outer iterate ``x_t`` at which ``estimate`` was formed."""
        ...

    @property
    def lower(self) -> Float[Tensor, "replicate lower"]:
        """The lower iterate ``y_t``."""
        ...

    @property
    def lower_penalised(self) -> Float[Tensor, "replicate lower"] | None:
        """The penalised lower iterate ``y'_t``, for solvers that keep one."""
        ...

    @property
    def estimate(self) -> Float[Tensor, "replicate upper"]:
        """The hypergradient estimate the outer step used."""
        ...

    @property
    def next_upper(self) -> Float[Tensor, "replicate upper"]:
        """The outer iterate ``x_{t+1}``."""
        ...


@runtime_checkable
class Solver(Protocol):
    """A frozen configuration with ``init`` and ``step``; see ``PenaltyBilevel`` for the pattern.

    Attributes
    ----------
    name
        Name of the algorithm in experiment files.
    information
        What it is defined with: ``"samples"``, which are counted and capped, or ``"exact"``
        expectations and quantities that take the dynamics to be known, whose calls are.
    """

    name: ClassVar[str]
    information: ClassVar[Information]

    @property
    def penalty(self) -> float | None:
        """Sigma of the ``Phi_sigma`` whose gradient it estimates, None where there is no such sigma.

        A solver without one may declare a :class:`Surrogate`; where it does not, its error is not split.
        """
        ...

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> SolverState:
        """Return the state before the first step."""
        ...

    # Any below: each solver accepts its own kind of SolverState, and an oracle of the capabilities that
    # it needs, which it declares by the type of the argument.
    def step(self, oracle: Any, state: Any) -> Any:
        """Return the state after one outer iteration.

        A solver with an inner loop takes a further argument: see :class:`TellsInnerPath`.
        """
        ...

    def hypergradient_estimate(
        self, oracle: Any, state: Any
    ) -> Float[Tensor, "replicate upper"] | None:
        """Return an estimate at the state's iterates; None where nothing that it uses is an estimate.

        Evaluated with an oracle of exact information, this is the expectation of ``estimate``
        given the inner iterates. Errors of a solver without one are NaN.
        """
        ...


class TellsInnerPath(Solver, Protocol):
    """A solver that says where its inner loop goes, to those who ask."""

    def step(self, oracle: Any, state: Any, path: InnerPath | None = None) -> Any:
        """Return the state after one outer iteration.

        Parameters
        ----------
        oracle, state
            As of every solver.
        path
            Takes the iterates of the inner loop, each before its step, the last one excepted: that is in
            the state. Nothing is kept where it is None.
        """
        ...


def tells_inner_path(solver: object) -> TypeGuard[TellsInnerPath]:
    """Return whether the ``step`` of a solver takes a ``path``."""
    step = getattr(solver, "step", None)
    return callable(step) and "path" in inspect.signature(step).parameters


@runtime_checkable
class HasInnerPenalties(Protocol):
    """A solver whose inner loops solve ``s f + g`` at penalty parameters that it knows."""

    @property
    def inner_penalties(self) -> tuple[float, float]:
        """The penalty parameter of ``lower`` and that of ``lower_penalised``."""
        ...


@runtime_checkable
class Surrogate(Protocol):
    """A solver whose estimate tends to another gradient than that of one ``Phi_sigma``."""

    def surrogate_gradient(self, truth: Any, state: Any) -> Float[Tensor, "replicate upper"]:
        """Return what the estimate is an estimate of, exactly.

        Parameters
        ----------
        truth
            A :class:`~theory_check.bilevel.BilevelTruth`: ``hypergradient(upper)`` for solvers that
            estimate ``∇Phi`` itself, ``surrogate_gradient(upper, sigma)`` where sigma changes from one
            iteration to the next, or any combination of them: their mean at ``sigma`` and ``-sigma`` for
            a central difference.
        state
            The state whose ``estimate`` is meant, formed at ``state.upper``.
        """
        ...
