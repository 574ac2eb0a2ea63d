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

from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import FirstOrderOracle, InnerPath, PenaltyLoop
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.single_loop import SingleLoop, SingleLoopState
from theory_check.solvers.states import descend_both, penalty_estimate


@dataclass(frozen=True)
class F2SA(SingleLoop):
    """The single loop; parameters are those of :class:`SingleLoop`."""

    name: ClassVar[str] = "f2sa"
    step_exponent: ClassVar[float] = 5 / 7
    lower_exponent: ClassVar[float] = 4 / 7

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> SingleLoopState:
        """Return the state before the first step, both lower variables at ``lower``."""
        return SingleLoopState.start(upper, lower)

    def step(
        self, oracle: FirstOrderOracle, state: SingleLoopState, path: InnerPath | None = None
    ) -> SingleLoopState:
        """Return the state after one iteration; ``path`` takes both lower variables before their step."""
        upper = state.next_upper
        loop = self._loop(state.iteration)
        lower, penalised = descend_both(
            oracle, upper, state.lower, state.lower_penalised, loop, path
        )
        inner = replace(
            state,
            upper=upper,
            iteration=state.iteration + 1,
            lower=lower,
            lower_penalised=penalised,
        )
        estimate = self.hypergradient_estimate(oracle, inner)
        return replace(
            inner,
            estimate=estimate,
            next_upper=upper - self.step_at(state.iteration) * estimate,
        )

    def hypergradient_estimate(
        self, oracle: FirstOrderOracle, state: SingleLoopState
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f(x, y) + lambda_k (∂_x g(x, y) - ∂_x g(x, z))`` from fresh samples."""
        return penalty_estimate(oracle, state, self._loop(max(state.iteration - 1, 0)))

    def _loop(self, iteration: int) -> PenaltyLoop:
        """Return an iteration as that of a penalty method with one inner step."""
        return PenaltyLoop(
            sigma=self.sigma_at(iteration),
            steps=1,
            step_size=self.inner_step_at(iteration),
            trajectories=self.trajectories,
            pairs=self.pairs,
            coupling="independent",
        )


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    sigma = constants["sigma"] * scales.sigma
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
