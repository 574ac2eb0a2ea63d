"""KL-regularised control where every state belongs to one step: recursions over layers of states.

A table has one row for each state, and every recursion touches each state once: its cost is that of one
step over all states, whatever the horizon.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from jaxtyping import Float
from scipy import sparse
from torch import Tensor

from theory_check.models.base import ABSENT
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.problems import Problem
from theory_check.problems.dynamics import DenseDynamics, Dynamics, SparseDynamics
from theory_check.problems.layers import slices_of, step_of_states
from theory_check.problems.moves import DenseMoves, Moves, SparseMoves


@dataclass(frozen=True, eq=False)
class LayeredControl(SoftControl):
    """Policies with one row for each state of an episode; see :class:`SoftControl`.

    Attributes
    ----------
    layers
        Number of states of each step; states are in the order of their steps.
    """

    layers: tuple[int, ...]

    @classmethod
    def of(cls, problem: Problem, device: torch.device | str = "cpu") -> LayeredControl:
        """Move a problem's dynamics to ``device``."""
        assert problem.layers is not None  # what control_of asks
        return cls(
            dynamics=problem.dynamics.to(device),
            initial=problem.initial.to(device),
            log_reference=problem.model_inputs.log_reference.to(device),
            kl_weight=problem.kl_weight,
            discount=problem.discount,
            layers=problem.layers,
        )

    @property
    def magnification(self) -> float:
        """Number of states: every recursion passes each of them once."""
        return float(self.policy_shape[1])

    @cached_property
    def states_of(self) -> list[slice]:
        """States of every step."""
        return slices_of(self.layers)

    @cached_property
    def discounts(self) -> Float[Tensor, " s"]:
        """``gamma^h`` of the step of every state."""
        return self.discount ** step_of_states(self.layers).to(self.initial)

    @cached_property
    def onward(self) -> Dynamics:
        """The dynamics, without what they say of the last layer."""
        last = self.states_of[-1]
        if isinstance(self.dynamics, SparseDynamics):
            kept = self.dynamics.matrix.copy()
            kept.data[kept.indptr[last.start * self.dynamics.actions] :] = 0.0
            return SparseDynamics.of(kept, self.dynamics.actions)
        table = self.dynamics.dense("a kernel with few states").clone()
        table[last] = 0.0
        return DenseDynamics(table)

    @cached_property
    def moves_from(self) -> list[Moves]:
        """The kernel from every layer but the last to the states of the next one."""
        parts: list[Moves] = []
        for own, after in pairwise(self.states_of):
            if isinstance(self.dynamics, SparseDynamics):
                actions = self.dynamics.actions
                rows = self.dynamics.matrix[own.start * actions : own.stop * actions]
                block = sparse.csr_array(rows[:, after.start : after.stop])
                parts.append(SparseMoves(block, actions))
            else:
                table = self.dynamics.dense("a kernel with few states")
                parts.append(DenseMoves(table[own, :, after].contiguous()))
        return parts

    def optimal_log_policy(
        self, reward: Float[Tensor, "replicate s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``log pi*``: the soft Bellman recursion, backwards from the last layer."""
        beta = self.kl_weight
        offered = self.existing(self.log_reference[0] + reward / beta)
        parts: list[Tensor] = []
        value = reward.new_zeros(0)
        for step in range(len(self.layers) - 1, -1, -1):
            scaled = offered[:, self.states_of[step]]
            if parts:
                scaled = scaled + (self.discount / beta) * self.moves_from[step].mean(value)
            log_normaliser = torch.logsumexp(scaled, dim=-1)
            value = beta * log_normaliser
            parts.append(scaled - log_normaliser[..., None])
        found = torch.cat(parts[::-1], dim=1)[:, None]
        return found if self.absent is None else found.masked_fill(self.absent, ABSENT)

    def discounted_occupancy(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``gamma^h Pr(s_h = s, a_h = a)``, h the step of s."""
        return self.discounts[:, None] * self.occupancy(log_policy)

    def occupancy(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``Pr(s_h = s, a_h = a)`` under a policy, h the step of s."""
        policy = log_policy[:, 0].exp()
        law = self.initial[self.states_of[0]].expand(policy.shape[0], -1)
        parts: list[Tensor] = []
        for step, own in enumerate(self.states_of):
            if step:
                law = self.moves_from[step - 1].pushed(parts[-1])
            parts.append(law[..., None] * policy[:, own])
        return torch.cat(parts, dim=1)[:, None]

    def continued_visits(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate h s a"],
        *,
        balanced: bool = False,
    ) -> Float[Tensor, "replicate s a"]:
        """Return weighted visits from each state on: the adjoint recursion, layer by layer.

        ``w = c + pi m`` with ``m(s') = gamma sum_{s,a} w(s, a) P(s'|s, a)``, 0 in the first layer.
        """
        policy = log_policy[:, 0].exp()
        parts: list[Tensor] = []
        for step, own in enumerate(self.states_of):
            arrived = weights[:, 0, own]
            if step:
                carried = self.discount * self.moves_from[step - 1].pushed(parts[-1])
                arrived = arrived + policy[:, own] * carried[..., None]
            parts.append(arrived)
        return torch.cat(parts, dim=1)

    def returns_to_go(
        self,
        step_reward: Float[Tensor, "replicate h s a"],
        log_policy: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``Q = c + gamma P sum_a pi Q``, backwards from the last layer."""
        policy = log_policy[:, 0].exp()
        parts: list[Tensor] = []
        for step in range(len(self.layers) - 1, -1, -1):
            own = self.states_of[step]
            action_value = step_reward[:, 0, own]
            if parts:
                value = (policy[:, self.states_of[step + 1]] * parts[-1]).sum(-1)
                action_value = action_value + self.discount * self.moves_from[step].mean(value)
            parts.append(action_value)
        return torch.cat(parts[::-1], dim=1)[:, None]

    def gap_gradient(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        optimal: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient of the gap, the divergence to come by a recursion backwards."""
        to_go = self.returns_to_go(self.kl_weight * (log_policy - optimal), log_policy)
        return self.discounted_occupancy(log_policy) * to_go
