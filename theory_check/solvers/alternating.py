"""Alternating reward and policy learning: the hypergradient without the response of the policy.

What online RLHF does in practice (Christiano et al. 2017; Ouyang et al. 2203.02155), and in this
suite a negative control: its fixed points satisfy ``∂_phi G = 0``, not ``∇Phi = 0``
(``docs/theory.md`` section 6.3). Batches of order 1/epsilon, which make the variance of its own
gradient of order epsilon; no rate for the hyperobjective is stated by a source.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Information, ResponseOracle
from theory_check.errors import require_positive, require_positive_integer
from theory_check.solvers.method import Constants, Method, Plan, Scales, whole
from theory_check.solvers.policy_steps import descend_lower
from theory_check.solvers.states import SingleLowerState


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

    def hypergradient_estimate(
        self, oracle: ResponseOracle, state: SingleLowerState
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f(x, y)`` from fresh samples."""
        return oracle.upper_gradient(state.upper, state.lower, self.pairs)


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    batch = scales.direct_batch(epsilon / constants["batch"])
    solver = Alternating(
        inner_steps=whole(constants["inner_steps"] * math.log(1 / epsilon)),
        inner_step_size=constants["inner_step_size"] * scales.inner_step,
        step_size=constants["step_size"] * scales.outer_step,
        trajectories=batch,
        pairs=batch,
    )
    return Plan(whole(10 / epsilon), solver)


METHOD = Method(
    id="alternating",
    title="alternating RLHF",
    solver=Alternating,
    constants={
        "step_size": (0.5, 2.0),
        "inner_steps": (1.0, 6.0),
        "inner_step_size": (0.5, 2.0),
        "batch": (0.5, 4.0),
    },
    plan=_plan,
    rate=None,
    estimates="other",
)
