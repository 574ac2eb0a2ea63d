"""All trajectories, or segments, that the dynamics of a problem allow.

A trajectory enters every quantity through three things: its dynamics probability, the table entries
it visits, and its discounted visits (``R_phi = visits . r_phi``). The policy's share of its
probability is ``exp(steps . log_policy)``. With these, expectations over trajectories are matrix
products (``docs/theory.md`` section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.errors import EnumerationBudgetError, require_positive_integer
from theory_check.oracles.comparisons.possible import (
    count_trajectories,
    counted,
    starts_and_length,
    successors_of,
)
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
        Logarithm of ``rho0(s_0) prod P(s_{h+1}|s_h, a_h)``, shape (trajectory,); without the
        factor ``rho0(s_0)`` for segments, whose first state follows the policy's occupancy.
    step_index
        Position in a flattened policy table of the entry of step h, shape (trajectory, h): that of
        (h, s_h, a_h), or of (s_h, a_h) when a policy has one row for each state.
    table_size
        Entries of a policy table: h * s * a, or s * a when a policy has one row for each state.
    pairs
        Number of states times actions.
    class_steps
        Position of (s_h, a_h) among all pairs for one member of each class, shape (class, h). A
        class holds the trajectories with the same discounted visits
        ``sum_h gamma^h 1[(s_h, a_h) = (s, a)]``, hence the same return under every reward.
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
    pairs: int
    class_steps: Int[Tensor, "class h"]
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

    @property
    def number_of_classes(self) -> int:
        """Number of classes of trajectories with equal returns."""
        return self.class_steps.shape[0]

    @cached_property
    def entry_discounts(self) -> Float[Tensor, " step"]:
        """``gamma^h`` of the step at which a table entry is taken, 0 where none takes it."""
        found = self.log_dynamics.new_zeros(self.table_size)
        for step in range(self.horizon):
            found[self.step_index[:, step]] = self.discounts[step]
        return found

    @cached_property
    def classes(self) -> Float[Tensor, "class pair"]:
        """Discounted visits of every class, shape (class, s * a), dense."""
        dense = self.log_dynamics.new_zeros(self.number_of_classes, self.pairs)
        return dense.scatter_add_(
            1, self.class_steps, self.discounts.expand(self.class_steps.shape)
        )

    @cached_property
    def steps(self) -> Float[Tensor, "trajectory step"]:
        """How often a trajectory takes each table entry, shape (trajectory, table_size), dense."""
        dense = self.log_dynamics.new_zeros(self.size, self.table_size)
        return dense.scatter_add_(1, self.step_index, torch.ones_like(self.step_index).to(dense))

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
        """Return the probability of every trajectory, of a segment given its first state."""
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
        flat = reward.flatten(1)
        if self._small:
            return flat @ self.classes.T
        along = flat[:, self.class_steps.reshape(-1)].reshape(-1, *self.class_steps.shape)
        return along @ self.discounts

    def sum_by_class(
        self, values: Float[Tensor, "replicate trajectory"]
    ) -> Float[Tensor, "replicate class"]:
        """Add values over the members of each class."""
        total = values.new_zeros(values.shape[0], self.number_of_classes)
        return total.index_add_(1, self.class_of, values)

    def to_policy_table(
        self, weights: Float[Tensor, "replicate trajectory"], shape: tuple[int, int, int]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``sum_tau weight(tau) * (how often tau takes each table entry)``."""
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
        return self.class_reward_table(self.sum_by_class(weights), shape)

    def class_reward_table(
        self, weights: Float[Tensor, "replicate class"], shape: tuple[int, int]
    ) -> Float[Tensor, "replicate s a"]:
        """Return ``sum over classes of weight * discounted visits``."""
        if self._small:
            return (weights @ self.classes).reshape(-1, *shape)
        spread = (weights[:, :, None] * self.discounts).flatten(1)
        table = weights.new_zeros(weights.shape[0], self.pairs)
        return table.index_add_(1, self.class_steps.reshape(-1), spread).reshape(-1, *shape)

    def sum_by_first_state(
        self, values: Float[Tensor, "replicate trajectory"], states: int
    ) -> Float[Tensor, "replicate s"]:
        """Add values over the trajectories that start in each state."""
        total = values.new_zeros(values.shape[0], states)
        return total.index_add_(1, self.states[:, 0], values)

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


def enumerate_trajectories(
    problem: Problem,
    *,
    budget: int = DEFAULT_ENUMERATION_BUDGET,
    device: torch.device | str = "cpu",
) -> TrajectorySpace:
    """Enumerate the trajectories of an episodic problem.

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
    return _enumerate(problem, budget, device)


def enumerate_segments(
    problem: Problem,
    *,
    budget: int = DEFAULT_ENUMERATION_BUDGET,
    device: torch.device | str = "cpu",
) -> TrajectorySpace:
    """Enumerate the segments of ``segment_length`` steps of a discounted problem.

    Segments start in any state that some policy reaches, and all their steps point into the one
    table of a stationary policy.

    Parameters
    ----------
    problem
        A discounted problem.
    budget
        Largest number of segments to enumerate.
    device
        Where the tables live.

    Raises
    ------
    EnumerationBudgetError
        If there are more than ``budget`` segments; nothing is sampled instead.
    """
    return _enumerate(problem, budget, device)


def _enumerate(problem: Problem, budget: int, device: torch.device | str) -> TrajectorySpace:
    _refuse_beyond(problem, budget)
    starts, length = starts_and_length(problem)
    states, actions, log_dynamics = _expand(problem, starts, length)
    visited = states * problem.actions + actions
    pairs = problem.states * problem.actions
    index = visited
    if problem.horizon is not None:
        log_dynamics += np.log(problem.initial.numpy()[states[:, 0]])
    if problem.steps > 1:
        index = visited + pairs * np.arange(length)
    discounts = problem.discount ** np.arange(length)
    if problem.layers is None:
        members, class_of = _classes(visited, discounts)
    else:  # where a state tells its step, visits tell the trajectory
        members = class_of = np.arange(len(visited))

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    return TrajectorySpace(
        states=tensor(states),
        actions=tensor(actions),
        log_dynamics=tensor(log_dynamics),
        step_index=tensor(index),
        table_size=problem.steps * pairs,
        pairs=pairs,
        class_steps=tensor(visited[members]),
        class_of=tensor(class_of),
        discounts=tensor(discounts),
    )


def _refuse_beyond(problem: Problem, budget: int) -> None:
    require_positive_integer("enumeration_budget", budget)
    number = count_trajectories(problem)
    if number <= budget:
        return
    kind, shorten = (
        ("segments", "segments") if problem.horizon is None else ("trajectories", "the horizon")
    )
    raise EnumerationBudgetError(
        "enumeration_budget",
        f"{budget}, but {problem.name} has {counted(number)} {kind} with positive probability",
        f"shorten {shorten}, use fewer states, actions or successors, or raise "
        f"enumeration_budget to at least {counted(number)} (memory and time grow with its square)",
    )


def _expand(
    problem: Problem, starts: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grow all trajectories step by step.

    Returns states and actions (trajectory, h), and the log-probability of the transitions.
    """
    following = successors_of(problem)
    present = problem.present_actions.numpy()
    first, choice = np.nonzero(present[starts])
    states, actions = starts[first][:, None], choice[:, None]
    log_dynamics = np.zeros(len(states))
    for _ in range(length - 1):
        parent, successor, chance = following(states[:, -1], actions[:, -1])
        log_dynamics = log_dynamics[parent] + np.log(chance)
        branch, choice = np.nonzero(present[successor])
        parent, log_dynamics = parent[branch], log_dynamics[branch]
        states = np.hstack([states[parent], successor[branch][:, None]])
        actions = np.hstack([actions[parent], choice[:, None]])
    return states, actions, log_dynamics


def _classes(visited: np.ndarray, discounts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group trajectories with equal discounted visits.

    Returns one member of each class, shape (class,), and every trajectory's class. A trajectory's
    key is the pairs it visits in increasing order, each once, with their discounted visits.
    """
    same = visited[:, :, None] == visited[:, None, :]
    weight = (same * discounts).sum(-1)
    again = np.tril(same, k=-1).any(-1)
    pair = np.where(again, np.iinfo(visited.dtype).max, visited)
    order = pair.argsort(1)
    key = np.hstack(
        [
            np.take_along_axis(np.where(again, -1, visited), order, 1),
            np.take_along_axis(np.where(again, 0.0, weight), order, 1),
        ]
    )
    _, members, class_of = np.unique(key, axis=0, return_index=True, return_inverse=True)
    return members, class_of.reshape(-1)
