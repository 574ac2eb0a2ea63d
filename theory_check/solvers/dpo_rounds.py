"""On-policy DPO in rounds: pairs of the current policy, the DPO loss on them, and the next round.

Source: 2601.08421, of which abstract and summaries were available. Every round draws B
labelled pairs from the policy and takes a number of gradient steps on the mean over *these* pairs of

    -log sigmoid( R_pi(winner) - R_pi(loser) ),

with ``R_pi`` as in online DPO and ``pi_ref`` the same in all rounds. Online DPO is one step of every
round. Left open there: the optimiser; exact minimisation is replaced by steps of one size.

Stated rate: for linear softmax policies of contextual bandits and B above a threshold of coverage the
error falls geometrically with the rounds, down to a floor of O(1/B); so that O(log(1/epsilon)) rounds of
O(1/epsilon) pairs suffice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

from theory_check.bilevel import (
    ImplicitDataOracle,
    ImplicitUpperOracle,
    PreferenceOracle,
)
from theory_check.settings import PositiveInteger
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.states import (
    PolicySettings,
    SingleLowerState,
    descend_implied,
    moved_policy,
)

STEPS = 32
"""Gradient steps of a round in comparisons. They draw nothing, so that a search over their number would
find that more are never worse, and take hours to do so."""


class DPORoundsOracle(PreferenceOracle, ImplicitDataOracle, ImplicitUpperOracle, Protocol):
    """Preferences that are kept for a round, and the reward that a policy implies."""


@dataclass(frozen=True)
class DPORounds(PolicySettings):
    """Rounds of gradient steps in the policy parameters, on pairs that the round drew.

    Parameters
    ----------
    step_size, pairs
        As of :class:`PolicySettings`, ``pairs`` those of a round.
    steps
        Gradient steps of a round.
    """

    name: ClassVar[str] = "dpo-rounds"

    steps: PositiveInteger

    def step(self, oracle: DPORoundsOracle, state: SingleLowerState) -> SingleLowerState:
        """Return the state after one round; the reward is the one that the policy implies."""
        data = oracle.preference_data(state.lower, self.pairs)
        lower = descend_implied(
            oracle, state.lower, data, steps=self.steps, step_size=self.step_size
        )
        return moved_policy(oracle, state, lower)


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    solver = DPORounds(
        step_size=constants["step_size"] * scales.inner_step / scales.kl_weight,
        steps=STEPS,
        pairs=scales.direct_batch(epsilon / constants["batch"]),
    )
    return Plan(whole(30 * math.log(2 / epsilon)), solver)


METHOD = Method(
    id="dpo-rounds",
    title="DPO in rounds",
    solver=DPORounds,
    constants={
        "step_size": (0.25, 1.0, 4.0, 16.0),
        "batch": (0.5, 2.0, 8.0, 32.0),
    },
    plan=_plan,
    rate=StatedRate(
        1.0, "samples", "2601.08421, abstract and summaries", "S", requires="realisable"
    ),
    ignores_response=True,
    learns_reward=False,
)
