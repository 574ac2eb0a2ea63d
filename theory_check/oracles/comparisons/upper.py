"""The upper objective in table space, whatever its pairs are summed over.

``G(phi, lambda)`` is an expectation over pairs of what is compared. Three ways lead to it and to its
derivatives (``docs/theory.md`` section 2.9): over all pairs of enumerated trajectories
(:class:`PairSums`), over outcomes of one step by their characteristic function, and over steps by that of
the return.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from theory_check.oracles.comparisons.laws import Comparisons
from theory_check.oracles.comparisons.pairs import PairLoss
from theory_check.oracles.control.soft_control import SoftControl

Way = Literal["pairs", "outcomes", "steps"]
"""What is summed over: pairs of trajectories, outcomes of a single step, or steps."""


@dataclass(frozen=True, eq=False)
class UpperEvaluation:
    """The upper objective ``G(phi, lambda)`` and its partial derivatives in table space.

    Attributes
    ----------
    value
        ``G``, shape (replicate,).
    reward_gradient
        ``dG/dr(s, a)`` at fixed policy, shape (replicate, s, a).
    policy_gradient
        ``dG/dlog pi_h(a|s)`` along policies, shape (replicate, h, s, a): of all tables that give the
        derivative in every direction in which rows stay distributions, one without a large part in the
        others. Two of them differ by ``k_h(s) pi_h(a|s)``.
    """

    value: Float[Tensor, " replicate"]
    reward_gradient: Float[Tensor, "replicate s a"]
    policy_gradient: Float[Tensor, "replicate h s a"]


@dataclass(frozen=True, eq=False)
class UpperObjective(ABC):
    """``G`` and its derivatives.

    Attributes
    ----------
    way
        What is summed over.
    """

    way: ClassVar[Way]

    @abstractmethod
    def evaluate(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
    ) -> UpperEvaluation:
        """Return ``G`` and its partial derivatives for reward and policy tables."""

    @abstractmethod
    def largest_return(self, reward: Float[Tensor, "replicate s a"]) -> Float[Tensor, " replicate"]:
        """Return the largest size of a return of what is compared."""

    @abstractmethod
    def with_control(self, control: SoftControl) -> UpperObjective:
        """Return the same objective under another control of the same dynamics."""


@dataclass(frozen=True, eq=False)
class PairSums(UpperObjective):
    """Over all pairs of enumerated trajectories: relative accuracy also of small excess risks.

    Attributes
    ----------
    comparisons
        The trajectories and their law.
    loss
        The loss of their pairs.
    """

    way: ClassVar[Way] = "pairs"
    comparisons: Comparisons
    loss: PairLoss

    def evaluate(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
    ) -> UpperEvaluation:
        """Return ``G`` and its partial derivatives for reward and policy tables."""
        space, (states, actions) = self.comparisons.space, reward.shape[1:]
        law = self.comparisons.probabilities(log_policy)
        class_law = space.sum_by_class(law)
        moments = self.loss.moments(space.class_returns(reward), class_law)
        class_weight = 2 * class_law * moments.mean_residual
        loss_weight = 2 * law * moments.mean_loss[:, space.class_of]
        return UpperEvaluation(
            value=moments.value,
            reward_gradient=space.class_reward_table(class_weight, (states, actions)),
            policy_gradient=self.comparisons.policy_gradient(log_policy, loss_weight),
        )

    def largest_return(self, reward: Float[Tensor, "replicate s a"]) -> Float[Tensor, " replicate"]:
        """Return the largest size of a return of a trajectory."""
        return self.comparisons.space.class_returns(reward).abs().amax(-1)

    def with_control(self, control: SoftControl) -> UpperObjective:
        """Return the same objective under another control of the same dynamics."""
        return replace(self, comparisons=self.comparisons.with_control(control))
