"""AHO: the hypergradient of entropy-regularised bilevel RL, with batches of order 1/epsilon.

Source: Saxena, Gaur and Aggarwal, 2607.28849. ``∂_x log pi*(a|s) = (W(s, a) - U(s)) / beta`` with
``U`` and ``W`` discounted sums of ``∂_x r`` under the soft-optimal policy from s and from (s, a),
so that the response is ``(1/beta) E[ A_f sum_h (W - U)(s_h, a_h) ]``. Its text was not available:
the formula is from summaries and agrees with ``docs/theory.md`` section 7.6, the schedule is
reconstructed. The inner loop is run close to the optimum, K = O(log(1/epsilon)); W - U is
estimated with one batch, and the upper advantage ``A_f`` enters through the centred weights of
section 2.3.

Stated rate: O(epsilon^-1) iterations and O~(epsilon^-2) samples (abstract).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.states import ResponseDescent


@dataclass(frozen=True)
class AHO(ResponseDescent):
    """Descend along the hypergradient of entropy-regularised bilevel RL (AHO).

    See the module; parameters are those of :class:`SingleLowerDescent`.
    """

    name: ClassVar[str] = "aho"


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    batch = scales.response_batch(epsilon / constants["batch"])
    solver = AHO(
        inner_steps=whole(constants["inner_steps"] * math.log(1 / epsilon)),
        inner_step_size=constants["inner_step_size"] * scales.inner_step,
        step_size=constants["step_size"] * scales.outer_step,
        trajectories=batch,
        pairs=batch,
    )
    return Plan(whole(10 / epsilon), solver)


METHOD = Method(
    id="aho",
    title="AHO",
    solver=AHO,
    constants={
        "step_size": (1.0, 0.3),
        "inner_steps": (1.0, 6.0),
        "inner_step_size": (0.5, 2.0),
        "batch": (0.0625, 0.5),
    },
    plan=_plan,
    rate=StatedRate(2.0, "samples", "2607.28849, abstract", "V"),
)
