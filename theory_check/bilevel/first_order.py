"""First-order information of both levels: all that the penalty methods see of a bilevel problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

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
