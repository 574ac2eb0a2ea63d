"""F2BA: the fully first-order double loop with exact gradients.

Source: Chen, Ma and Zhang, 2306.14853, algorithm 1. With ``lambda = 1 / sigma``, both inner loops
run K gradient steps from their last iterates, ``z`` on ``g`` and ``y`` on ``f + lambda g``, on
``sigma f + g`` with half the step that ``z`` takes (here: with the same step), and then
``x <- x - eta (∂_x f(x, y) + lambda (∂_x g(x, y) - ∂_x g(x, z)))``. Its gradients are exact: it
is compared with exact information, and its calls are counted. The stochastic version of the
paper, F2BSA, is the reference solver with independent batches.

Stated rate: ``lambda`` of order 1/delta, K = O(log(1/delta)) and O(delta^-2 log) gradient calls for
``‖∇Phi‖ <= delta``, hence O~(epsilon^-1) for the squared norm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import DirectOracle, FirstOrderOracle, Information, InnerPath
from theory_check.settings import Positive, PositiveInteger, Settings
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.states import PenaltyState


class F2BAOracle(FirstOrderOracle, DirectOracle, Protocol):
    """Gradients of both levels."""


@dataclass(frozen=True)
class F2BA(Settings):
    """The double loop of the penalty method, deterministic.

    Parameters
    ----------
    sigma
        ``1 / lambda`` > 0.
    inner_steps
        Inner steps K of each outer iteration, on both lower variables.
    inner_step_size
        ``alpha`` > 0.
    step_size
        ``eta`` > 0.
    """

    name: ClassVar[str] = "f2ba"
    information: ClassVar[Information] = "exact"

    sigma: Positive
    inner_steps: PositiveInteger
    inner_step_size: Positive
    step_size: Positive

    @property
    def penalty(self) -> float:
        """The penalty parameter sigma."""
        return self.sigma

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> PenaltyState:
        """Return the state before the first step, both lower variables at ``lower``."""
        return PenaltyState.start(upper, lower)

    def step(
        self, oracle: F2BAOracle, state: PenaltyState, path: InnerPath | None = None
    ) -> PenaltyState:
        """Return the state after one outer iteration; ``path`` takes (y, y') before every inner step."""
        upper, lower, penalised = state.next_upper, state.lower, state.lower_penalised
        for _ in range(self.inner_steps):
            if path is not None:
                path.append((lower, penalised))
            gradients = oracle.lower_gradients(upper, lower, penalised, 1, "independent")
            pull = oracle.upper_gradients(upper, penalised, 1).in_lower
            lower = lower - self.inner_step_size * gradients.at_lower
            penalised = penalised - self.inner_step_size * (
                gradients.at_penalised + self.sigma * pull
            )
        inner = replace(state, upper=upper, lower=lower, lower_penalised=penalised)
        estimate = self.hypergradient_estimate(oracle, inner)
        return replace(inner, estimate=estimate, next_upper=upper - self.step_size * estimate)

    def hypergradient_estimate(
        self, oracle: F2BAOracle, state: PenaltyState
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f(x, y') + (∂_x g(x, y') - ∂_x g(x, y)) / sigma``."""
        direct = oracle.upper_gradient(state.upper, state.lower_penalised, 1)
        difference = oracle.penalty_difference(
            state.upper, state.lower, state.lower_penalised, 1, "independent"
        )
        return direct + difference / self.sigma


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    solver = F2BA(
        sigma=constants["sigma"] * scales.sigma * math.sqrt(epsilon),
        inner_steps=whole(constants["inner_steps"] * math.log(1 / epsilon)),
        inner_step_size=constants["inner_step_size"] * scales.inner_step,
        step_size=constants["step_size"] * scales.outer_step,
    )
    return Plan(whole(10 / epsilon), solver)


METHOD = Method(
    id="f2ba",
    title="F2BA",
    solver=F2BA,
    constants={
        "step_size": (1.0, 0.3),
        "inner_steps": (1.0, 6.0),
        "inner_step_size": (0.5, 2.0),
        "sigma": (0.3, 1.0),
    },
    plan=_plan,
    rate=StatedRate(1.0, "iterations", "2306.14853", "S"),
)
