"""KL-regularised control over a finite horizon, by recursions over its steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.models.base import ABSENT
from theory_check.oracles.control.soft_control import SoftControl


@dataclass(frozen=True, eq=False)
class EpisodicControl(SoftControl):
    """Non-stationary policies over H steps; see :class:`SoftControl`."""

    @property
    def rows_are_states(self) -> bool:
        """False: a row belongs to a step as well."""
        return False

    @property
    def magnification(self) -> float:
        """Steps times states."""
        return float(self.policy_shape[0] * self.policy_shape[1])

    def optimal_log_policy(
        self, reward: Float[Tensor, "replicate s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``log pi*``: the soft Bellman recursion, backwards from the last step.

        ``Q_h = r + gamma P V_{h+1}``, ``V_h = beta log sum_a pi_ref exp(Q_h / beta)``,
        ``log pi*_h = log pi_ref + (Q_h - V_h) / beta``.
        """
        beta = self.kl_weight
        value = reward.new_zeros(reward.shape[0], reward.shape[1])
        policies = []
        for step in range(self.policy_shape[0] - 1, -1, -1):
            action_value = reward + self.discount * self.dynamics.ahead(value)
            scaled = self.existing(self.log_reference[step] + action_value / beta)
            log_normaliser = torch.logsumexp(scaled, dim=-1)
            value = beta * log_normaliser
            policies.append(scaled - log_normaliser[..., None])
        found = torch.stack(policies[::-1], dim=1)
        return found if self.absent is None else found.masked_fill(self.absent, ABSENT)

    def discounted_occupancy(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``gamma^h Pr(s_h = s, a_h = a)``."""
        exponents = torch.arange(
            self.policy_shape[0], dtype=log_policy.dtype, device=log_policy.device
        )
        discounts = torch.exp(exponents * math.log(self.discount))
        return discounts[:, None, None] * self.occupancy(log_policy)

    def occupancy(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``Pr(s_h = s, a_h = a)`` under a policy."""
        policy = log_policy.exp()
        state_law = self.initial.expand(policy.shape[0], -1)
        laws = []
        for step in range(self.policy_shape[0]):
            joint = state_law[..., None] * policy[:, step]
            laws.append(joint)
            state_law = self.dynamics.arriving(joint)
        return torch.stack(laws, dim=1)

    def continued_visits(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate h s a"],
        *,
        balanced: bool = False,
    ) -> Float[Tensor, "replicate s a"]:
        """Return weighted visits from each step on: the adjoint recursion.

        ``w_h = c_h + pi_h m_h``, ``m_0 = 0``, ``m_{h+1}(s') = gamma sum_{s,a} w_h(s, a) P(s'|s, a)``;
        the answer is ``sum_h w_h`` (``docs/theory.md`` section 2.3). The cost is that of one policy
        evaluation. Over H steps, sums that rounding left do not grow, balanced or not.
        """
        policy = log_policy.exp()
        carried = weights.new_zeros(weights.shape[0], weights.shape[2])
        visits = torch.zeros_like(weights[:, 0])
        for step in range(self.policy_shape[0]):
            arrived = weights[:, step] + policy[:, step] * carried[..., None]
            visits = visits + arrived
            carried = self.discount * self.dynamics.arriving(arrived)
        return visits

    def returns_to_go(
        self,
        step_reward: Float[Tensor, "replicate h s a"],
        log_policy: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``Q_h = c_h + gamma P sum_a pi_{h+1} Q_{h+1}``."""
        policy = log_policy.exp()
        value = policy.new_zeros(policy.shape[0], policy.shape[2])
        returns = []
        for step in range(self.policy_shape[0] - 1, -1, -1):
            ahead = self.dynamics.ahead(value)
            action_value = step_reward[:, step] + self.discount * ahead
            value = (policy[:, step] * action_value).sum(-1)
            returns.append(action_value)
        return torch.stack(returns[::-1], dim=1)

    def gap_gradient(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        optimal: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient of the gap, the divergence to come by a recursion backwards."""
        to_go = self.returns_to_go(self.kl_weight * (log_policy - optimal), log_policy)
        return self.discounted_occupancy(log_policy) * to_go
