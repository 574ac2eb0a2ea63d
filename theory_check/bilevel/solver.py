"""What the loop and the recorder see of a solver."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

Information = Literal["samples", "exact"]


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
        What it is defined with: ``"samples"`` of a :class:`ResponseOracle`, or ``"exact"``
        quantities, whose calls are counted, of an :class:`ExactOracleInformation`.
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

    # Any below: each solver accepts the oracle it is written for, and its own kind of SolverState.
    def step(self, oracle: Any, state: Any) -> Any:
        """Return the state after one outer iteration."""
        ...

    def hypergradient_estimate(self, oracle: Any, state: Any) -> Float[Tensor, "replicate upper"]:
        """Return an estimate at the state's iterates.

        Evaluated with an oracle of exact information, this is the expectation of ``estimate``
        given the inner iterates.
        """
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
