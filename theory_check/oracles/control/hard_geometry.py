"""Gradients of the unregularised return and what they say about the gap, tabular softmax.

``docs/theory.md`` section 5.13, in table space and float64, batched over replicates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from theory_check.models.base import log_probabilities
from theory_check.oracles.control.hard_control import HardOptimum
from theory_check.oracles.control.lower_geometry import decided_states

NEVER = 1e-12
"""Share of all visits below which a linear solve does not tell a visit from rounding."""


@dataclass(frozen=True, eq=False)
class HardGeometry:
    """Gap, gradient and domination constants of the return at some policies.

    Attributes
    ----------
    gap
        ``J* - J``, reward units, shape (replicate,).
    gradient_norm
        ``‖∂_lambda J‖_2`` in the logits, shape (replicate,).
    constant
        ``‖w* / (w pi(a*))‖_2`` over the rows that an optimal policy visits, shape (replicate,): the gap
        is at most this times the gradient.
    paper_constant
        ``sqrt(N) ‖w*/w‖_inf / min pi(a*)`` over the N rows that are decided in, shape (replicate,):
        2005.06392, Lemma 8, not smaller.
    """

    gap: Float[Tensor, " replicate"]
    gradient_norm: Float[Tensor, " replicate"]
    constant: Float[Tensor, " replicate"]
    paper_constant: Float[Tensor, " replicate"]


def hard_geometry(
    optimum: HardOptimum,
    reward: Float[Tensor, "replicate s a"],
    log_policy: Float[Tensor, "replicate h s a"],
) -> HardGeometry:
    """Evaluate policies of problems in which all actions exist.

    Parameters
    ----------
    optimum
        Of the same rewards.
    reward
        The reward of each replicate.
    log_policy
        Normalised log-probabilities.
    """
    control, policy = optimum.control, log_policy.exp()
    decided = decided_states(control)
    best = optimum.action_values.argmax(-1, keepdim=True)
    greedy = one_hot(best[..., 0], policy.shape[-1]).to(policy)
    visits = control.discounted_occupancy(log_policy).sum(-1)
    optimal_visits = control.discounted_occupancy(log_probabilities(greedy)).sum(-1)
    total = optimal_visits.flatten(1).sum(-1)[:, None, None]
    optimal_visits = torch.where(optimal_visits > NEVER * total, optimal_visits, 0.0)
    chosen = policy.gather(-1, best)[..., 0]
    mismatch = torch.where(decided, optimal_visits / visits, 0.0)
    action_values = control.returns_to_go(reward[:, None].expand_as(policy).clone(), log_policy)
    advantage = action_values - (policy * action_values).sum(-1, keepdim=True)
    gradient = visits[..., None] * policy * advantage
    least = torch.where(decided, chosen, torch.inf).flatten(1).amin(-1)
    return HardGeometry(
        gap=optimum.gap(log_policy),
        gradient_norm=gradient.flatten(1).norm(dim=-1),
        constant=(mismatch / chosen).flatten(1).norm(dim=-1),
        paper_constant=float(decided.sum()) ** 0.5 * mismatch.flatten(1).amax(-1) / least,
    )
