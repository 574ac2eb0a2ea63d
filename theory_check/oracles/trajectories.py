"""All trajectories of an episodic problem that its dynamics allow.

A trajectory enters every quantity through three things: its dynamics probability, the table entries
it visits (a 0/1 row), and its discounted visits (``R_phi = visits . r_phi``). The policy's share of
its probability is ``exp(steps . log_policy)``. With these, expectations over trajectories are matrix
products (``docs/theory.md`` section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.errors import EnumerationBudgetError
from theory_check.problems import Problem

DEFAULT_ENUMERATION_BUDGET = 4096


@dataclass(frozen=True, eq=False)
class TrajectorySpace:
    """Trajectories with positive dynamics probability, and what they visit.

    Attributes
    ----------
    states, actions
        Visited states and actions, shape (trajectory, h).
    log_dynamics
        Logarithm of ``rho0(s_0) prod P(s_{h+1}|s_h, a_h)``, shape (trajectory,).
    step_index
        Position of (h, s_h, a_h) in a flattened policy table, shape (trajectory, h).
    table_size
        Entries of a policy table, h * s * a.
    classes
        Distinct values of the discounted visits ``sum_h gamma^h 1[(s_h, a_h) = (s, a)]``, shape
        (class, s * a). Trajectories of one class have the same return under every reward.
    class_of
        Index of each trajectory's class, shape (trajectory,).
    discounts
        ``gamma^h``, shape (h,).
    """

    states: Int[Tensor, "trajectory h"]
    actions: Int[Tensor, "trajectory h"]
    log_dynamics: Float[Tensor, " trajectory"]
    step_index: Int[Tensor, "trajectory h"]
    table_size: int
    classes: Float[Tensor, "class pair"]
    class_of: Int[Tensor, " trajectory"]
    discounts: Float[Tensor, " h"]

    @property
    def size(self) -> int:
        """Number of trajectories."""
        return self.states.shape[0]

    @property
    def horizon(self) -> int:
        """Number of steps of a trajectory."""
        return self.states.shape[1]

    @cached_property
    def steps(self) -> Float[Tensor, "trajectory step"]:
        """1 where the trajectory takes (h, s, a), shape (trajectory, h * s * a), dense."""
        dense = self.log_dynamics.new_zeros(self.size, self.table_size)
        return dense.scatter_(1, self.step_index, 1.0)

    @cached_property
    def visits(self) -> Float[Tensor, "trajectory pair"]:
        """Discounted visits of every trajectory, shape (trajectory, s * a), dense."""
        return self.classes[self.class_of]

    def sum_along(
        self, table: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return ``sum_h table[h, s_h, a_h]`` for every trajectory."""
        flat = table.flatten(1)
        if self._small:
            return flat @ self.steps.T
        return flat[:, self.step_index.reshape(-1)].reshape(-1, self.size, self.horizon).sum(-1)

    def probabilities(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return the law ``rho_lambda`` of trajectories under a policy."""
        return torch.exp(self.sum_along(log_policy) + self.log_dynamics)

    def returns(
        self, reward: Float[Tensor, "replicate s a"]
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return ``R_r(tau)`` for every trajectory."""
        if self._small:
            return reward.flatten(1) @ self.visits.T
        return self.class_returns(reward)[:, self.class_of]

    def class_returns(
        self, reward: Float[Tensor, "replicate s a"]
    ) -> Float[Tensor, "replicate class"]:
        """Return ``R_r`` of every class of trajectories."""
        return reward.reshape(reward.shape[0], -1) @ self.classes.T

    def sum_by_class(
        self, values: Float[Tensor, "replicate trajectory"]
    ) -> Float[Tensor, "replicate class"]:
        """Add values over the members of each class."""
        total = values.new_zeros(values.shape[0], self.classes.shape[0])
        return total.index_add_(1, self.class_of, values)

    def to_policy_table(
        self, weights: Float[Tensor, "replicate trajectory"], shape: tuple[int, int, int]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``sum_tau weight(tau) 1[tau takes (h, s, a)]``."""
        if self._small:
            return (weights @ self.steps).reshape(-1, *shape)
        spread = weights[:, :, None].expand(-1, -1, self.horizon).reshape(weights.shape[0], -1)
        table = weights.new_zeros(weights.shape[0], self.table_size)
        return table.index_add_(1, self.step_index.reshape(-1), spread).reshape(-1, *shape)

    def to_reward_table(
        self, weights: Float[Tensor, "replicate trajectory"], shape: tuple[int, int]
    ) -> Float[Tensor, "replicate s a"]:
        """Return ``sum_tau weight(tau) * discounted visits of tau``."""
        if self._small:
            return (weights @ self.visits).reshape(-1, *shape)
        return (self.sum_by_class(weights) @ self.classes).reshape(-1, *shape)

    def reward_to_go_score(
        self,
        step_reward: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate trajectory"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``sum_tau weight(tau) sum_h 1[(h, s_h, a_h)] sum_{k >= h} gamma^k r_k``.

        ``r_k`` is the entry of ``step_reward`` that the trajectory takes at step k.
        """
        flat = step_reward.flatten(1)
        if self._small:
            to_go = (flat @ self._to_go).reshape(-1, self.size, self.horizon)
            weighted = (weights[:, :, None] * to_go).flatten(1)
            return (weighted @ self._entries).reshape(step_reward.shape)
        index = self.step_index.reshape(-1)
        along = flat[:, index].reshape(-1, self.size, self.horizon) * self.discounts
        to_go = along + along.sum(-1, keepdim=True) - along.cumsum(-1)
        weighted = (weights[:, :, None] * to_go).flatten(1)
        return torch.zeros_like(flat).index_add_(1, index, weighted).reshape(step_reward.shape)

    @cached_property
    def _entries(self) -> Float[Tensor, "visit step"]:
        """1 at the table entry of every visit (trajectory, h), shape (trajectory * h, h * s * a)."""
        dense = self.log_dynamics.new_zeros(self.size * self.horizon, self.table_size)
        return dense.scatter_(1, self.step_index.reshape(-1, 1), 1.0)

    @cached_property
    def _to_go(self) -> Float[Tensor, "step visit"]:
        """Matrix that takes a table to ``sum_{k >= h} gamma^k table[k, s_k, a_k]`` of every visit."""
        entries = self._entries.reshape(self.size, self.horizon, -1) * self.discounts[:, None]
        later = entries.flip(1).cumsum(1).flip(1)
        return later.reshape(self.size * self.horizon, -1).T.contiguous()

    @property
    def _small(self) -> bool:
        """Whether products with dense matrices are the faster way: under 8 MiB each."""
        return self.size * self.horizon * self.table_size <= 2**20


def count_trajectories(problem: Problem) -> int:
    """Return the number of trajectories with positive dynamics probability.

    Counted by dynamic programming, so that the answer is cheap where enumeration would not be.
    """
    leads_to = (problem.transitions > 0).numpy()
    paths = [int(positive) for positive in (problem.initial > 0).tolist()]
    for _ in range(problem.horizon - 1):
        paths = [
            sum(
                paths[state]
                for state in range(problem.states)
                for action in range(problem.actions)
                if leads_to[state, action, target]
            )
            for target in range(problem.states)
        ]
    return sum(paths) * problem.actions


def enumerate_trajectories(
    problem: Problem,
    *,
    budget: int = DEFAULT_ENUMERATION_BUDGET,
    device: torch.device | str = "cpu",
) -> TrajectorySpace:
    """Enumerate the trajectories of ``problem``.

    Parameters
    ----------
    problem
        An episodic problem.
    budget
        Largest number of trajectories to enumerate.
    device
        Where the tables live.

    Raises
    ------
    EnumerationBudgetError
        If there are more than ``budget`` trajectories; nothing is sampled instead.
    """
    number = count_trajectories(problem)
    if number > budget:
        raise EnumerationBudgetError(
            "enumeration_budget",
            f"{budget}, but {problem.name} has {number} trajectories with positive probability",
            f"shorten the horizon, use fewer states, actions or successors, or raise "
            f"enumeration_budget to at least {number} (memory and time grow with its square)",
        )
    states, actions, log_dynamics = _expand(problem)
    trajectories, horizon = states.shape
    pairs = problem.states * problem.actions
    visited = states * problem.actions + actions
    discounts = problem.discount ** np.arange(horizon)
    rows = np.arange(trajectories)
    visits = np.zeros((trajectories, pairs))
    for step in range(horizon):
        visits[rows, visited[:, step]] += discounts[step]
    classes, class_of = np.unique(visits, axis=0, return_inverse=True)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    return TrajectorySpace(
        states=tensor(states),
        actions=tensor(actions),
        log_dynamics=tensor(log_dynamics),
        step_index=tensor(visited + pairs * np.arange(horizon)),
        table_size=horizon * pairs,
        classes=tensor(classes),
        class_of=tensor(class_of.reshape(-1)),
        discounts=tensor(discounts),
    )


def _expand(problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grow all trajectories step by step; returns states, actions (trajectory, h), log-dynamics."""
    kernel = problem.transitions.numpy()
    start = problem.initial.numpy()
    choices = np.arange(problem.actions)
    first = np.flatnonzero(start > 0)
    states = np.repeat(first, problem.actions)[:, None]
    actions = np.tile(choices, len(first))[:, None]
    log_dynamics = np.log(start[states[:, 0]])
    for _ in range(problem.horizon - 1):
        next_law = kernel[states[:, -1], actions[:, -1]]
        parent, successor = np.nonzero(next_law)
        log_dynamics = log_dynamics[parent] + np.log(next_law[parent, successor])
        parent = np.repeat(parent, problem.actions)
        log_dynamics = np.repeat(log_dynamics, problem.actions)
        new_states = np.repeat(successor, problem.actions)[:, None]
        new_actions = np.tile(choices, len(successor))[:, None]
        states = np.hstack([states[parent], new_states])
        actions = np.hstack([actions[parent], new_actions])
    return states, actions, log_dynamics
