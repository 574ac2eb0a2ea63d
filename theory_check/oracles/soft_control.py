"""KL-regularised control in closed form: optimal policies, occupancies, gaps, sensitivities.

All of ``docs/theory.md`` section 2, in table space and float64, batched over replicates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.problems import Problem


@dataclass(frozen=True, eq=False)
class Dynamics:
    """What control needs of a problem, on one device.

    Attributes
    ----------
    transitions
        ``P(s'|s, a)``, shape (s, a, s).
    initial
        ``rho0``, shape (s,).
    log_reference
        ``log pi_ref``, shape (h, s, a).
    kl_weight, discount
        ``beta`` and ``gamma``.
    """

    transitions: Float[Tensor, "s a s"]
    initial: Float[Tensor, " s"]
    log_reference: Float[Tensor, "h s a"]
    kl_weight: float
    discount: float

    @property
    def horizon(self) -> int:
        """Number of steps H."""
        return self.log_reference.shape[0]

    @property
    def policy_shape(self) -> tuple[int, int, int]:
        """(H, S, A)."""
        horizon, states, actions = self.log_reference.shape
        return horizon, states, actions

    @classmethod
    def of(cls, problem: Problem, device: torch.device | str = "cpu") -> Dynamics:
        """Move a problem's dynamics to ``device``."""
        return cls(
            transitions=problem.transitions.to(device),
            initial=problem.initial.to(device),
            log_reference=problem.reference_policy.log().to(device),
            kl_weight=problem.kl_weight,
            discount=problem.discount,
        )


def optimal_log_policy(
    dynamics: Dynamics, reward: Float[Tensor, "replicate s a"]
) -> Float[Tensor, "replicate h s a"]:
    """Return ``log pi*``: the soft Bellman recursion, backwards from the last step.

    ``Q_h = r + gamma P V_{h+1}``, ``V_h = beta log sum_a pi_ref exp(Q_h / beta)``,
    ``log pi*_h = log pi_ref + (Q_h - V_h) / beta``.
    """
    beta = dynamics.kl_weight
    value = reward.new_zeros(reward.shape[0], reward.shape[1])
    policies = []
    for step in range(dynamics.horizon - 1, -1, -1):
        action_value = reward + dynamics.discount * torch.einsum(
            "sat,rt->rsa", dynamics.transitions, value
        )
        scaled = dynamics.log_reference[step] + action_value / beta
        log_normaliser = torch.logsumexp(scaled, dim=-1)
        value = beta * log_normaliser
        policies.append(scaled - log_normaliser[..., None])
    return torch.stack(policies[::-1], dim=1)


def occupancy(
    dynamics: Dynamics, log_policy: Float[Tensor, "replicate h s a"]
) -> Float[Tensor, "replicate h s a"]:
    """Return ``Pr(s_h = s, a_h = a)`` under a policy, undiscounted."""
    policy = log_policy.exp()
    state_law = dynamics.initial.expand(policy.shape[0], -1)
    laws = []
    for step in range(dynamics.horizon):
        joint = state_law[..., None] * policy[:, step]
        laws.append(joint)
        state_law = torch.einsum("sat,rsa->rt", dynamics.transitions, joint)
    return torch.stack(laws, dim=1)


def discounted_reward_occupancy(
    dynamics: Dynamics, log_policy: Float[Tensor, "replicate h s a"]
) -> Float[Tensor, "replicate s a"]:
    """Return ``dJ/dr = sum_h gamma^h Pr(s_h = s, a_h = a)``."""
    discounts = _discounts(dynamics, log_policy)
    return torch.einsum("h,rhsa->rsa", discounts, occupancy(dynamics, log_policy))


def lower_objective(
    dynamics: Dynamics,
    reward: Float[Tensor, "replicate s a"],
    log_policy: Float[Tensor, "replicate h s a"],
) -> Float[Tensor, " replicate"]:
    """Return ``J``: the KL-regularised return of a policy."""
    discounts = _discounts(dynamics, log_policy)
    step_reward = reward[:, None] - dynamics.kl_weight * (log_policy - dynamics.log_reference)
    return torch.einsum("h,rhsa,rhsa->r", discounts, occupancy(dynamics, log_policy), step_reward)


def lower_gap(
    dynamics: Dynamics,
    log_policy: Float[Tensor, "replicate h s a"],
    optimal: Float[Tensor, "replicate h s a"],
) -> Float[Tensor, " replicate"]:
    """Return ``J* - J`` as ``beta E_pi[sum_h gamma^h KL(pi_h || pi*_h)]``.

    Every term is non-negative and computed without cancellation, so that gaps far below the
    rounding error of ``J`` itself are still resolved (``docs/theory.md`` section 2).
    """
    discounts = _discounts(dynamics, log_policy)
    log_ratio = log_policy - optimal
    terms = occupancy(dynamics, log_policy) * _divergence_density(log_ratio)
    return dynamics.kl_weight * torch.einsum("h,rhsa->r", discounts, terms)


def pull_back_through_optimum(
    dynamics: Dynamics,
    optimal: Float[Tensor, "replicate h s a"],
    cotangent: Float[Tensor, "replicate h s a"],
) -> Float[Tensor, "replicate s a"]:
    """Return the gradient in ``r`` of ``sum(cotangent * log pi*(r))``: the adjoint recursion.

    ``c_h = (b_h - pi*_h sum_a b_h) / beta``, ``w_h = c_h + pi*_h m_h``, ``m_0 = 0``,
    ``m_{h+1}(s') = gamma sum_{s,a} w_h(s, a) P(s'|s, a)``; the answer is ``sum_h w_h``
    (``docs/theory.md`` section 2). The cost is that of one policy evaluation.
    """
    policy = optimal.exp()
    total = cotangent.sum(-1, keepdim=True)
    centred = (cotangent - policy * total) / dynamics.kl_weight
    carried = cotangent.new_zeros(cotangent.shape[0], cotangent.shape[2])
    gradient = torch.zeros_like(cotangent[:, 0])
    for step in range(dynamics.horizon):
        weight = centred[:, step] + policy[:, step] * carried[..., None]
        gradient = gradient + weight
        carried = dynamics.discount * torch.einsum("sat,rsa->rt", dynamics.transitions, weight)
    return gradient


def _discounts(dynamics: Dynamics, like: Tensor) -> Float[Tensor, " h"]:
    exponents = torch.arange(dynamics.horizon, dtype=like.dtype, device=like.device)
    return torch.exp(exponents * math.log(dynamics.discount))


def _divergence_density(log_ratio: Tensor) -> Tensor:
    """Return ``x + exp(-x) - 1 >= 0``, accurate to relative 1e-11 also near 0.

    ``KL(pi || pi*) = sum_a pi (x + exp(-x) - 1)`` with ``x = log(pi / pi*)``, because
    ``sum_a pi exp(-x) = 1``. Below 1e-3 the first four terms of the series leave a relative
    error under ``|x|^4 / 360``.
    """
    small = log_ratio.abs() < 1e-3
    series = log_ratio**2 * (0.5 - log_ratio / 6 + log_ratio**2 / 24 - log_ratio**3 / 120)
    return torch.where(small, series, log_ratio + torch.expm1(-log_ratio))
