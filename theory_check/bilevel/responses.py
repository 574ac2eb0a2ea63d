"""What methods beyond the penalty family sample: responses, pointwise penalties, fixed data, policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel.first_order import BilevelOracle, LowerGradients


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
