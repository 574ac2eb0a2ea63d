"""What methods that are defined with exact quantities may ask; every call is counted."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel.responses import ResponseOracle


@runtime_checkable
class AdjointSystem(Protocol):
    """A linear system ``A w = b`` whose solution turns ``∂_y f`` into the response.

    Vectors have shape (replicate, ...), the same for one system.
    """

    @property
    def right_hand_side(self) -> Float[Tensor, replicate * unknown]:
        """``b``."""
        ...

    def apply(self, vector: Float[Tensor, replicate * unknown]) -> Float[Tensor, ...]:
        """Return ``A w``."""
        ...

    def apply_transposed(self, vector: Float[Tensor, replicate * unknown]) -> Float[Tensor, ...]:
        """Return ``A^T w``."""
        ...

    def hypergradient(
        self, solution: Float[Tensor, replicate * unknown]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f`` plus the response, with ``solution`` in the place of ``A^-1 b``."""
        ...


@runtime_checkable
class ExactOracleInformation(ResponseOracle, Protocol):
    """Exact expectations in place of samples, and quantities that take the dynamics to be known."""

    def optimal_lower(
        self, upper: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``y*(x)``."""
        ...

    def contracted_lower(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
    ) -> Float[Tensor, "replicate lower"]:
        """Return one step of a contraction whose fixed point is ``y*(x)``.

        For RLHF one application of the soft Bellman operator; logits carry the action values.
        """
        ...

    def adjoint_system(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
    ) -> AdjointSystem:
        """Return the system of the hypergradient at (x, y), as if y were ``y*(x)``."""
        ...
