"""Greedy sampling: as two-stage sampling, with one member of every pair from the reference policy.

Source: Wu, Shi, Yang and Shen (2510.24700), of which abstract and summaries were available: the policy of
the empirical estimate is followed as it is, without optimism, and compared with the reference policy. The
source does so round by round; here there are the two stages of ``two_stage.py``, which differ from it in
who is compared alone.

Stated rate: O(1/epsilon) pairs offline, and regret O(log T), in contextual bandits under the
Bradley-Terry model, realisable; the exponent is meant and read as that of two-stage sampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import InnerPath, OpposedPreferenceOracle
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate
from theory_check.solvers.offline_rlhf import OfflineOracle, OfflineState
from theory_check.solvers.two_stage import CONSTANTS, StagedSettings, staged_plan


class GreedyOracle(OfflineOracle, OpposedPreferenceOracle, Protocol):
    """Policy gradients, and preferences between two policies that are kept."""


@dataclass(frozen=True)
class GreedySampling(StagedSettings):
    """One member of each pair from the reference policy; parameters of :class:`StagedSettings`."""

    name: ClassVar[str] = "greedy-sampling"

    def step(
        self, oracle: GreedyOracle, state: OfflineState, path: InnerPath | None = None
    ) -> OfflineState:
        """Return the state after one iteration; ``path`` takes y before every inner step."""
        # Data are drawn in the first step alone, which begins at the reference policy.
        reference = state.lower

        def drawn(
            lower: Float[Tensor, "replicate lower"], pairs: int
        ) -> Float[Tensor, "replicate winner loser"]:
            return oracle.preference_data_between(lower, reference, pairs)

        return self.followed(oracle, state, drawn, path)


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    return staged_plan(GreedySampling, epsilon, constants, scales)


METHOD = Method(
    id="greedy-sampling",
    title="greedy sampling",
    solver=GreedySampling,
    constants=CONSTANTS,
    plan=_plan,
    rate=StatedRate(
        1.0, "samples", "2510.24700, abstract", "V", requires="realisable", accuracy="value gap"
    ),
    ignores_response=True,
)
