"""Both levels of a discounted problem as plain functions of parameters, without a linear solve.

Sums over time are products ``(1 + M)(1 + M^2)(1 + M^4)..`` with ``M = gamma P_pi``, checked against
``stationary``, one step after the other, in the tests of the exact oracle. Values come from sweeps,
segments from a recursion. Stationary policies are log-probability tables (s, a), rewards are tables
(s, a). Everything is differentiable by torch, and nothing is shared with the package.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from helpers.naive import pair_loss, reward_table
from theory_check.problems import Problem


def discounted_visits(problem: Problem, log_policy: Tensor) -> Tensor:
    """Return ``sum_t gamma^t Pr(s_t = s)`` over the times before ``gamma^t < 1e-17``, shape (s,)."""
    steps = math.ceil(math.log(1e-17) / math.log(problem.discount))
    moves = (log_policy.exp()[:, :, None] * problem.transitions).sum(1)
    total, power = problem.initial, problem.discount * moves
    for _ in range(math.ceil(math.log2(steps))):
        total = total + total @ power
        power = power @ power
    return total


def lower_objective(problem: Problem, reward: Tensor, log_policy: Tensor) -> Tensor:
    """Return ``J`` (section 1.1)."""
    log_ratio = log_policy - problem.reference_policy[0].log()
    earned = (log_policy.exp() * (reward - problem.kl_weight * log_ratio)).sum(-1)
    return discounted_visits(problem, log_policy) @ earned


def segments(problem: Problem) -> dict[tuple[tuple[int, int], ...], float]:
    """Return every possible segment and the probability of its transitions, by recursion."""
    kernel = problem.transitions.tolist()
    found: dict[tuple[tuple[int, int], ...], float] = {}

    def extend(visited: tuple[tuple[int, int], ...], state: int, probability: float) -> None:
        for action in range(problem.actions):
            longer = (*visited, (state, action))
            if len(longer) == problem.segment_length:
                found[longer] = probability
                continue
            for successor, chance in enumerate(kernel[state][action]):
                if chance > 0:
                    extend(longer, successor, probability * chance)

    anywhere = torch.full((problem.states, problem.actions), -math.log(problem.actions)).double()
    for state, weight in enumerate(discounted_visits(problem, anywhere).tolist()):
        if weight > 0:
            extend((), state, 1.0)
    return found


def optimal_log_policy(problem: Problem, reward: Tensor) -> Tensor:
    """Return ``log pi*`` by sweeps of soft value iteration from zero (section 2.1)."""
    beta, reference = problem.kl_weight, problem.reference_policy[0].log()
    value = torch.zeros(problem.states, dtype=torch.float64)
    for _ in range(math.ceil(math.log(1e-17) / math.log(problem.discount))):
        scaled = reference + (reward + problem.discount * problem.transitions @ value) / beta
        value = beta * torch.logsumexp(scaled, -1)
    return scaled - torch.logsumexp(scaled, -1, keepdim=True)


class Tables:
    """Both levels of one problem as functions of reward parameters and logits."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        found = segments(problem)
        self.visited = list(found)
        self.index = torch.tensor([[s * problem.actions + a for s, a in v] for v in found])
        self.first = torch.tensor([v[0][0] for v in found])
        self.dynamics = torch.tensor(list(found.values()), dtype=torch.float64)
        self.discounts = torch.tensor(
            [problem.discount**h for h in range(problem.segment_length)], dtype=torch.float64
        )

    @cached_property
    def true_returns(self) -> Tensor:
        return self.returns(self.problem.true_reward)

    @property
    def rank(self) -> int:
        """Rank of the lower Hessian: all but one logit of every state that is reached."""
        return len({v[0][0] for v in self.visited}) * (self.problem.actions - 1)

    def log_policy(self, logits: Tensor) -> Tensor:
        table = logits.reshape(self.problem.states, self.problem.actions)
        return table - torch.logsumexp(table, dim=-1, keepdim=True)

    def law(self, log_policy: Tensor) -> Tensor:
        """Return ``rho``: occupancy, policy and transitions multiplied (section 1.2)."""
        table = log_policy.reshape(self.problem.states, self.problem.actions)
        occupancy = (1 - self.problem.discount) * discounted_visits(self.problem, table)
        return occupancy[self.first] * table.reshape(-1)[self.index].sum(-1).exp() * self.dynamics

    def returns(self, reward: Tensor) -> Tensor:
        return (self.discounts * reward.reshape(-1)[self.index]).sum(-1)

    def optimal(self, reward: Tensor) -> Tensor:
        return optimal_log_policy(self.problem, reward)

    def upper_of_tables(self, reward: Tensor, log_policy: Tensor) -> Tensor:
        """Return ``G`` of a reward table and a log-policy table whose entries are free."""
        value = self.returns(reward)
        loss = pair_loss(
            self.problem,
            value[:, None] - value[None, :],
            self.true_returns[:, None] - self.true_returns[None, :],
        )
        probability = self.law(log_policy)
        return probability @ loss @ probability

    def lower(self, phi: Tensor, logits: Tensor) -> Tensor:
        """Return ``J``."""
        return lower_objective(
            self.problem, reward_table(self.problem, phi), self.log_policy(logits)
        )

    def upper(self, phi: Tensor, logits: Tensor) -> Tensor:
        """Return ``G``."""
        return self.upper_of_tables(reward_table(self.problem, phi), self.log_policy(logits))

    def penalised(self, phi: Tensor, logits: Tensor, sigma: float) -> Tensor:
        """Return ``h_sigma = sigma G - J`` (section 3.1)."""
        return sigma * self.upper(phi, logits) - self.lower(phi, logits)
