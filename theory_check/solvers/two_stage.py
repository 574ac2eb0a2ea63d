"""Two-stage sampling: preferences of the reference policy, then of the policy that they lead to.

Source: Zhao, Ye, Gu and Zhang (2411.04625). m pairs from the reference policy give a first
maximum-likelihood reward; n pairs from its Gibbs policy are added, and the likelihood of all ``m + n`` is
maximised. No bonus and no pessimism: with a KL term the policy explores by itself.

Stated rate: O(1/epsilon) pairs for ``J* - J`` at most epsilon once epsilon is small, in contextual
bandits with a realisable reward; the coverage of the reference policy enters the first stage alone
(abstract). Of ``‖∇Phi‖²`` nothing is stated, and the rate is judged by the value gap alone. Left open by
the source: the optimiser; Gibbs policies are at hand there. Here a reward takes gradient steps and the
policy follows it by policy gradient, as for offline RLHF. The first stage is the beginning of the first
iteration: its reward, which starts where the run does, is used to draw the second pairs and then
forgotten, so that what is reported has always paid for both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import InnerPath, PreferenceOracle
from theory_check.settings import PositiveInteger
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.offline_rlhf import OfflineOracle, OfflineState
from theory_check.solvers.states import InnerLoopSettings, descend_lower

Drawn = Callable[[Float[Tensor, "replicate lower"], int], Float[Tensor, "replicate winner loser"]]
"""Draws a number of labelled pairs at a policy."""


@dataclass(frozen=True)
class StagedSettings(InnerLoopSettings):
    """Settings of methods that learn from the reference policy, and then from their own.

    Parameters are those of :class:`InnerLoopSettings`, ``pairs`` those of the second stage.

    Parameters
    ----------
    first_pairs
        Labelled pairs m of the first stage.
    first_steps
        Steps of the reward in the first stage, of ``step_size`` each.
    """

    penalty: ClassVar[None] = None

    first_pairs: PositiveInteger
    first_steps: PositiveInteger

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> OfflineState:
        """Return the state before the first step, which draws all pairs, the first at ``lower``."""
        return OfflineState.start(upper, lower)

    def hypergradient_estimate(
        self, oracle: PreferenceOracle, state: OfflineState
    ) -> Float[Tensor, "replicate upper"]:
        """Return the gradient of the loss on the data."""
        assert state.data is not None, "the first step draws the data"
        return oracle.data_gradient(state.upper, state.data)

    def followed(
        self, oracle: OfflineOracle, state: OfflineState, drawn: Drawn, path: InnerPath | None
    ) -> OfflineState:
        """Return the state after one iteration; the first one draws the pairs of both stages."""
        upper, lower, data = state.next_upper, state.lower, state.data

        def led(reward: Float[Tensor, "replicate upper"], lower: Tensor) -> Tensor:
            return descend_lower(
                oracle,
                reward,
                lower,
                steps=self.inner_steps,
                step_size=self.inner_step_size,
                samples=self.trajectories,
                path=path,
            )

        if data is None:
            first, reward = drawn(lower, self.first_pairs), upper
            for _ in range(self.first_steps):
                lower = led(reward, lower)
                reward = reward - self.step_size * oracle.data_gradient(reward, first)
            share = self.pairs / (self.first_pairs + self.pairs)
            data = (1 - share) * first + share * drawn(lower, self.pairs)
        inner = replace(state, upper=upper, lower=led(upper, lower), data=data)
        estimate = self.hypergradient_estimate(oracle, inner)
        return replace(inner, estimate=estimate, next_upper=upper - self.step_size * estimate)


@dataclass(frozen=True)
class TwoStage(StagedSettings):
    """Both members of the second pairs from the policy; parameters of :class:`StagedSettings`."""

    name: ClassVar[str] = "two-stage"

    def step(
        self, oracle: OfflineOracle, state: OfflineState, path: InnerPath | None = None
    ) -> OfflineState:
        """Return the state after one iteration; ``path`` takes y before every inner step."""
        return self.followed(oracle, state, oracle.preference_data, path)


def staged_plan(
    kind: type[StagedSettings], epsilon: float, constants: Constants, scales: Scales
) -> Plan:
    """Return the plan of a method in two stages."""
    pairs = scales.direct_batch(epsilon / constants["pairs"])
    solver = kind(
        pairs=pairs,
        first_pairs=whole(constants["first"] * pairs),
        first_steps=FIRST_STEPS,
        step_size=constants["step_size"] * scales.outer_step,
        inner_steps=whole(constants["inner_steps"]),
        inner_step_size=scales.inner_step,
        trajectories=scales.direct_batch(1.0),
    )
    return Plan(whole(10 / epsilon), solver)


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    return staged_plan(TwoStage, epsilon, constants, scales)


CONSTANTS = {
    "step_size": (0.5, 2.0),
    "inner_steps": (1.0, 8.0),
    "first": (0.25, 1.0),
    "pairs": (4.0, 32.0),
}
"""The grid of a method in two stages; ``first`` is m over n."""

FIRST_STEPS = 30
"""Steps of the first stage: its reward is to be near, not exact."""

METHOD = Method(
    id="two-stage",
    title="two-stage RLHF",
    solver=TwoStage,
    constants=CONSTANTS,
    plan=_plan,
    rate=StatedRate(
        1.0, "samples", "2411.04625, abstract", "V", requires="realisable", accuracy="value gap"
    ),
    ignores_response=True,
)
