"""What the recorder may ask of a bilevel problem, exactly; out of every solver's reach."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel.responses import ResponseOracle


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
        """Return ``∇Phi_sigma(x)``; NaN for replicates where it is not certified.

        A small negative sigma is allowed: the other end of a central difference.
        """
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
