"""SAIL-RevKL: SAIL with a divergence from the reference policy added to its objective.

Source: Wu, Liu, Aggarwal and Chen (2606.31524), of which the abstract and secondary sources were
available:

    F_c(lambda) = F(lambda) + c E_{pi_lambda}[ sum_h gamma^h log( pi_h / pi_ref ) ].

The added term is ``c / beta`` times the lower level without a reward, and its gradient is drawn from
rollouts as that is. The source proves a Polyak-Lojasiewicz inequality of ``F_c`` on bounded sets of
parameters; how its constant depends on the set is what the claim ``sail-pl`` reports. Left open there:
how c depends on the accuracy. Minimisers of ``F_c`` are none of F: ``∇F = -c ∇KL`` at them, so that c is
of order sqrt(epsilon) here.

Stated rate: near-linear in samples for ``F_c - min F_c`` at fixed c, on a bounded set (abstract), which
says nothing of ``‖∇Phi‖²``. The rate below is the one of SAIL, derived for a c that falls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch

from theory_check.bilevel import ImplicitObjectiveOracle, ImplicitUpperOracle, LowerOracle
from theory_check.settings import Positive, PositiveInteger
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.sail import policy_step
from theory_check.solvers.states import PolicySettings, SingleLowerState, moved_policy


class SAILRevKLOracle(ImplicitObjectiveOracle, ImplicitUpperOracle, LowerOracle, Protocol):
    """What SAIL asks for, and gradients of the lower level."""


@dataclass(frozen=True)
class SAILRevKL(PolicySettings):
    """Gradient steps in the policy parameters, pulled back to the reference policy.

    Parameters
    ----------
    step_size, pairs
        As of :class:`PolicySettings`.
    pull
        ``c / beta`` > 0: the weight of the lower level without a reward.
    trajectories
        Rollouts n of every gradient of that.
    """

    name: ClassVar[str] = "sail-revkl"

    pull: Positive
    trajectories: PositiveInteger

    def step(self, oracle: SAILRevKLOracle, state: SingleLowerState) -> SingleLowerState:
        """Return the state after one step of the policy; the reward is the one it implies."""
        gradient = oracle.implicit_objective_gradient(state.lower, self.pairs)
        without_reward = torch.zeros_like(state.upper)
        towards = oracle.lower_gradient(without_reward, state.lower, self.trajectories)
        moved = state.lower - self.step_size * (gradient + self.pull * towards)
        return moved_policy(oracle, state, moved)


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    batch = scales.response_batch(epsilon / constants["batch"])
    solver = SAILRevKL(
        step_size=constants["step_size"] * policy_step(scales),
        pairs=batch,
        pull=constants["pull"] * math.sqrt(epsilon),
        trajectories=batch,
    )
    return Plan(whole(10 / epsilon), solver)


METHOD = Method(
    id="sail-revkl",
    title="SAIL-RevKL",
    solver=SAILRevKL,
    constants={
        "step_size": (1.0, 4.0, 16.0, 64.0),
        "pull": (0.01, 0.1),
        "batch": (0.5, 4.0),
    },
    plan=_plan,
    rate=StatedRate(2.0, "samples", "docs/theory.md section 7.10", "D"),
    learns_reward=False,
)
