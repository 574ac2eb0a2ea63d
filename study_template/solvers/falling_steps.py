"""Stochastic hypergradient descent with steps that fall like ``1 / t``.

    y <- y - alpha ∂_y g(x, y),  K times        x <- x - eta_t ( ∂_x f + (dy*/dx)^T ∂_y f )(x, y)

with ``eta_t = eta_0 / (1 + t / delay)`` in iteration t = 0, 1, ...: the steps of Robbins and Monro.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import HypergradientOracle, Information, InnerPath, LowerOracle
from theory_check.settings import Positive, PositiveInteger, Settings
from theory_check.solvers.method import Constants, Method, Plan, Scales, whole
from theory_check.solvers.states import EstimatesHypergradient, SingleLowerState, descend_lower

DELAY = 20.0
"""Iterations of the compared method after which the step has halved."""


@dataclass(frozen=True, eq=False)
class FallingStepsState(SingleLowerState):
    """State of :class:`FallingSteps`.

    Attributes
    ----------
    iteration
        t: iterations so far.
    """

    iteration: int = 0


class FallingStepsOracle(LowerOracle, HypergradientOracle, Protocol):
    """What it asks for: gradients of the lower level, and the hypergradient."""


@dataclass(frozen=True)
class FallingSteps(EstimatesHypergradient, Settings):
    """Hypergradient descent with falling steps; see the module.

    Parameters
    ----------
    inner_steps, inner_step_size
        K and ``alpha`` > 0.
    step_size
        ``eta_0`` > 0.
    delay
        Iterations after which the step is half of ``eta_0``, > 0.
    trajectories
        Samples of every gradient, of either level.
    """

    name: ClassVar[str] = "falling-steps"
    information: ClassVar[Information] = "samples"

    inner_steps: PositiveInteger
    inner_step_size: Positive
    step_size: Positive
    delay: Positive
    trajectories: PositiveInteger

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> FallingStepsState:
        """Return the state before the first step."""
        return FallingStepsState.start(upper, lower)

    def step(
        self, oracle: FallingStepsOracle, state: FallingStepsState, path: InnerPath | None = None
    ) -> FallingStepsState:
        """Return the state after one outer iteration; ``path`` takes y before every inner step."""
        upper = state.next_upper
        lower = descend_lower(
            oracle,
            upper,
            state.lower,
            steps=self.inner_steps,
            step_size=self.inner_step_size,
            samples=self.trajectories,
            path=path,
        )
        inner = replace(state, upper=upper, lower=lower)
        estimate = self.hypergradient_estimate(oracle, inner)
        step = self.step_size / (1 + state.iteration / self.delay)
        return replace(
            inner,
            estimate=estimate,
            next_upper=upper - step * estimate,
            iteration=state.iteration + 1,
        )

    def hypergradient_estimate(
        self, oracle: HypergradientOracle, state: FallingStepsState
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f`` plus the response, from fresh samples."""
        total = oracle.total_gradient(
            state.upper, state.lower, self.trajectories, self.trajectories
        )
        return total.direct + total.response


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    """Return the plan for an accuracy: iterations pay for it, batches do not grow."""
    solver = FallingSteps(
        inner_steps=2,
        inner_step_size=scales.inner_step,
        step_size=constants["step_size"] * scales.outer_step,
        delay=DELAY,
        trajectories=scales.response_batch(1 / constants["batch"]),
    )
    return Plan(whole(10 / epsilon), solver)


METHOD = Method(
    id="falling-steps",
    title="falling steps",
    solver=FallingSteps,
    constants={"step_size": (0.3, 1.0, 2.0, 4.0), "batch": (0.5, 2.0, 8.0, 32.0)},
    plan=_plan,
    rate=None,
)
