"""Online DPO: preference learning in the policy alone, the practitioner's reference.

Source: Rafailov et al. 2305.18290 (the loss) and Guo et al. 2402.04792 (pairs from the current
policy). Every step draws B pairs from the policy, has them labelled, and takes one gradient step
on

    -log sigmoid( R_pi(winner) - R_pi(loser) ),
    R_pi(tau) = beta sum_h gamma^h log( pi_h(a_h|s_h) / pi_ref ),

without differentiating the law of the pairs. The implicit reward of a *trajectory* is exact for
one-step problems; with later states it leaves out the values of where random transitions lead,
and of where segments start (``docs/theory.md`` section 7.9). There is no reward model: what is
reported as one is read off the policy by inverse soft control, for the table only.

Stated rate: none for the gradient of the hyperobjective.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from theory_check.bilevel import ImplicitUpperOracle
from theory_check.solvers.method import Constants, Method, Plan, Scales, whole
from theory_check.solvers.states import PolicySettings, SingleLowerState, moved_policy


@dataclass(frozen=True)
class OnlineDPO(PolicySettings):
    """Gradient steps in the policy parameters; parameters are those of :class:`PolicySettings`."""

    name: ClassVar[str] = "online-dpo"

    def step(self, oracle: ImplicitUpperOracle, state: SingleLowerState) -> SingleLowerState:
        """Return the state after one step of the policy; the reward is the one it implies."""
        lower = state.lower - self.step_size * oracle.implicit_gradient(state.lower, self.pairs)
        return moved_policy(oracle, state, lower)


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    solver = OnlineDPO(
        step_size=constants["step_size"] * scales.inner_step / scales.kl_weight,
        pairs=scales.direct_batch(epsilon / constants["batch"]),
    )
    return Plan(whole(10 / epsilon), solver)


METHOD = Method(
    id="online-dpo",
    title="online DPO",
    solver=OnlineDPO,
    constants={"step_size": (0.25, 1.0, 4.0, 16.0), "batch": (0.125, 0.5, 2.0, 8.0)},
    plan=_plan,
    rate=None,
    ignores_response=True,
    learns_reward=False,
)
