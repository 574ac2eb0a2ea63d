"""The reference solver: a first-order penalty method with two warm-started inner loops.

Source: ``docs/theory.md`` section 4.1, reconstructed (R) from what is known of 2410.15610 and from
2309.01753, whose theorem texts were not available.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import (
    BilevelTruth,
    Coupling,
    Difference,
    FirstOrderOracle,
    Information,
    InnerPath,
    PenaltyLoop,
    combined,
)
from theory_check.settings import Positive, PositiveInteger, Settings
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.states import (
    PenaltyState,
    descend_both,
    penalty_estimate,
)


@dataclass(frozen=True)
class PenaltyBilevel(Settings):
    """Double-loop penalty method for bilevel problems.

    One outer iteration takes ``inner_steps`` steps on ``y`` and ``y'``,

        y  <- y  - alpha ∂_y g(x, y)
        y' <- y' - alpha (∂_y g(x, y') + sigma ∂_y f(x, y'))

    and then ``x <- x - eta [∂_x f(x, y') + (∂_x g(x, y') - ∂_x g(x, y)) / sigma]``. With a central
    difference (2509.02937; ``docs/theory.md`` section 3.6) ``y`` is that of ``-sigma``,

        y  <- y  - alpha (∂_y g(x, y) - sigma ∂_y f(x, y))

    and x moves along ``(∂_x f(x, y') + ∂_x f(x, y)) / 2 + (∂_x g(x, y') - ∂_x g(x, y)) / (2 sigma)``. Its
    bias is of order sigma² as long as ``g - sigma f`` has a minimiser.

    Parameters
    ----------
    sigma
        Penalty parameter, > 0.
    inner_steps
        Inner steps K of each outer iteration, on both lower variables.
    inner_step_size
        ``alpha`` > 0.
    step_size
        ``eta`` > 0.
    trajectories
        Lower-level samples n of every lower gradient and of the penalty difference.
    pairs
        Upper-level samples B of every upper gradient.
    coupling
        ``"independent"`` draws the lower-level samples at ``y`` and at ``y'`` separately;
        ``"shared"`` draws them at ``y`` and reweights them for ``y'``.
    difference
        ``"forward"`` between the penalised level and the lower one, or ``"central"`` between those of
        sigma and of -sigma, each with upper-level samples of its own.
    """

    name: ClassVar[str] = "penalty-bilevel"
    information: ClassVar[Information] = "samples"
    stackable: ClassVar[tuple[str, ...]] = (
        "sigma",
        "inner_step_size",
        "step_size",
        "trajectories",
        "pairs",
    )

    sigma: Positive
    inner_steps: PositiveInteger
    inner_step_size: Positive
    step_size: Positive
    trajectories: PositiveInteger
    pairs: PositiveInteger
    coupling: Coupling = "independent"
    difference: Difference = "forward"

    @property
    def penalty(self) -> float | None:
        """The penalty parameter sigma; None for a central difference, which follows no ``Phi_sigma``."""
        return self.sigma if self.difference == "forward" else None

    @property
    def inner_penalties(self) -> tuple[float, float]:
        """The penalty parameters of y and of y'."""
        return (0.0 if self.difference == "forward" else -self.sigma), self.sigma

    def surrogate_gradient(
        self, truth: BilevelTruth, state: PenaltyState
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi_sigma``, or the mean of it and of ``∇Phi_-sigma``."""
        at = partial(truth.surrogate_gradient, state.upper)
        return combined(at, self.sigma, self.difference)

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> PenaltyState:
        """Return the state before the first step, both lower variables at ``lower``."""
        return PenaltyState.start(upper, lower)

    def step(
        self, oracle: FirstOrderOracle, state: PenaltyState, path: InnerPath | None = None
    ) -> PenaltyState:
        """Return the state after one outer iteration; ``path`` takes (y, y') before every inner step."""
        upper = state.next_upper
        lower, penalised = descend_both(
            oracle, upper, state.lower, state.lower_penalised, self._loop, path
        )
        inner = replace(state, upper=upper, lower=lower, lower_penalised=penalised)
        estimate = self.hypergradient_estimate(oracle, inner)
        return replace(inner, estimate=estimate, next_upper=upper - self.step_size * estimate)

    def hypergradient_estimate(
        self, oracle: FirstOrderOracle, state: PenaltyState
    ) -> Float[Tensor, "replicate upper"]:
        """Return what x moves along, from fresh samples."""
        return penalty_estimate(oracle, state, self._loop)

    @property
    def _loop(self) -> PenaltyLoop:
        return PenaltyLoop(
            sigma=self.sigma,
            steps=self.inner_steps,
            step_size=self.inner_step_size,
            trajectories=self.trajectories,
            pairs=self.pairs,
            coupling=self.coupling,
            difference=self.difference,
        )


def _plan(
    coupling: Coupling, difference: Difference, epsilon: float, constants: Constants, scales: Scales
) -> Plan:
    # The squared bias, sigma² or sigma^4, is of the order of epsilon; noise is divided by the width.
    forward = difference == "forward"
    sigma = constants["sigma"] * scales.sigma * epsilon ** (1 / 2 if forward else 1 / 4)
    share = epsilon / constants["batch"]
    batch = (
        scales.penalty_batch(share, sigma if forward else 2 * sigma)
        if coupling == "independent"
        else scales.response_batch(share)
    )
    solver = PenaltyBilevel(
        sigma=sigma,
        inner_steps=whole(constants["inner_steps"] * math.log(1 / epsilon)),
        inner_step_size=constants["inner_step_size"] * scales.inner_step,
        step_size=constants["step_size"] * scales.outer_step,
        trajectories=batch,
        pairs=batch,
        coupling=coupling,
        difference=difference,
    )
    return Plan(whole(10 / epsilon), solver)


# A smaller step wants a smaller batch; a larger sigma lessens the noise that is divided by it, and needs
# smaller inner steps.
TRADE_OFFS = (("step_size", "batch"), ("sigma", "batch"), ("sigma", "inner_step_size"))

METHOD_INDEPENDENT = Method(
    id="penalty",
    title="penalty, independent",
    solver=PenaltyBilevel,
    constants={
        "step_size": (1.0, 0.3),
        "inner_steps": (1.0, 6.0),
        "inner_step_size": (1.0,),
        "sigma": (0.3, 1.0),
        "batch": (0.5, 4.0),
    },
    plan=partial(_plan, "independent", "forward"),
    rate=StatedRate(3.0, "samples", "2503.17644, headline", "V"),
    trade_offs=TRADE_OFFS,
)
METHOD_SHARED = Method(
    id="penalty-shared",
    title="penalty, shared batch",
    solver=PenaltyBilevel,
    constants={
        "step_size": (1.0, 0.3),
        "inner_steps": (1.0, 6.0),
        "inner_step_size": (1.0,),
        "sigma": (0.3, 1.0),
        "batch": (0.0625, 0.5),
    },
    plan=partial(_plan, "shared", "forward"),
    rate=StatedRate(2.0, "samples", "docs/theory.md, section 5.3", "D"),
    trade_offs=TRADE_OFFS,
    shared_batch_of="penalty",
)
METHOD_CENTRAL = replace(
    METHOD_INDEPENDENT,
    id="penalty-central",
    title="penalty, central",
    plan=partial(_plan, "independent", "central"),
    rate=StatedRate(
        2.5, "samples", "2509.02937, Theorem 3.1 at p = 2, strongly convex lower levels", "V"
    ),
)
METHOD_CENTRAL_SHARED = replace(
    METHOD_SHARED,
    id="penalty-central-shared",
    title="penalty, central, shared batch",
    plan=partial(_plan, "shared", "central"),
    rate=StatedRate(2.0, "samples", "docs/theory.md, section 5.3", "D"),
    shared_batch_of="penalty-central",
)
