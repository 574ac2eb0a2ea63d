"""What a solver may see of a bilevel problem, and what the loop and the recorder see of a solver.

    minimise over x   f(x, y*(x))      subject to   y*(x) in argmin_y g(x, y)

For RLHF, ``x`` is ``phi``, ``y`` is ``lambda``, ``f`` is ``G`` and ``g`` is ``-J``
(``docs/theory.md`` sections 1 and 3). Nothing here knows that. "Samples" are whatever the problem
counts: trajectories for the lower level, labelled pairs for the upper one; a problem without noise
ignores the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

Coupling = Literal["independent", "shared"]


@dataclass(frozen=True, eq=False)
class UpperGradients:
    """Gradients of ``f`` from one batch of labelled pairs.

    Attributes
    ----------
    in_upper
        ``∂_x f``, shape (replicate, upper).
    in_lower
        ``∂_y f``, shape (replicate, lower).
    """

    in_upper: Float[Tensor, "replicate upper"]
    in_lower: Float[Tensor, "replicate lower"]


@dataclass(frozen=True, eq=False)
class LowerGradients:
    """Gradients of ``g`` at two lower variables.

    Attributes
    ----------
    at_lower
        ``∂_y g(x, y)``, shape (replicate, lower).
    at_penalised
        ``∂_y g(x, y')``, shape (replicate, lower).
    """

    at_lower: Float[Tensor, "replicate lower"]
    at_penalised: Float[Tensor, "replicate lower"]


@runtime_checkable
class BilevelOracle(Protocol):
    """First-order information of both levels, sampled or exact."""

    def lower_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``∂_y g(x, y)``."""
        ...

    def lower_gradients(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        samples: int,
        coupling: Coupling,
    ) -> LowerGradients:
        """Return ``∂_y g`` at ``y`` and ``y'``.

        ``"independent"`` draws ``samples`` at each; ``"shared"`` draws them at ``y`` only and
        reweights.
        """
        ...

    def upper_gradients(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> UpperGradients:
        """Return ``∂_x f`` and ``∂_y f`` at (x, y)."""
        ...

    def penalty_difference(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        samples: int,
        coupling: Coupling,
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x g(x, y') - ∂_x g(x, y)``, with ``coupling`` as in ``lower_gradients``."""
        ...


@runtime_checkable
class BilevelTruth(Protocol):
    """What the recorder may ask of a problem, exactly; out of every solver's reach."""

    @property
    def optimal_hyperobjective(self) -> float:
        """Return ``min Phi``, NaN where it is neither declared nor certified."""
        ...

    def hyperobjective(
        self, upper: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, " replicate"]:
        """Return ``Phi(x) = f(x, y*(x))``."""
        ...

    def hypergradient(
        self, upper: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi(x)``."""
        ...

    def surrogate_gradient(
        self, upper: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi_sigma(x)``; NaN for replicates where it is not certified."""
        ...

    def diagnostics(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"] | None,
        sigma: float | None,
    ) -> dict[str, Float[Tensor, " replicate"]]:
        """Return further columns of the trace, by name; those it leaves out are NaN."""
        ...

    def penalised_distance(
        self,
        upper: Float[Tensor, "replicate upper"],
        penalised: Float[Tensor, "replicate lower"],
        sigma: float,
    ) -> Float[Tensor, " replicate"]:
        """Return the distance of ``y'`` to ``argmin sigma f + g``; NaN where not certified."""
        ...


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
    """A frozen configuration with ``init`` and ``step``; see ``PenaltyBilevel`` for the pattern."""

    name: ClassVar[str]

    @property
    def penalty(self) -> float | None:
        """The penalty parameter sigma of the surrogate it follows, None where there is none."""
        ...

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> SolverState:
        """Return the state before the first step."""
        ...

    # States are Any below: each solver accepts its own kind of SolverState and no other.
    def step(self, oracle: BilevelOracle, state: Any) -> Any:
        """Return the state after one outer iteration."""
        ...

    def hypergradient_estimate(
        self, oracle: BilevelOracle, state: Any
    ) -> Float[Tensor, "replicate upper"]:
        """Return an estimate at the state's iterates.

        Evaluated with an oracle of exact information, this is the expectation of ``estimate``
        given the inner iterates.
        """
        ...
