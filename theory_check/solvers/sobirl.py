"""SoBiRL: the model-free hypergradient of soft bilevel RL.

Source: Yang, Gao and Yuan, 2405.19697. The hypergradient is fully first-order,

    ∇F = E_d[∂_x l(d; x)] + (1/beta) E_d[ l(d; x) sum_h ∂_x (Q* - V*)(s_h, a_h) ],

over the compared trajectories d. Its text was not available; this form is that of
``docs/theory.md`` section 7.6. The authors' code for Atari replaces ``Q* - V*`` by the first
reward of each less its mean under the policy and so leaves out what follows; here what follows is
sampled, so that the estimate is the hypergradient. Left open: the inner solver (soft actor-critic
in that code); here policy gradient steps.

Stated rate: both deterministic algorithms O(epsilon^-1) iterations (abstract); the stochastic
one, by a summary, O~(epsilon^-1.5) outer iterations and O~(epsilon^-3.5) samples, hence batches
of order epsilon^-2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.states import ResponseDescent


@dataclass(frozen=True)
class SoBiRL(ResponseDescent):
    """Descend along the model-free hypergradient of soft bilevel RL (SoBiRL).

    See the module; parameters are those of :class:`SingleLowerDescent`.
    """

    name: ClassVar[str] = "sobirl"


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    batch = scales.response_batch(epsilon**2 / constants["batch"])
    solver = SoBiRL(
        inner_steps=whole(constants["inner_steps"]),
        inner_step_size=constants["inner_step_size"] * scales.inner_step,
        step_size=constants["step_size"] * scales.outer_step,
        trajectories=batch,
        pairs=batch,
    )
    return Plan(whole(10 / epsilon**1.5), solver)


METHOD = Method(
    id="sobirl",
    title="SoBiRL",
    solver=SoBiRL,
    constants={
        "step_size": (1.0, 0.3),
        "inner_steps": (1.0, 8.0),
        "inner_step_size": (0.5, 2.0),
        "batch": (0.01, 0.1),
    },
    plan=_plan,
    rate=StatedRate(3.5, "samples", "2405.19697", "S"),
)
