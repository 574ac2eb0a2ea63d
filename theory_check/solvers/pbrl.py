"""PBRL: penalty-based bilevel RL, one joint step on reward and policy.

Source: Shen, Yang and Chen, ICML 2024 (PMLR v235, shen24g; 2402.06886). Minimise ``f(x, y) + p(x,
y) / sigma`` over both variables together,

    (x, y') <- (x, y') - eta ( ∇f(x, y') + ∇p(x, y') / sigma ),

with one of two penalties, each of which needs a policy ``y`` near the optimum of the lower level:

* *value penalty*: ``p = max J - J``, gradient ``∂_x J(x, y) - ∂_x J(x, y')`` in x and
  ``-∂_y J(x, y')`` in y';
* *Bellman penalty*: ``p = sum_s nu(s) (V*_x(s) - E_{a ~ pi'}[Q*_x(s, a) - beta log(pi'/pi_ref)])``,
  which for a KL term is ``beta sum_s nu(s) KL(pi'(.|s) || pi*_x(.|s))``: its gradient in y' needs
  no rollouts.

Its text was not available beyond the abstract. The penalties are those that it is known for; nu,
any positive law over states, is uniform here, and gradients in x of the Bellman penalty use
rollouts of y. The policy y is an oracle there; here it takes policy gradient steps. Batches are
not discussed there; here they keep the noise of the penalty gradient of order epsilon, as for the
double loop.

Stated rate: O(1/(sigma epsilon)) iterations for the squared norm of the projected gradient of the
penalised objective (secondary), with sigma of order sqrt(epsilon) for a bias of order epsilon:
O(epsilon^-3/2). No statement in samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal, Protocol

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import (
    DirectOracle,
    InnerPath,
    LowerOracle,
    PenaltyOracle,
    PointwisePenaltyOracle,
    UpperOracle,
)
from theory_check.settings import Positive
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.states import InnerLoopSettings, PenaltyState, descend_lower

PenaltyFunction = Literal["value", "bellman"]


@dataclass(frozen=True, eq=False)
class PBRLState(PenaltyState):
    """State of :class:`PBRL`: both variables move at once, from the point of the estimate.

    Attributes
    ----------
    next_penalised
        ``y'_{t+1}``, shape (replicate, lower); None before the first step.
    """

    next_penalised: Float[Tensor, "replicate lower"] | None = None


class PBRLOracle(
    LowerOracle, UpperOracle, DirectOracle, PenaltyOracle, PointwisePenaltyOracle, Protocol
):
    """Gradients of both levels and of both penalties."""


@dataclass(frozen=True)
class PBRL(InnerLoopSettings):
    """Joint gradient descent on a penalised problem.

    Other parameters are those of :class:`InnerLoopSettings`; ``trajectories`` also those of the penalty.

    Parameters
    ----------
    penalty_function
        ``"value"`` or ``"bellman"``.
    sigma
        Inverse of the penalty constant, > 0.
    penalised_step_size
        Step > 0 of ``y'`` along ``∂_y (sigma f + p)``.
    """

    name: ClassVar[str] = "pbrl"

    penalty_function: PenaltyFunction
    sigma: Positive
    penalised_step_size: Positive

    @property
    def penalty(self) -> float | None:
        """The parameter sigma of ``Phi_sigma`` for the value penalty; None for the Bellman penalty."""
        return self.sigma if self.penalty_function == "value" else None

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> PBRLState:
        """Return the state before the first step, both lower variables at ``lower``."""
        return PBRLState.start(upper, lower)

    def step(
        self, oracle: PBRLOracle, state: PBRLState, path: InnerPath | None = None
    ) -> PBRLState:
        """Return the state after one joint step; ``path`` takes y before every step of its own.

        y' stands still beside it: it moves together with x, after the estimate.
        """
        upper = state.next_upper
        penalised = state.lower_penalised if state.next_penalised is None else state.next_penalised
        lower = descend_lower(
            oracle,
            upper,
            state.lower,
            steps=self.inner_steps,
            step_size=self.inner_step_size,
            samples=self.trajectories,
            path=path,
            penalised=penalised,
        )
        here = replace(state, upper=upper, lower=lower, lower_penalised=penalised)
        pull = oracle.upper_gradients(upper, penalised, self.pairs).in_lower
        slope = self.sigma * pull + self._penalty_in_lower(oracle, here)
        estimate = self.hypergradient_estimate(oracle, here)
        return replace(
            here,
            estimate=estimate,
            next_upper=upper - self.step_size * estimate,
            next_penalised=penalised - self.penalised_step_size * slope,
        )

    def hypergradient_estimate(
        self, oracle: PBRLOracle, state: PBRLState
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f(x, y') + ∂_x p(x, y') / sigma``."""
        direct = oracle.upper_gradient(state.upper, state.lower_penalised, self.pairs)
        return direct + self._penalty_in_upper(oracle, state) / self.sigma

    def _penalty_in_lower(
        self, oracle: PBRLOracle, state: PBRLState
    ) -> Float[Tensor, "replicate lower"]:
        if self.penalty_function == "value":
            return oracle.lower_gradient(state.upper, state.lower_penalised, self.trajectories)
        return oracle.pointwise_penalty_in_lower(
            state.upper, state.lower, state.lower_penalised, self.trajectories
        )

    def _penalty_in_upper(
        self, oracle: PBRLOracle, state: PBRLState
    ) -> Float[Tensor, "replicate upper"]:
        if self.penalty_function == "value":
            return oracle.penalty_difference(
                state.upper, state.lower, state.lower_penalised, self.trajectories, "independent"
            )
        return oracle.pointwise_penalty_in_upper(
            state.upper, state.lower, state.lower_penalised, self.trajectories
        )


def _plan(
    penalty_function: PenaltyFunction, epsilon: float, constants: Constants, scales: Scales
) -> Plan:
    sigma = constants["sigma"] * scales.sigma * math.sqrt(epsilon)
    batch = scales.penalty_batch(epsilon / constants["batch"], sigma)
    solver = PBRL(
        penalty_function=penalty_function,
        sigma=sigma,
        inner_steps=whole(constants["inner_steps"]),
        inner_step_size=scales.inner_step,
        penalised_step_size=scales.inner_step,
        # The penalised objective has a curvature of order 1 / sigma.
        step_size=constants["step_size"] * scales.outer_step * sigma / scales.sigma,
        trajectories=batch,
        pairs=batch,
    )
    return Plan(whole(10 / epsilon**1.5), solver)


METHOD_VALUE = Method(
    id="pbrl-value",
    title="PBRL, value penalty",
    solver=PBRL,
    constants={
        "step_size": (1.0, 0.3),
        "inner_steps": (1.0, 8.0),
        "sigma": (0.3, 1.0),
        "batch": (0.5, 4.0),
    },
    plan=partial(_plan, "value"),
    rate=StatedRate(1.5, "iterations", "2402.06886", "S"),
)
METHOD_BELLMAN = Method(
    id="pbrl-bellman",
    title="PBRL, Bellman penalty",
    solver=PBRL,
    constants={
        "step_size": (1.0, 0.3),
        "inner_steps": (1.0, 8.0),
        "sigma": (0.3, 1.0),
        "batch": (0.5, 4.0),
    },
    plan=partial(_plan, "bellman"),
    rate=StatedRate(1.5, "iterations", "2402.06886", "S"),
)
