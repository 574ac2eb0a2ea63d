"""Policies against the reference: their divergence, and rewards that depend on the step.

In table space and float64, batched over replicates (``docs/theory.md`` section 7.14).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.models.base import ABSENT
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.soft_control import SoftControl


def divergence(
    control: SoftControl, log_policy: Float[Tensor, "replicate h s a"]
) -> Float[Tensor, " replicate"]:
    """Return ``E_pi[sum_h gamma^h KL(pi_h || pi_ref)]``, nats.

    What J subtracts, over the KL weight; without a discount the divergence of the laws of trajectories.
    """
    reference = control.log_reference.expand_as(log_policy)
    return control.lower_gap(log_policy, reference) / control.kl_weight


def step_return(
    control: SoftControl,
    step_reward: Float[Tensor, "replicate h s a"],
    log_policy: Float[Tensor, "replicate h s a"],
) -> Float[Tensor, " replicate"]:
    """Return ``E_pi[sum_h gamma^h c_h(s_h, a_h)]`` of rewards that depend on the step."""
    return (control.discounted_occupancy(log_policy) * step_reward).flatten(1).sum(-1)


def implied_reward(
    control: SoftControl, log_policy: Float[Tensor, "replicate h s a"]
) -> Float[Tensor, "replicate h s a"]:
    """Return ``beta log(pi_h / pi_ref)``, 0 for actions that do not exist.

    The advantage of a reward whose optimal policy is the given one: returns of both differ by a number
    that no policy changes.
    """
    found = control.kl_weight * (log_policy - control.log_reference)
    return found if control.absent is None else found.masked_fill(control.absent, 0.0)


def optimal_for_steps(
    control: SoftControl, step_reward: Float[Tensor, "replicate h s a"]
) -> Float[Tensor, "replicate h s a"]:
    """Return ``log pi*`` of rewards that depend on the step: the soft Bellman recursion."""
    if isinstance(control, DiscountedControl):
        return control.optimal_log_policy(step_reward[:, 0])
    beta = control.kl_weight
    value = step_reward.new_zeros(step_reward.shape[0], step_reward.shape[2])
    policies = []
    for step in range(control.policy_shape[0] - 1, -1, -1):
        action_value = step_reward[:, step] + control.discount * control.dynamics.ahead(value)
        scaled = control.existing(control.log_reference[step] + action_value / beta)
        log_normaliser = torch.logsumexp(scaled, dim=-1)
        value = beta * log_normaliser
        policies.append(scaled - log_normaliser[..., None])
    found = torch.stack(policies[::-1], dim=1)
    return found if control.absent is None else found.masked_fill(control.absent, ABSENT)
