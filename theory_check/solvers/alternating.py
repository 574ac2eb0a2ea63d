"""Alternating reward and policy learning: the hypergradient without the response of the policy.

What online RLHF does in practice, and in this suite a negative control: its fixed points satisfy
``∂_phi G = 0``, not ``∇Phi = 0`` (``docs/theory.md`` section 6.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import BilevelOracle
from theory_check.errors import require_positive, require_positive_integer


@dataclass(frozen=True, eq=False)
class AlternatingState:
    """State of ``Alternating`` after an outer iteration; see ``PenaltyState``.

    Attributes
    ----------
    upper, next_upper
        ``x_t`` where the estimate was formed, and ``x_{t+1}``, shape (replicate, upper).
    lower
        ``y`` after the inner loop at ``x_t``, shape (replicate, lower).
    estimate
        ``∂_x f(x_t, y)``, shape (replicate, upper).
    lower_penalised
        None: there is no penalised variable.
    """

    upper: Float[Tensor, "replicate upper"]
    next_upper: Float[Tensor, "replicate upper"]
    lower: Float[Tensor, "replicate lower"]
    estimate: Float[Tensor, "replicate upper"]
    lower_penalised: None = None


@dataclass(frozen=True)
class Alternating:
    """Gradient steps on ``g(x, .)``, then one step along ``∂_x f`` alone.

    Parameters
    ----------
    inner_steps
        Inner steps K of each outer iteration.
    inner_step_size
        ``alpha`` > 0.
    step_size
        ``eta`` > 0.
    trajectories
        Lower-level samples n of every lower gradient.
    pairs
        Upper-level samples B of every upper gradient.
    """

    name: ClassVar[str] = "alternating"

    inner_steps: int
    inner_step_size: float
    step_size: float
    trajectories: int
    pairs: int

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        for argument in ("inner_step_size", "step_size"):
            require_positive(argument, getattr(self, argument))
        for argument in ("inner_steps", "trajectories", "pairs"):
            require_positive_integer(argument, getattr(self, argument))

    @property
    def penalty(self) -> None:
        """None: it follows no surrogate."""
        return

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> AlternatingState:
        """Return the state before the first step."""
        return AlternatingState(
            upper=upper, next_upper=upper, lower=lower, estimate=upper.new_zeros(upper.shape)
        )

    def step(self, oracle: BilevelOracle, state: AlternatingState) -> AlternatingState:
        """Return the state after one outer iteration."""
        upper, lower = state.next_upper, state.lower
        for _ in range(self.inner_steps):
            gradient = oracle.lower_gradient(upper, lower, self.trajectories)
            lower = lower - self.inner_step_size * gradient
        inner = replace(state, upper=upper, lower=lower)
        estimate = self.hypergradient_estimate(oracle, inner)
        return replace(inner, estimate=estimate, next_upper=upper - self.step_size * estimate)

    def hypergradient_estimate(
        self, oracle: BilevelOracle, state: AlternatingState
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f(x, y)`` from fresh samples."""
        return oracle.upper_gradients(state.upper, state.lower, self.pairs).in_upper
