"""The loop that several methods share: policy gradient steps, then one step along an estimate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Information, ResponseOracle
from theory_check.errors import require_positive, require_positive_integer
from theory_check.solvers.policy_steps import descend_lower
from theory_check.solvers.states import SingleLowerState


@dataclass(frozen=True)
class SingleLowerDescent(ABC):
    """Inner steps on ``g(x, .)``, then one step of x along the estimate that a subclass defines.

    Parameters
    ----------
    inner_steps, inner_step_size
        Policy gradient steps K of each outer iteration, and their size ``alpha`` > 0.
    step_size
        ``eta`` > 0.
    trajectories
        Lower-level samples n of every lower gradient.
    pairs
        Upper-level samples B of the upper gradients.
    """

    information: ClassVar[Information] = "samples"

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
    ) -> SingleLowerState:
        """Return the state before the first step."""
        return SingleLowerState.start(upper, lower)

    def step(self, oracle: ResponseOracle, state: SingleLowerState) -> SingleLowerState:
        """Return the state after one outer iteration."""
        upper = state.next_upper
        lower = descend_lower(
            oracle,
            upper,
            state.lower,
            steps=self.inner_steps,
            step_size=self.inner_step_size,
            samples=self.trajectories,
        )
        inner = replace(state, upper=upper, lower=lower)
        estimate = self.hypergradient_estimate(oracle, inner)
        return replace(inner, estimate=estimate, next_upper=upper - self.step_size * estimate)

    @abstractmethod
    def hypergradient_estimate(
        self, oracle: ResponseOracle, state: SingleLowerState
    ) -> Float[Tensor, "replicate upper"]:
        """Return the estimate at the state's iterates, from fresh samples."""
