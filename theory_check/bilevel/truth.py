"""What the recorder may ask of a bilevel problem, exactly; out of every solver's reach."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


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
class ValueTruth(Protocol):
    """What is known beside of a problem of policies whose true reward is known."""

    def value_gap(self, lower: Float[Tensor, "replicate lower"]) -> Float[Tensor, " replicate"]:
        """Return ``J* - J`` under the true reward, KL term included."""
        ...
