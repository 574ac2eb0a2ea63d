"""Two-stage sampling: preferences of the reference policy, then of the policy that they lead to.

Source: Zhao, Ye, Gu and Zhang (2411.04625). m pairs from the reference policy give a first
maximum-likelihood reward; n pairs from its Gibbs policy are added, and the likelihood of all ``m + n`` is
maximised. No bonus and no pessimism: with a KL term the policy explores by itself.

Stated rate: O(1/epsilon) pairs for ``J* - J`` at most epsilon once epsilon is small, in contextual
bandits with a realisable reward; the coverage of the reference policy enters the first stage alone
(abstract). ``J* - J`` and ``‖∇Phi‖²`` are both quadratic in the error of the reward near ``phi*``: the
exponent is the same here. Left open by the source: the optimiser; Gibbs policies are at hand there.
Here the reward takes gradient steps and the policy follows it by policy gradient, as for offline RLHF;
the first stage ends after a number of them, with whatever policy they have led to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import InnerPath, LowerOracle, PreferenceOracle
from theory_check.settings import PositiveInteger
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.offline_rlhf import OfflineOracle, OfflineState
from theory_check.solvers.states import InnerLoopSettings, descend_lower


@dataclass(frozen=True, eq=False)
class StagedState(OfflineState):
    """State of :class:`TwoStage`.

    Attributes
    ----------
    reference
        ``y`` of the reference policy, where the run started; None before the first step.
    iteration
        Iterations so far.
    """

    reference: Float[Tensor, "replicate lower"] | None = None
    iteration: int = 0


@dataclass(frozen=True)
class StagedSettings(InnerLoopSettings):
    """Settings of methods that learn from the reference policy, and then from their own.

    Parameters are those of :class:`InnerLoopSettings`, ``pairs`` those of the second stage.

    Parameters
    ----------
    first_pairs
        Labelled pairs m of the first stage.
    first_steps
        Iterations of the first stage.
    """

    penalty: ClassVar[None] = None

    first_pairs: PositiveInteger
    first_steps: PositiveInteger

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> StagedState:
        """Return the state before the first step, which draws the first pairs at ``lower``."""
        return StagedState.start(upper, lower)

    def hypergradient_estimate(
        self, oracle: PreferenceOracle, state: StagedState
    ) -> Float[Tensor, "replicate upper"]:
        """Return the gradient of the loss on the data."""
        assert state.data is not None, "the first step draws the data"
        return oracle.data_gradient(state.upper, state.data)

    def followed(
        self,
        oracle: LowerOracle,
        state: StagedState,
        drawn: Callable[[int], Float[Tensor, "replicate winner loser"]],
        path: InnerPath | None,
    ) -> StagedState:
        """Return the state with the data of its stage, the policy led on by all inner steps.

        ``drawn`` draws pairs of the stage; what it draws is joined to what there is.
        """
        reference = state.lower if state.reference is None else state.reference
        data = state.data
        if data is None:
            data = drawn(self.first_pairs)
        elif state.iteration == self.first_steps:
            share = self.pairs / (self.first_pairs + self.pairs)
            data = (1 - share) * data + share * drawn(self.pairs)
        lower = descend_lower(
            oracle,
            state.next_upper,
            state.lower,
            steps=self.inner_steps,
            step_size=self.inner_step_size,
            samples=self.trajectories,
            path=path,
        )
        return replace(
            state,
            upper=state.next_upper,
            lower=lower,
            data=data,
            reference=reference,
            iteration=state.iteration + 1,
        )

    def ascended(self, oracle: PreferenceOracle, state: StagedState) -> StagedState:
        """Return the state after a step of the reward that raises the likelihood of the data."""
        estimate = self.hypergradient_estimate(oracle, state)
        return replace(state, estimate=estimate, next_upper=state.upper - self.step_size * estimate)


@dataclass(frozen=True)
class TwoStage(StagedSettings):
    """Both members of the second pairs from the policy; parameters of :class:`StagedSettings`."""

    name: ClassVar[str] = "two-stage"

    def step(
        self, oracle: OfflineOracle, state: StagedState, path: InnerPath | None = None
    ) -> StagedState:
        """Return the state after one iteration; ``path`` takes y before every inner step."""

        def drawn(pairs: int) -> Float[Tensor, "replicate winner loser"]:
            return oracle.preference_data(state.lower, pairs)

        return self.ascended(oracle, self.followed(oracle, state, drawn, path))


def staged_plan(
    kind: type[StagedSettings], epsilon: float, constants: Constants, scales: Scales
) -> Plan:
    """Return the plan of a method in two stages, the first as long as steps contract geometrically."""
    pairs = scales.direct_batch(epsilon / constants["pairs"])
    solver = kind(
        pairs=pairs,
        first_pairs=whole(constants["first"] * pairs),
        first_steps=whole(10 * math.log(2 / epsilon)),
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

METHOD = Method(
    id="two-stage",
    title="two-stage RLHF",
    solver=TwoStage,
    constants=CONSTANTS,
    plan=_plan,
    rate=StatedRate(1.0, "samples", "2411.04625, abstract", "V", requires="realisable"),
    ignores_response=True,
)
