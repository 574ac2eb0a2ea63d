"""Alternating reward and policy learning: the hypergradient without the response of the policy.

What online RLHF does in practice (Christiano et al. 2017; Ouyang et al. 2203.02155), and in this
suite a negative control: its fixed points satisfy ``∂_phi G = 0``, not ``∇Phi = 0``
(``docs/theory.md`` section 6.3). Batches of order 1/epsilon, which make the variance of its own
gradient of order epsilon; no rate for the hyperobjective is stated by a source.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import DirectOracle
from theory_check.solvers.method import Constants, Method, Plan, Scales, whole
from theory_check.solvers.states import SingleLowerDescent, SingleLowerState


@dataclass(frozen=True)
class Alternating(SingleLowerDescent):
    """Gradient steps on ``g(x, .)``, then one step along ``∂_x f`` alone.

    Parameters are those of :class:`SingleLowerDescent`.
    """

    name: ClassVar[str] = "alternating"

    def hypergradient_estimate(
        self, oracle: DirectOracle, state: SingleLowerState
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
    ignores_response=True,
)
