"""F3SA: the momentum version of F2SA.

Source: Kwon, Kwon, Wright and Nowak, 2301.10945, algorithm 2. The updates are those of F2SA, with
every gradient replaced by a recursive momentum estimate (STORM),

    h_k = ∇(w_k; xi_k) + (1 - eta_k) ( h_{k-1} - ∇(w_{k-1}; xi_k) ),

``alpha_k ~ k^{-3/5}``, ``gamma_k ~ k^{-2/5}``, ``lambda_k = gamma_k / (2 alpha_k) ~ k^{1/5}`` and
``eta_k ~ k^{-4/5}``. The sample ``xi_k`` comes from the policy of w_k and is reweighted for that
of w_{k-1}: in RL the law of the samples moves as well. Momentum is on the gradients of g, which
lambda multiplies; those of f are plain, for want of reweighted pairs, which adds noise that does
not grow with lambda (a choice of this project). The difference of ``∂_x g`` at y and z carries
one momentum estimate.

Stated rate: O~(epsilon^-5/2) samples where both levels are noisy (abstract), for a weighted mean of
``E‖∇F‖²``. The algorithm and its schedule are from secondary sources; they reproduce that rate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import (
    FirstOrderOracle,
    InnerPath,
    LowerChangeOracle,
    PenaltyOracle,
)
from theory_check.settings import PositiveShare
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.single_loop import SingleLoop, SingleLoopState, age

MOMENTUM_EXPONENT = 4 / 5
"""Of ``eta_k`` where both levels are noisy."""


@dataclass(frozen=True, eq=False)
class Momenta:
    """Momentum estimates and the points at which they were last formed.

    Attributes
    ----------
    upper, lower, penalised
        ``x``, ``z`` and ``y`` then, shapes (replicate, upper) and twice (replicate, lower).
    at_lower, at_penalised
        Of ``∂_y g`` at z and at y, shape (replicate, lower).
    """

    upper: Float[Tensor, "replicate upper"]
    lower: Float[Tensor, "replicate lower"]
    penalised: Float[Tensor, "replicate lower"]
    at_lower: Float[Tensor, "replicate lower"]
    at_penalised: Float[Tensor, "replicate lower"]


@dataclass(frozen=True, eq=False)
class F3SAState(SingleLoopState):
    """State of :class:`F3SA`.

    Attributes
    ----------
    momenta
        Of the lower gradients; None before the first step.
    difference
        Momentum estimate of ``∂_x g(x, y) - ∂_x g(x, z)``, shape (replicate, upper).
    """

    momenta: Momenta | None = None
    difference: Float[Tensor, "replicate upper"] | None = None


class F3SAOracle(FirstOrderOracle, LowerChangeOracle, Protocol):
    """Gradients of both levels, and those of the lower one at two iterations."""


@dataclass(frozen=True)
class F3SA(SingleLoop):
    """The single loop with momentum; other parameters are those of :class:`SingleLoop`.

    Parameters
    ----------
    momentum
        ``eta_0`` in (0, 1]; 1 is F2SA with these exponents.
    """

    name: ClassVar[str] = "f3sa"
    step_exponent: ClassVar[float] = 3 / 5
    lower_exponent: ClassVar[float] = 2 / 5

    momentum: PositiveShare

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> F3SAState:
        """Return the state before the first step, both lower variables at ``lower``."""
        return F3SAState.start(upper, lower)

    def step(
        self, oracle: F3SAOracle, state: F3SAState, path: InnerPath | None = None
    ) -> F3SAState:
        """Return the state after one iteration; ``path`` takes both lower variables before their step."""
        upper = state.next_upper
        if path is not None:
            path.append((state.lower, state.lower_penalised))
        keep = 1 - min(1.0, self.momentum * age(state.iteration) ** -MOMENTUM_EXPONENT)
        momenta = self._lower_momenta(oracle, state, keep)
        inner_step = self.inner_step_at(state.iteration)
        sigma = self.sigma_at(state.iteration)
        pull = oracle.upper_gradients(upper, state.lower_penalised, self.pairs).in_lower
        inner = replace(
            state,
            upper=upper,
            iteration=state.iteration + 1,
            lower=state.lower - inner_step * momenta.at_lower,
            lower_penalised=state.lower_penalised
            - inner_step * (momenta.at_penalised + sigma * pull),
            momenta=momenta,
        )
        difference = self._difference(oracle, state, inner, keep)
        direct = oracle.upper_gradients(upper, inner.lower_penalised, self.pairs).in_upper
        estimate = direct + difference / sigma
        return replace(
            inner,
            estimate=estimate,
            next_upper=upper - self.step_at(state.iteration) * estimate,
            difference=difference,
        )

    def hypergradient_estimate(
        self, oracle: FirstOrderOracle, state: F3SAState
    ) -> Float[Tensor, "replicate upper"]:
        """Return what the momentum estimate follows, from fresh samples and without memory."""
        direct = oracle.upper_gradients(state.upper, state.lower_penalised, self.pairs).in_upper
        difference = oracle.penalty_difference(
            state.upper, state.lower, state.lower_penalised, self.trajectories, "independent"
        )
        return direct + difference / self.sigma_at(max(state.iteration - 1, 0))

    def _lower_momenta(self, oracle: F3SAOracle, state: F3SAState, keep: float) -> Momenta:
        upper, points = state.next_upper, (state.lower, state.lower_penalised)
        before = state.momenta
        if before is None:
            gradients = oracle.lower_gradients(upper, *points, self.trajectories, "independent")
            return Momenta(upper, *points, gradients.at_lower, gradients.at_penalised)
        estimates = []
        for point, earlier, momentum in (
            (points[0], before.lower, before.at_lower),
            (points[1], before.penalised, before.at_penalised),
        ):
            found = oracle.lower_gradient_change(
                upper, point, before.upper, earlier, self.trajectories
            )
            estimates.append(found.at_lower + keep * (momentum - found.at_penalised))
        return Momenta(upper, *points, *estimates)

    def _difference(
        self, oracle: PenaltyOracle, before: F3SAState, now: F3SAState, keep: float
    ) -> Float[Tensor, "replicate upper"]:
        """Return the momentum estimate of ``∂_x g(x, y) - ∂_x g(x, z)``.

        Its change since the last iteration is that at y less that at z, each from one batch drawn at the
        later policy. For rewards that are linear in x the earlier ``∂_x g`` does not depend on x.
        """
        upper, n = now.upper, self.trajectories
        fresh = oracle.penalty_difference(upper, now.lower, now.lower_penalised, n, "independent")
        if before.difference is None:
            return fresh
        moved_penalised = -oracle.penalty_difference(
            upper, now.lower_penalised, before.lower_penalised, n, "shared"
        )
        moved_lower = -oracle.penalty_difference(upper, now.lower, before.lower, n, "shared")
        carried = before.difference + moved_penalised - moved_lower
        return keep * carried + (1 - keep) * fresh


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    sigma = constants["sigma"] * scales.sigma
    batch = scales.response_batch(1 / constants["batch"])
    solver = F3SA(
        sigma=sigma,
        momentum=0.3,
        inner_step_size=constants["inner_step_size"] * scales.inner_step,
        step_size=constants["step_size"] * scales.outer_step,
        trajectories=batch,
        pairs=batch,
    )
    return Plan(whole(10 / epsilon**2.5), solver)


METHOD = Method(
    id="f3sa",
    title="F2SA with momentum",
    solver=F3SA,
    constants={
        "step_size": (1.0, 0.3),
        "inner_step_size": (0.5, 2.0),
        "sigma": (0.5, 1.5),
        "batch": (0.125, 0.5),
    },
    plan=_plan,
    rate=StatedRate(2.5, "samples", "2301.10945, abstract", "V"),
)
