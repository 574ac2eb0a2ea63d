"""Offline RLHF: one fixed set of preferences from the reference policy, then planning.

Maximum likelihood of the Bradley-Terry model on pairs that the reference policy drew once, by
gradient descent, while the policy is planned for the reward that is being learned: the three
stages of Ouyang et al. 2022 (2203.02155) without the first, and the estimator of Zhu, Jordan and
Jiao (2301.11270).

Stated rate: 2301.11270, lemma 3.1: the squared error of the parameters, in the norm of the data's
covariance, is O(d / B) for B pairs and a realisable reward. ``‖∇Phi‖²`` is then O(1/B), so that
O(epsilon^-1) pairs suffice; of misspecified rewards, and of the cross-entropy over policies, the
lemma says nothing. Left open by the source: the optimiser. Here it is gradient descent from the
same start as the other methods, with as many iterations as they have.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import InnerPath, LowerOracle, PreferenceOracle
from theory_check.solvers.method import Constants, Method, Plan, Scales, StatedRate, whole
from theory_check.solvers.states import InnerLoopSettings, SingleLowerState, descend_lower


@dataclass(frozen=True, eq=False)
class OfflineState(SingleLowerState):
    """State of :class:`OfflineRLHF`.

    Attributes
    ----------
    data
        The preferences, as the oracle holds them; None before they are drawn.
    """

    data: Float[Tensor, "replicate winner loser"] | None = None


class OfflineOracle(LowerOracle, PreferenceOracle, Protocol):
    """Policy gradients, and preferences that are kept."""


@dataclass(frozen=True)
class OfflineRLHF(InnerLoopSettings):
    """Reward learning on fixed data, with the policy following.

    Parameters are those of :class:`InnerLoopSettings`; ``pairs`` are the labelled pairs of the data set.
    """

    name: ClassVar[str] = "offline-rlhf"
    penalty: ClassVar[None] = None

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> OfflineState:
        """Return the state before the first step, which draws the data at ``lower``."""
        return OfflineState.start(upper, lower)

    def step(
        self, oracle: OfflineOracle, state: OfflineState, path: InnerPath | None = None
    ) -> OfflineState:
        """Return the state after one iteration; ``path`` takes y before every inner step."""
        upper, data = state.next_upper, state.data
        if data is None:
            data = oracle.preference_data(state.lower, self.pairs)
        lower = descend_lower(
            oracle,
            upper,
            state.lower,
            steps=self.inner_steps,
            step_size=self.inner_step_size,
            samples=self.trajectories,
            path=path,
        )
        inner = replace(state, upper=upper, lower=lower, data=data)
        estimate = self.hypergradient_estimate(oracle, inner)
        return replace(inner, estimate=estimate, next_upper=upper - self.step_size * estimate)

    def hypergradient_estimate(
        self, oracle: PreferenceOracle, state: OfflineState
    ) -> Float[Tensor, "replicate upper"]:
        """Return the gradient of the loss on the data."""
        assert state.data is not None, "the first step draws the data"
        return oracle.data_gradient(state.upper, state.data)


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    solver = OfflineRLHF(
        pairs=scales.direct_batch(epsilon / constants["pairs"]),
        step_size=constants["step_size"] * scales.outer_step,
        inner_steps=whole(constants["inner_steps"]),
        inner_step_size=constants["inner_step_size"] * scales.inner_step,
        trajectories=scales.direct_batch(1.0),
    )
    return Plan(whole(10 / epsilon), solver)


METHOD = Method(
    id="offline",
    title="offline RLHF",
    solver=OfflineRLHF,
    constants={
        "step_size": (0.5, 2.0),
        "inner_steps": (1.0, 8.0),
        "inner_step_size": (0.5, 2.0),
        "pairs": (4.0, 32.0),
    },
    plan=_plan,
    rate=StatedRate(1.0, "samples", "2301.11270, lemma 3.1", "S", requires="realisable"),
    ignores_response=True,
)
