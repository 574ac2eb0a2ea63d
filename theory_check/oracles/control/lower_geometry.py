"""Gradients of the KL-regularised lower level and their lower bounds, tabular softmax.

``docs/theory.md`` section 5.4, in table space and float64, batched over replicates. All quantities are
sums of products of accurate factors, so that they are resolved however close a policy is to the optimum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.layered_control import LayeredControl
from theory_check.oracles.control.soft_control import (
    SoftControl,
    divergence_density,
    reachable_states,
)
from theory_check.problems.dynamics import SparseDynamics

# Rounding error of computed advantages and visits, against the size of what they are computed from.
ROUNDING = 64 * 2.0**-52
# Relative error that rounding may leave in the ratio of gradient and bound.
RATIO_TOLERANCE = 1e-3
# A smaller constant says nothing, and would have the ratio overflow.
SMALLEST_CONSTANT = 1e-250


@dataclass(frozen=True, eq=False)
class LowerGeometry:
    """Gap, gradient and Lojasiewicz constants of the lower level at some policies.

    Attributes
    ----------
    gap
        ``J* - J``, reward units, shape (replicate,).
    gradient_norm
        ``‖∂_lambda J‖_2`` in the logits, shape (replicate,).
    constant
        ``sqrt(2 beta min w) min pi ‖w*/w‖_inf^{-1/2}``, shape (replicate,).
    paper_constant
        The same with ``min mu / N`` in place of ``min w``, as in 2005.06392, Lemma 15; N is the number
        of states that are decided in. Where ``mu`` does not charge all of them, as at later steps of an
        episode, ``min w / N``.
    resolved
        Whether rounding changes the ratios of gradient and bound by at most ``RATIO_TOLERANCE``, shape
        (replicate,): the gap is at least ``sum(w*) (ROUNDING size / RATIO_TOLERANCE)² / (2 beta)``, the
        smallest visit at least ``ROUNDING / RATIO_TOLERANCE`` of their sum, and the constant at least
        ``SMALLEST_CONSTANT``.
    """

    gap: Float[Tensor, " replicate"]
    gradient_norm: Float[Tensor, " replicate"]
    constant: Float[Tensor, " replicate"]
    paper_constant: Float[Tensor, " replicate"]
    resolved: Bool[Tensor, " replicate"]

    @property
    def ratio(self) -> Float[Tensor, " replicate"]:
        """``‖∂_lambda J‖ / (constant sqrt(gap))``, at least 1 by the inequality."""
        return self.gradient_norm / (self.constant * self.gap.sqrt())

    @property
    def paper_ratio(self) -> Float[Tensor, " replicate"]:
        """The same with the constant of the paper."""
        return self.gradient_norm / (self.paper_constant * self.gap.sqrt())


def lower_geometry(
    control: SoftControl,
    reward: Float[Tensor, "replicate s a"],
    log_policy: Float[Tensor, "replicate h s a"],
    optimal: Float[Tensor, "replicate h s a"],
) -> LowerGeometry:
    """Evaluate policies.

    Parameters
    ----------
    control
        The dynamics.
    reward
        The reward of each replicate.
    log_policy
        Normalised log-probabilities.
    optimal
        ``log pi*`` for the reward of each replicate.
    """
    beta = control.kl_weight
    decided = decided_states(control)
    visits = control.discounted_occupancy(log_policy).sum(-1)
    optimal_visits = control.discounted_occupancy(optimal).sum(-1)
    smallest_visit = _smallest(visits, decided)
    offered, at_optimum = log_policy, optimal
    if control.absent is not None:
        offered, at_optimum = (
            table.masked_fill(control.absent, 0.0) for table in (log_policy, optimal)
        )
        reward = reward.masked_fill(control.absent[0], 0.0)
    smallest_probability = _smallest(offered.amin(-1), decided).exp()
    mismatch = torch.where(decided, optimal_visits / visits, 0.0).flatten(1).amax(-1)
    spread = smallest_probability * mismatch.rsqrt()
    starts = torch.zeros_like(visits)
    starts[:, 0] = control.initial
    smallest_start = _smallest(starts, decided)
    charged = torch.where(smallest_start > 0, smallest_start, smallest_visit)
    total = optimal_visits.flatten(1).sum(-1)
    size = total * reward.abs().amax((1, 2))
    size = size + beta * (_largest(offered, decided) + _largest(at_optimum, decided))
    gap = control.lower_gap(log_policy, optimal)
    constant = (2 * beta * smallest_visit).sqrt() * spread
    accuracy = ROUNDING / RATIO_TOLERANCE
    resolved = gap >= total * (accuracy * size).square() / (2 * beta)
    resolved &= smallest_visit >= accuracy * visits.flatten(1).sum(-1)
    resolved &= constant >= SMALLEST_CONSTANT
    return LowerGeometry(
        gap=gap,
        gradient_norm=policy_gradient(control, log_policy, optimal).flatten(1).norm(dim=-1),
        constant=constant,
        paper_constant=(2 * beta * charged / int(decided.sum())).sqrt() * spread,
        resolved=resolved,
    )


def decided_states(control: SoftControl) -> Bool[Tensor, "h s"]:
    """Return which rows of a policy table are reached; the same for all positive policies."""
    if control.rows_are_states:
        absent = control.absent_anywhere
        return reachable_states(control.onward, control.initial, absent)[None]
    following = control.dynamics.followers(control.absent_anywhere)
    rows = [control.initial > 0]
    for _ in range(control.policy_shape[0] - 1):
        rows.append(following(rows[-1]))
    return torch.stack(rows)


def policy_gradient(
    control: SoftControl,
    log_policy: Float[Tensor, "replicate h s a"],
    optimal: Float[Tensor, "replicate h s a"],
) -> Float[Tensor, "replicate h s a"]:
    """Return ``∂_lambda J = w pi A`` in the logits.

    The advantage is written in differences to the optimum,
    ``A_h = -beta log(pi/pi*) + D_h - gamma P D_{h+1}`` with ``D = V* - V``, and that of the most probable
    action follows from ``sum_a pi A = 0``, which avoids the cancellation in its own.
    """
    advantage = soft_advantage(control, log_policy, optimal)
    policy = log_policy.exp()
    likeliest = log_policy.argmax(-1, keepdim=True)
    others = (policy * advantage).scatter(-1, likeliest, 0.0)
    weighted = others.scatter(-1, likeliest, -others.sum(-1, keepdim=True))
    return control.discounted_occupancy(log_policy).sum(-1, keepdim=True) * weighted


def soft_advantage(
    control: SoftControl,
    log_policy: Float[Tensor, "replicate h s a"],
    optimal: Float[Tensor, "replicate h s a"],
) -> Float[Tensor, "replicate h s a"]:
    """Return ``A_h(s, a) = Q_h - beta log(pi/pi_ref) - V_h`` of the regularised problem."""
    log_ratio = log_policy - optimal
    policy = log_policy.exp()
    divergence = control.kl_weight * (policy * divergence_density(log_ratio)).sum(-1)
    if isinstance(control, DiscountedControl):
        here = ahead = _divergence_to_come(control, log_policy, divergence)
    elif isinstance(control, LayeredControl):
        constant = divergence[..., None].expand_as(log_policy)  # of every action, whose mean it is
        here = ahead = (policy * control.returns_to_go(constant, log_policy)).sum(-1)
    else:
        gaps = [torch.zeros_like(divergence[:, 0])]
        mean_ahead = _means_ahead(control, policy)
        for step in range(control.policy_shape[0] - 1, -1, -1):
            later = mean_ahead(step, gaps[-1])
            gaps.append(divergence[:, step] + control.discount * later)
        here = torch.stack(gaps[:0:-1], dim=1)
        ahead = torch.stack(gaps[-2::-1], dim=1)
    following = control.onward.ahead_of_steps(ahead)
    return here[..., None] - control.discount * following - control.kl_weight * log_ratio


def _divergence_to_come(
    control: DiscountedControl, log_policy: Tensor, divergence: Float[Tensor, "replicate 1 s"]
) -> Float[Tensor, "replicate 1 s"]:
    if isinstance(control.dynamics, SparseDynamics):
        return control.resolvent(log_policy).solve(divergence[:, 0])[:, None]
    found: Tensor = torch.linalg.solve(control.system(log_policy)[:, None], divergence)
    return found


def _means_ahead(
    control: SoftControl, policy: Float[Tensor, "replicate h s a"]
) -> Callable[[int, Tensor], Tensor]:
    """Return what takes a step and values of the next one to their means under the policy."""
    dynamics = control.dynamics
    if isinstance(dynamics, SparseDynamics):
        return lambda step, values: (policy[:, step] * dynamics.ahead(values)).sum(-1)
    moves = torch.einsum("rhsa,sat->rhst", policy, dynamics.dense("the advantage"))
    return lambda step, values: torch.einsum("rst,rt->rs", moves[:, step], values)


def _smallest(values: Tensor, decided: Tensor) -> Float[Tensor, " replicate"]:
    return torch.where(decided, values, torch.inf).flatten(1).amin(-1)


def _largest(log_policy: Tensor, decided: Tensor) -> Float[Tensor, " replicate"]:
    return torch.where(decided[..., None], log_policy.abs(), 0.0).flatten(1).amax(-1)
