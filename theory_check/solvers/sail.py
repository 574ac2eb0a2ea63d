"""SAIL: the preference loss of the policy itself, with the law of its pairs.

Source: Ding, Chakraborty, Agrawal, Che, Koppel, Wang, Bedi and Huang (2406.15567). Where the reward is
the one that a policy is optimal for, the two levels are one: with ``R_pi`` as in online DPO,

    F(lambda) = E_{tau, tau' ~ pi_lambda}[ -log P_{R_pi}(label) ],

whose gradient is that of online DPO plus the score of both trajectories times the loss. Every step draws
B labelled pairs from the policy and moves it; there is no inner loop, and the estimate is unbiased for
``∇F``. For one-step problems and rewards that are free in every entry ``F(lambda) = Phi(R_pi)``, so that
``∇F`` is the hypergradient at ``R_pi`` through that map (``docs/theory.md`` section 7.10). The images
``R_pi`` have the value 0 in every first state: with several of them a stationary point of F need not be
one of Phi, and with later states the implicit return is not a return at all, as for online DPO.

Left out of the source: the mixtures with offline data and with a learned reward.

Stated rate: none in the source. Derived here: F is smooth, so that an unbiased gradient with batches of
O(1/epsilon) over O(1/epsilon) steps gives O(epsilon^-2) samples for ``‖∇F‖²``, which for one state of
one step bounds ``‖∇Phi‖²``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from theory_check.bilevel import ImplicitObjectiveOracle, ImplicitUpperOracle
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.states import PolicySettings, SingleLowerState, moved_policy


class SAILOracle(ImplicitObjectiveOracle, ImplicitUpperOracle, Protocol):
    """The gradient of the single objective, and the reward that a policy implies."""


@dataclass(frozen=True)
class SAIL(PolicySettings):
    """Gradient steps in the policy parameters; parameters are those of :class:`PolicySettings`."""

    name: ClassVar[str] = "sail"

    def step(self, oracle: SAILOracle, state: SingleLowerState) -> SingleLowerState:
        """Return the state after one step of the policy; the reward is the one it implies."""
        gradient = oracle.implicit_objective_gradient(state.lower, self.pairs)
        return moved_policy(oracle, state, state.lower - self.step_size * gradient)


def policy_step(scales: Scales) -> float:
    """Return the unit of steps in the policy: a move of the logits is one of the reward over beta."""
    return scales.outer_step / scales.kl_weight**2


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    solver = SAIL(
        step_size=constants["step_size"] * policy_step(scales),
        pairs=scales.response_batch(epsilon / constants["batch"]),
    )
    return Plan(whole(10 / epsilon), solver)


METHOD = Method(
    id="sail",
    title="SAIL",
    solver=SAIL,
    constants={"step_size": (1.0, 4.0, 16.0, 64.0), "batch": (0.125, 0.5, 2.0, 8.0)},
    plan=_plan,
    rate=StatedRate(2.0, "samples", "docs/theory.md section 7.10", "D"),
    learns_reward=False,
)
