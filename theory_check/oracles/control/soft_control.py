"""KL-regularised control in closed form: optimal policies, occupancies, gaps, sensitivities.

All of ``docs/theory.md`` section 2, in table space and float64, batched over replicates. The episodic
and the discounted version differ in three primitives and share the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.models.base import absent_actions, log_policy_of
from theory_check.problems import Problem
from theory_check.problems.dynamics import Dynamics

RARE = -30.0
"""Below this logarithm of ``pi / pi*`` an action adds ``pi*`` to a divergence, up to rounding."""


@dataclass(frozen=True, eq=False)
class SoftControl(ABC):
    """What control needs of a problem, on one device.

    Policy tables have the shape (replicate, h, s, a); h is 1 for a stationary policy.

    Attributes
    ----------
    dynamics
        ``P(s'|s, a)``, a table on the device or the rows of a sparse matrix.
    initial
        ``rho0``, shape (s,).
    log_reference
        ``log pi_ref``, shape (h, s, a), ``ABSENT`` for actions that do not exist.
    kl_weight, discount
        ``beta`` and ``gamma``.
    """

    dynamics: Dynamics
    initial: Float[Tensor, " s"]
    log_reference: Float[Tensor, "h s a"]
    kl_weight: float
    discount: float

    @classmethod
    def of(cls, problem: Problem, device: torch.device | str = "cpu") -> SoftControl:
        """Move a problem's dynamics to ``device``."""
        return cls(
            dynamics=problem.dynamics.to(device),
            initial=problem.initial.to(device),
            log_reference=problem.model_inputs.log_reference.to(device),
            kl_weight=problem.kl_weight,
            discount=problem.discount,
        )

    @property
    def rows_are_states(self) -> bool:
        """Whether a policy has one row for each state, whatever the step."""
        return True

    @property
    def onward(self) -> Dynamics:
        """What follows a row of the table: the dynamics, unless an episode is over there."""
        return self.dynamics

    @property
    def policy_shape(self) -> tuple[int, int, int]:
        """(H, S, A)."""
        horizon, states, actions = self.log_reference.shape
        return horizon, states, actions

    @cached_property
    def absent(self) -> Bool[Tensor, "h s a"] | None:
        """Which actions do not exist, None where all do."""
        return absent_actions(self.log_reference)

    @property
    def absent_anywhere(self) -> Bool[Tensor, "s a"] | None:
        """The same for a state, whatever the step."""
        return None if self.absent is None else self.absent[0]

    def existing(self, table: Float[Tensor, "*lead s a"]) -> Float[Tensor, "*lead s a"]:
        """Return a table with -inf for actions that do not exist."""
        absent = self.absent_anywhere
        return table if absent is None else table.masked_fill(absent, -torch.inf)

    def normalised(self, logits: Float[Tensor, "*lead h s a"]) -> Float[Tensor, "*lead h s a"]:
        """Return the log-policy of logits, over the actions that exist."""
        return log_policy_of(logits, self.absent)

    @property
    @abstractmethod
    def magnification(self) -> float:
        """How many roundings an optimal policy or its adjoint may add up to, at worst."""

    @abstractmethod
    def optimal_log_policy(
        self, reward: Float[Tensor, "replicate s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``log pi*`` (``docs/theory.md`` section 2.1)."""

    @abstractmethod
    def discounted_occupancy(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return what a reward at each table entry counts for in ``J``.

        ``gamma^h Pr(s_h = s, a_h = a)``; for a stationary policy its sum over all steps.
        """

    @abstractmethod
    def continued_visits(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate h s a"],
        *,
        balanced: bool = False,
    ) -> Float[Tensor, "replicate s a"]:
        """Return the gradient in ``r`` of ``sum(weights * Q^pi(r))`` at fixed policy.

        ``sum_{h,s,a} weights_h(s, a) E[sum_{k>=h} gamma^{k-h} 1[(s_k, a_k)] | s_h = s, a_h = a]``.
        ``balanced`` says that weights add up to 0 over the actions of every state, as those of a change
        of policy do: what rounding left of the sums is then not carried along.
        """

    def pull_back_through_optimum(
        self,
        optimal: Float[Tensor, "replicate h s a"],
        cotangent: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate s a"]:
        """Return the gradient in ``r`` of ``sum(cotangent * log pi*(r))`` (section 2.3)."""
        weights = self.response_weights(optimal, cotangent)
        return self.continued_visits(optimal, weights, balanced=True)

    def response_weights(
        self,
        optimal: Float[Tensor, "replicate h s a"],
        cotangent: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the weights of ``dQ_h``, ``c_h = (b_h - pi*_h sum_a b_h) / beta`` (section 2.3)."""
        total = cotangent.sum(-1, keepdim=True)
        return (cotangent - optimal.exp() * total) / self.kl_weight

    def reward_occupancy(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate s a"]:
        """Return ``dJ/dr``: how often, discounted, the policy takes every state and action."""
        return self.discounted_occupancy(log_policy).sum(1)

    def visit_difference(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        other: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate s a"]:
        """Return how much more often the first policy takes every state and action.

        :meth:`reward_occupancy` of the one less that of the other, by the performance difference of
        rewards: ``sum_h d'_h (pi_h - pi'_h) Q_h``, in which close policies do not cancel.
        """
        more = -log_policy.exp() * torch.expm1(other - log_policy)
        # Both may have underflowed where the other's share is the larger one by far.
        more = torch.where(other > log_policy, other.exp() * torch.expm1(log_policy - other), more)
        weights = self.discounted_occupancy(other).sum(-1, keepdim=True) * more
        return self.continued_visits(log_policy, weights, balanced=True)

    @abstractmethod
    def returns_to_go(
        self,
        step_reward: Float[Tensor, "replicate h s a"],
        log_policy: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the discounted return from every step on, of rewards that depend on the step."""

    @abstractmethod
    def gap_gradient(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        optimal: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient of :meth:`lower_gap` in ``log pi``, along policies.

        ``gamma^h Pr(s_h = s, a_h = a) (beta y_h + gamma P W_{h+1})(s, a)`` with ``y = log(pi / pi*)`` and
        W the divergence to come.
        """

    def lower_objective(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, " replicate"]:
        """Return ``J``: the KL-regularised return of a policy."""
        step_reward = reward[:, None] - self.kl_weight * (log_policy - self.log_reference)
        return (self.discounted_occupancy(log_policy) * step_reward).flatten(1).sum(-1)

    def lower_gap(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        optimal: Float[Tensor, "replicate h s a"],
        occupancy: Float[Tensor, "replicate h s a"] | None = None,
    ) -> Float[Tensor, " replicate"]:
        """Return ``J* - J`` as ``beta E_pi[sum_h gamma^h KL(pi_h || pi*_h)]``.

        ``occupancy`` is the discounted one of the policy, where it is known.

        Every term is non-negative and computed without cancellation, so that gaps far below the
        rounding error of ``J`` itself are still resolved (``docs/theory.md`` section 2).
        """
        if occupancy is None:
            occupancy = self.discounted_occupancy(log_policy)
        log_ratio = log_policy - optimal
        terms = occupancy * divergence_density(log_ratio.clamp_min(RARE))
        # pi exp(-x) is pi*, however far pi has underflowed.
        rare = occupancy * (log_ratio - 1) + occupancy.sum(-1, keepdim=True) * optimal.exp()
        terms = torch.where(log_ratio < RARE, rare, terms)
        return self.kl_weight * terms.flatten(1).sum(-1)


def divergence_density(log_ratio: Tensor) -> Tensor:
    """Return ``x + exp(-x) - 1 >= 0``, accurate to relative 1e-11 also near 0.

    ``KL(pi || pi*) = sum_a pi (x + exp(-x) - 1)`` with ``x = log(pi / pi*)``, because
    ``sum_a pi exp(-x) = 1``. Below 1e-3 the first four terms of the series leave a relative
    error under ``|x|^4 / 360``.
    """
    small = log_ratio.abs() < 1e-3
    series = log_ratio**2 * (0.5 - log_ratio / 6 + log_ratio**2 / 24 - log_ratio**3 / 120)
    return torch.where(small, series, log_ratio + torch.expm1(-log_ratio))


def reachable_states(
    dynamics: Dynamics,
    initial: Float[Tensor, " s"],
    absent: Bool[Tensor, "s a"] | None = None,
) -> Bool[Tensor, " s"]:
    """Return which states some policy reaches from the start law, by actions that exist."""
    following = dynamics.followers(absent)
    reached = initial > 0
    while True:
        further = reached | following(reached)
        if bool((further == reached).all()):
            return reached
        reached = further
