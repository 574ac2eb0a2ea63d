"""Capabilities of oracles: the single things that a solver may ask of a problem.

An oracle offers a capability by having its operations. A solver declares those that it needs by the
types of the oracles that its ``step`` and its ``hypergradient_estimate`` take (``declarations.py``): one
of the protocols here, or a protocol that is derived from several of them.
"""

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
class LowerOracle(Protocol):
    """First-order information of the lower level at one lower variable."""

    def lower_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``∂_y g(x, y)``."""
        ...


@runtime_checkable
class PairedLowerOracle(Protocol):
    """The same at two lower variables, whose samples may be shared."""

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


@runtime_checkable
class LowerChangeOracle(Protocol):
    """The change of a lower gradient between two iterations, for momentum estimates."""

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


@runtime_checkable
class PenaltyOracle(Protocol):
    """The upper gradient of a penalty on the value of the lower level."""

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
class UpperOracle(Protocol):
    """First-order information of the upper level in both variables."""

    def upper_gradients(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> UpperGradients:
        """Return ``∂_x f`` and ``∂_y f`` at (x, y)."""
        ...


@runtime_checkable
class DirectOracle(Protocol):
    """The upper gradient without the response of the lower level."""

    def upper_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f`` alone, which can take fewer samples than both gradients."""
        ...


@runtime_checkable
class HypergradientOracle(Protocol):
    """The hypergradient, as if the lower variable were optimal."""

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


@runtime_checkable
class PointwisePenaltyOracle(Protocol):
    """Both gradients of a penalty that adds up over states."""

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


@runtime_checkable
class PreferenceOracle(Protocol):
    """A fixed data set of preferences, drawn once: problems with pairs that are compared have it."""

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


@runtime_checkable
class ImplicitUpperOracle(Protocol):
    """The upper level in terms of the lower variable alone, such as a policy and its implied reward."""

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


@runtime_checkable
class OpposedPreferenceOracle(Protocol):
    """A fixed data set whose pairs have a member of each of two lower variables."""

    def preference_data_between(
        self,
        lower: Float[Tensor, "replicate lower"],
        opponent: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> Float[Tensor, "replicate winner loser"]:
        """Draw such a data set, of the kind that :class:`PreferenceOracle` draws at one variable."""
        ...


@runtime_checkable
class ImplicitObjectiveOracle(Protocol):
    """The upper level as a function of the lower variable alone, its samples included."""

    def implicit_objective_gradient(
        self, lower: Float[Tensor, "replicate lower"], samples: int
    ) -> Float[Tensor, "replicate lower"]:
        """Return the gradient in y of ``f(x(y), y)``, with x(y) the inverse of y*."""
        ...


@runtime_checkable
class ImplicitDataOracle(Protocol):
    """The loss of the implied upper variable on a data set."""

    def implicit_data_gradient(
        self,
        lower: Float[Tensor, "replicate lower"],
        data: Float[Tensor, "replicate winner loser"],
    ) -> Float[Tensor, "replicate lower"]:
        """Return the gradient in y of the loss of x(y) on a data set; nothing is drawn."""
        ...


@runtime_checkable
class OptimalLowerOracle(Protocol):
    """The solution of the lower level; exact information alone has it."""

    def optimal_lower(
        self, upper: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``y*(x)``."""
        ...


@runtime_checkable
class ContractionOracle(Protocol):
    """A contraction towards the solution of the lower level; exact information alone has it."""

    def contracted_lower(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
    ) -> Float[Tensor, "replicate lower"]:
        """Return one step of a contraction whose fixed point is ``y*(x)``.

        For RLHF one application of the soft Bellman operator; logits carry the action values.
        """
        ...


@runtime_checkable
class AdjointOracle(Protocol):
    """The linear system of the response; exact information alone has it."""

    def adjoint_system(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
    ) -> AdjointSystem:
        """Return the system of the hypergradient at (x, y), as if y were ``y*(x)``."""
        ...


@runtime_checkable
class FirstOrderOracle(PairedLowerOracle, UpperOracle, PenaltyOracle, Protocol):
    """First-order information of both levels, as penalty methods with two inner loops use it."""


@runtime_checkable
class BilevelOracle(FirstOrderOracle, LowerOracle, Protocol):
    """The same with the lower gradient alone: what every problem has, sampled or exact."""


CAPABILITIES: tuple[type, ...] = (
    LowerOracle,
    PairedLowerOracle,
    LowerChangeOracle,
    PenaltyOracle,
    UpperOracle,
    DirectOracle,
    HypergradientOracle,
    PointwisePenaltyOracle,
    PreferenceOracle,
    ImplicitUpperOracle,
    OpposedPreferenceOracle,
    ImplicitObjectiveOracle,
    ImplicitDataOracle,
    OptimalLowerOracle,
    ContractionOracle,
    AdjointOracle,
)
"""All of them, each with operations of its own."""
