"""HPGD: hyper policy gradient descent.

Source: Thoma, Pasztor, Krause, Ramponi and Hu, NeurIPS 2024 (2406.01575). With a follower at its
soft optimum for a KL weight beta,

    ∇F = E[∂_x f] + (1/beta) E[ sum_t gamma^t A_f(s_t, a_t) (∂_x Q - ∂_x V)(s_t, a_t) ],

estimated without a model: ``∂_x Q`` from rollouts that start with (s, a), ``∂_x V`` from other,
independent rollouts that start in s, of geometric length where there is no horizon. Its text was
not available; the form above is that of ``docs/theory.md`` section 7.6, and the two independent
rollouts are as a summary describes them. The follower is an oracle there (value iteration and
soft Q-learning in the authors' code); here it takes policy gradient steps on samples, as for
every method that samples. Batches do not grow with the accuracy and the step is of order
1/sqrt(T).

Stated rate: O(1/sqrt(T)) for the average of ``E‖∇F‖²`` plus a term for the follower's error, hence
O(epsilon^-2) outer iterations; a rate in samples was not found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.states import ResponseDescent


@dataclass(frozen=True)
class HPGD(ResponseDescent):
    """Hyper policy gradient descent (HPGD).

    See the module; parameters are those of :class:`SingleLowerDescent`.
    """

    name: ClassVar[str] = "hpgd"
    separate_values: ClassVar[bool] = True


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    batch = scales.response_batch(1 / constants["batch"])
    solver = HPGD(
        inner_steps=whole(constants["inner_steps"]),
        inner_step_size=constants["inner_step_size"] * scales.inner_step,
        step_size=min(1.0, constants["step_size"] * epsilon) * scales.outer_step,
        trajectories=batch,
        pairs=batch,
    )
    return Plan(whole(10 / epsilon**2), solver)


METHOD = Method(
    id="hpgd",
    title="HPGD",
    solver=HPGD,
    constants={
        "step_size": (1.0, 4.0),
        "inner_steps": (1.0, 8.0),
        "inner_step_size": (0.3, 1.0),
        "batch": (0.25, 4.0),
    },
    plan=_plan,
    rate=StatedRate(2.0, "iterations", "2406.01575", "S"),
)
