"""Exact hypergradient descent: the bound on what any solver can do.

Gradient descent on ``Phi`` with the exact hypergradient of ``docs/theory.md`` sections 2.3 and
2.4. It samples nothing; every iteration asks for the optimal policy and for one total derivative.

Stated rate: ``min_t ‖∇Phi(phi_t)‖² <= 2 L (Phi(phi_0) - Phi*) / T`` for steps of ``1 / L``, the
textbook bound for smooth functions (Nesterov, "Lectures on convex optimization", section 1.2.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import HypergradientOracle, Information, OptimalLowerOracle
from theory_check.settings import Positive, Settings
from theory_check.solvers.method import (
    GRID_SIZE,
    Constants,
    Method,
    Plan,
    Scales,
    StatedRate,
    whole,
)
from theory_check.solvers.states import EstimatesHypergradient, SingleLowerState


class SolvedOracle(OptimalLowerOracle, HypergradientOracle, Protocol):
    """The solution of the lower level, and the hypergradient there."""


@dataclass(frozen=True)
class ExactHypergradient(EstimatesHypergradient, Settings):
    """``x <- x - eta ∇Phi(x)``.

    Parameters
    ----------
    step_size
        ``eta`` > 0.
    """

    name: ClassVar[str] = "exact-hypergradient"
    information: ClassVar[Information] = "exact"

    step_size: Positive

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> SingleLowerState:
        """Return the state before the first step."""
        return SingleLowerState.start(upper, lower)

    def step(self, oracle: SolvedOracle, state: SingleLowerState) -> SingleLowerState:
        """Return the state after one iteration."""
        upper = state.next_upper
        inner = replace(state, upper=upper, lower=oracle.optimal_lower(upper))
        estimate = self.hypergradient_estimate(oracle, inner)
        return replace(inner, estimate=estimate, next_upper=upper - self.step_size * estimate)

    def hypergradient_estimate(
        self, oracle: HypergradientOracle, state: SingleLowerState
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi(x)``."""
        total = oracle.total_gradient(state.upper, state.lower, 1, 1)
        return total.direct + total.response


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    solver = ExactHypergradient(step_size=constants["step_size"] * scales.outer_step)
    return Plan(whole(10 / epsilon), solver)


METHOD = Method(
    id="exact",
    title="exact hypergradient",
    solver=ExactHypergradient,
    constants={"step_size": tuple(0.125 * 2 ** (level / 3) for level in range(GRID_SIZE))},
    plan=_plan,
    rate=StatedRate(1.0, "iterations", "Nesterov, Lectures on convex optimization, 1.2.3", "V"),
    baseline=True,
)
