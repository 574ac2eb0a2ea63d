"""F2SA: fully first-order stochastic approximation, a single loop.

Source: Kwon, Kwon, Wright and Nowak, 2301.10945, algorithm 1 with one inner step. With
``lambda_k = 1 / sigma_k`` increasing,

    z <- z - gamma_k ∂_y g(x, z)
    y <- y - alpha_k ( ∂_y f + lambda_k ∂_y g )(x, y)
    x <- x - xi alpha_k ( ∂_x f(x, y) + lambda_k ( ∂_x g(x, y) - ∂_x g(x, z) ) )

and, where both levels are noisy, ``alpha_k ~ k^{-5/7}``, ``gamma_k ~ k^{-4/7}`` and ``lambda_k =
gamma_k / (2 alpha_k) ~ k^{1/7}``: the factor 2 is absorbed in the constants here. Batches do not
grow, and nothing depends on the accuracy that is asked for.

Stated rate: O~(epsilon^-7/2) samples where both levels are noisy (abstract), for a weighted mean of
``E‖∇F‖²``. The algorithm and its schedule are from secondary sources; they reproduce that rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import FirstOrderOracle, Information, InnerPath
from theory_check.settings import Positive, PositiveInteger, Settings
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.states import FallingPenalty, PenaltyState

STEP_EXPONENT, LOWER_EXPONENT = 5 / 7, 4 / 7
"""Of ``alpha_k`` and ``gamma_k`` where both levels are noisy."""

WARM_UP = 100
"""k_0 of ``(1 + k / k_0)``: iterations before the steps begin to fall."""


@dataclass(frozen=True, eq=False)
class F2SAState(PenaltyState):
    """State of :class:`F2SA`.

    Attributes
    ----------
    iteration
        k: iterations so far.
    """

    iteration: int = 0


@dataclass(frozen=True)
class F2SA(FallingPenalty, Settings):
    """The single loop; settings are those of its first iterations.

    Parameters
    ----------
    sigma
        ``1 / lambda_0`` > 0.
    inner_step_size
        ``gamma_0`` > 0; y moves with the same step along ``∂_y (sigma f + g)``.
    step_size
        ``xi alpha_0`` > 0.
    trajectories
        Lower-level samples n of every lower gradient and of the penalty difference.
    pairs
        Upper-level samples B.
    """

    name: ClassVar[str] = "f2sa"
    information: ClassVar[Information] = "samples"

    sigma: Positive
    inner_step_size: Positive
    step_size: Positive
    trajectories: PositiveInteger
    pairs: PositiveInteger

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> F2SAState:
        """Return the state before the first step, both lower variables at ``lower``."""
        return F2SAState.start(upper, lower)

    def step(
        self, oracle: FirstOrderOracle, state: F2SAState, path: InnerPath | None = None
    ) -> F2SAState:
        """Return the state after one iteration; ``path`` takes both lower variables before their step."""
        upper, lower, penalised = state.next_upper, state.lower, state.lower_penalised
        if path is not None:
            path.append((lower, penalised))
        age = 1 + state.iteration / WARM_UP
        inner_step = self.inner_step_size * age**-LOWER_EXPONENT
        gradients = oracle.lower_gradients(
            upper, lower, penalised, self.trajectories, "independent"
        )
        pull = oracle.upper_gradients(upper, penalised, self.pairs).in_lower
        sigma = self.sigma_at(state.iteration)
        inner = replace(
            state,
            upper=upper,
            iteration=state.iteration + 1,
            lower=lower - inner_step * gradients.at_lower,
            lower_penalised=penalised - inner_step * (gradients.at_penalised + sigma * pull),
        )
        estimate = self.hypergradient_estimate(oracle, inner)
        step = self.step_size * age**-STEP_EXPONENT
        return replace(
            inner,
            estimate=estimate,
            next_upper=upper - step * estimate,
        )

    def sigma_at(self, iteration: int) -> float:
        """Return ``1 / lambda_k``, which falls like ``k^{-1/7}``."""
        return self.sigma * math.pow(1 + iteration / WARM_UP, LOWER_EXPONENT - STEP_EXPONENT)

    def hypergradient_estimate(
        self, oracle: FirstOrderOracle, state: F2SAState
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f(x, y) + lambda_k (∂_x g(x, y) - ∂_x g(x, z))`` from fresh samples."""
        direct = oracle.upper_gradients(state.upper, state.lower_penalised, self.pairs).in_upper
        difference = oracle.penalty_difference(
            state.upper, state.lower, state.lower_penalised, self.trajectories, "independent"
        )
        return direct + difference / self.sigma_at(max(state.iteration - 1, 0))


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    sigma = constants["sigma"] * scales.penalty
    batch = scales.penalty_batch(1 / constants["batch"], sigma)
    solver = F2SA(
        sigma=sigma,
        inner_step_size=constants["inner_step_size"] * scales.inner_step,
        step_size=constants["step_size"] * scales.outer_step,
        trajectories=batch,
        pairs=batch,
    )
    return Plan(whole(10 / epsilon**3.5), solver)


METHOD = Method(
    id="f2sa",
    title="F2SA",
    solver=F2SA,
    constants={
        "step_size": (1.0, 0.3),
        "inner_step_size": (0.5, 2.0),
        "sigma": (0.2, 1.0),
        "batch": (1.0, 8.0),
    },
    plan=_plan,
    rate=StatedRate(3.5, "samples", "2301.10945, abstract", "V"),
)
