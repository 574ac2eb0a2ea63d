"""Unregularised control: optimal values, returns and optimality gaps (``docs/theory.md`` section 2.8).

In table space and float64, batched over replicates. A hard optimum is what the optimum of the
KL-regularised problem tends to as the KL weight goes to 0; the reference policy plays no part in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from theory_check.errors import CertificationError
from theory_check.models.base import log_probabilities
from theory_check.oracles.control import control_of
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.layered_control import LayeredControl
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.problems import Problem
from theory_check.problems.dynamics import SparseDynamics

MAXIMUM_ITERATIONS = 1000
# An action replaces another when it is better by more than this share of the largest value: less is
# rounding, and tied actions would be exchanged for ever.
IMPROVEMENT_TOLERANCE = 1e-13


@dataclass(frozen=True, eq=False)
class HardOptimum:
    """Optimal values of ``E_pi[sum_h gamma^h r(s_h, a_h)]``, without a KL term.

    Attributes
    ----------
    control
        The dynamics.
    action_values
        ``Q*``, shape (replicate, h, s, a), as a policy table. -inf for actions that do not exist.
    """

    control: SoftControl
    action_values: Float[Tensor, "replicate h s a"]

    @property
    def values(self) -> Float[Tensor, "replicate h s"]:
        """``V*_h(s)``, in units of discounted reward."""
        return self.action_values.amax(-1)

    @property
    def optimal_return(self) -> Float[Tensor, " replicate"]:
        """``J*``, the value under the start law."""
        return self.values[:, 0] @ self.control.initial

    @property
    def suboptimality(self) -> Float[Tensor, "replicate h s a"]:
        """``V* - Q*``, at least 0: what one deviation costs, 0 at optimal actions.

        Infinite for actions that do not exist.
        """
        return self.values[..., None] - self.action_values

    def gap(self, log_policy: Float[Tensor, "replicate h s a"]) -> Float[Tensor, " replicate"]:
        """Return ``J* - J(pi)`` as ``E_pi[sum_h gamma^h (V*_h - Q*_h)]``.

        The performance difference of ``pi`` and an optimal policy. Every term is non-negative, so that
        gaps far below the rounding error of ``J`` are still resolved, relative to the accuracy of
        ``V* - Q*``: where actions tie, that is rounding, about 1e-16 of the largest value.
        """
        cost = self.suboptimality
        if self.control.absent is not None:
            cost = cost.masked_fill(self.control.absent, 0.0)
        terms = self.control.discounted_occupancy(log_policy) * cost
        return terms.flatten(1).sum(-1)


def hard_optimum(control: SoftControl, reward: Float[Tensor, "replicate s a"]) -> HardOptimum:
    """Solve the unregularised problem: policy iteration, or backward induction with a horizon.

    Raises
    ------
    CertificationError
        If policy iteration still changes actions after ``MAXIMUM_ITERATIONS`` improvements.
    """
    reward = control.existing(reward)
    if isinstance(control, DiscountedControl):
        return HardOptimum(control, _policy_iteration(control, reward)[:, None])
    if isinstance(control, LayeredControl):
        return HardOptimum(control, _backward_by_layers(control, reward)[:, None])
    return HardOptimum(control, _backward_induction(control, reward))


def hard_gap(
    control: SoftControl,
    reward: Float[Tensor, "replicate s a"],
    log_policy: Float[Tensor, "replicate h s a"],
) -> Float[Tensor, " replicate"]:
    """Return ``J* - J(pi)``; where many policies share a reward, keep :func:`hard_optimum`."""
    return hard_optimum(control, reward).gap(log_policy)


def hard_return(
    control: SoftControl,
    reward: Float[Tensor, "replicate s a"],
    log_policy: Float[Tensor, "replicate h s a"],
) -> Float[Tensor, " replicate"]:
    """Return ``J(pi) = E_pi[sum_h gamma^h r(s_h, a_h)]``."""
    return (control.reward_occupancy(log_policy) * reward).flatten(1).sum(-1)


def optimal_values(problem: Problem) -> Float[Tensor, "h s"]:
    """Return ``V*_h(s)`` of a problem's true reward, for every row of a policy table."""
    return hard_optimum(control_of(problem), problem.true_reward[None]).values[0]


def optimal_return(problem: Problem) -> float:
    """Return ``J*`` of a problem's true reward, from its start law."""
    return float(hard_optimum(control_of(problem), problem.true_reward[None]).optimal_return)


def _policy_iteration(control: DiscountedControl, reward: Tensor) -> Float[Tensor, "replicate s a"]:
    """Return ``Q*`` by Howard's policy iteration: one S x S solve per improvement."""
    actions: Int[Tensor, "replicate s"] = reward.argmax(-1)
    for _ in range(MAXIMUM_ITERATIONS):
        action_values = _ahead(control, reward, _evaluate(control, reward, actions))
        chosen = action_values.gather(-1, actions[..., None])[..., 0]
        best, better = action_values.max(-1)
        largest = torch.where(action_values.isinf(), 0.0, action_values).abs().amax((-1, -2))
        tolerance = IMPROVEMENT_TOLERANCE * largest.clamp_min(1e-300)
        improved = best > chosen + tolerance[:, None]
        if not bool(improved.any()):
            return action_values
        actions = torch.where(improved, better, actions)
    raise CertificationError(
        f"policy iteration still changed actions after {MAXIMUM_ITERATIONS} improvements; use a "
        "smaller discount"
    )


def _evaluate(control: DiscountedControl, reward: Tensor, actions: Tensor) -> Tensor:
    """Return the value of deterministic stationary policies, shape (replicate, s)."""
    expected = reward.gather(-1, actions[..., None])[..., 0]
    if isinstance(control.dynamics, SparseDynamics):
        chosen = one_hot(actions, reward.shape[-1]).to(reward)
        return control.resolvent(log_probabilities(chosen)[:, None]).solve(expected)
    states = torch.arange(reward.shape[1], device=reward.device)
    moves = control.dynamics.dense("policy iteration")[states, actions]
    identity = torch.eye(len(states), dtype=reward.dtype, device=reward.device)
    found: Tensor = torch.linalg.solve(identity - control.discount * moves, expected)
    return found


def _backward_induction(control: SoftControl, reward: Tensor) -> Float[Tensor, "replicate h s a"]:
    action_values = [reward]
    for _ in range(control.policy_shape[0] - 1):
        action_values.append(_ahead(control, reward, action_values[-1].amax(-1)))
    return torch.stack(action_values[::-1], dim=1)


def _backward_by_layers(control: LayeredControl, reward: Tensor) -> Float[Tensor, "replicate s a"]:
    """Return ``Q*``, backwards from the last layer."""
    parts = [reward[:, control.states_of[-1]]]
    for step in range(len(control.layers) - 2, -1, -1):
        ahead = control.moves_from[step].mean(parts[-1].amax(-1))
        parts.append(reward[:, control.states_of[step]] + control.discount * ahead)
    return torch.cat(parts[::-1], dim=1)


def _ahead(control: SoftControl, reward: Tensor, value: Tensor) -> Tensor:
    """Return ``r + gamma P V``."""
    return reward + control.discount * control.dynamics.moves.mean(value)
