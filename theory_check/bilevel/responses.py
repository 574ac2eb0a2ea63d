"""What methods beyond the penalty family sample: responses, pointwise penalties, fixed data, policies."""

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


@dataclass(frozen=True, eq=False)
class TotalGradient:
    """The two parts of ``d/dx f(x, y*(x)) = ∂_x f + (dy*/dx)^T ∂_y f``.

    Attributes
    ----------
    direct
        ``∂_x f``, shape (replicate, upper).
    response
        ``(dy*/dx)^T ∂_y f``, shape (replicate, upper).
    """

    direct: Float[Tensor, "replicate upper"]
    response: Float[Tensor, "replicate upper"]


@runtime_checkable
class ResponseOracle(BilevelOracle, Protocol):
    """All that can be sampled: first-order information, and how the lower optimum responds."""

    def lower_gradient_change(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        earlier_upper: Float[Tensor, "replicate upper"],
        earlier_lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> LowerGradients:
        """Return ``∂_y g`` at (x, y) and at an earlier point, from one batch drawn at (x, y).

        ``at_lower`` is the one now, ``at_penalised`` the earlier one.
        """
        ...

    def upper_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f`` alone, which can take fewer samples than both gradients."""
        ...

    def total_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
        rollouts: int,
        *,
        separate_values: bool = False,
    ) -> TotalGradient:
        """Return the total derivative of ``f`` as if ``lower`` were ``y*(upper)``.

        ``samples`` upper-level samples estimate both partial gradients, ``rollouts`` lower-level ones
        the response to what the first found: for RLHF a difference of ``∂Q`` and ``∂V``, estimated
        together, or by as many rollouts each where values are separate.
        """
        ...

    def pointwise_penalty_in_upper(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        rollouts: int,
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x p(x, y')`` of a penalty that adds up over states, as if y were ``y*(x)``.

        A problem without states has the penalty ``g - min g``.
        """
        ...

    def pointwise_penalty_in_lower(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        rollouts: int,
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``∂_y' p(x, y')`` of the same; rollouts are drawn where it needs them."""
        ...

    def preference_data(
        self, lower: Float[Tensor, "replicate lower"], samples: int
    ) -> Float[Tensor, "replicate winner loser"]:
        """Draw a data set of upper-level samples at ``lower``, to be used many times."""
        ...

    def data_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        data: Float[Tensor, "replicate winner loser"],
    ) -> Float[Tensor, "replicate upper"]:
        """Return the gradient in x of the loss on a data set; nothing is drawn."""
        ...

    def implicit_gradient(
        self, lower: Float[Tensor, "replicate lower"], samples: int
    ) -> Float[Tensor, "replicate lower"]:
        """Return the gradient in y of ``f(x(y), y')`` at ``y' = y``, with x(y) the inverse of y*."""
        ...

    def implied_upper(
        self, lower: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return the x whose ``y*(x)`` is nearest to ``lower``; for reporting, nothing is drawn."""
        ...
