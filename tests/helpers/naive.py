"""Plain reference computations, each written straight from docs/theory.md sections 1 and 2.

Trajectories come from a recursion over Python lists and carry their dynamics probability. Policies
are log-probability tables (h, s, a), rewards are tables (s, a). Everything is differentiable by
torch, and nothing is shared with the package.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from theory_check.problems import Problem


@dataclass(frozen=True)
class Path:
    """One trajectory: its (state, action) pairs and ``rho0(s_0) prod P(s_{h+1}|s_h, a_h)``."""

    visited: tuple[tuple[int, int], ...]
    dynamics: float


def paths(problem: Problem) -> list[Path]:
    """Return all trajectories with positive dynamics probability, by recursion."""
    kernel, start = problem.transitions.tolist(), problem.initial.tolist()
    found: list[Path] = []

    def extend(visited: tuple[tuple[int, int], ...], state: int, probability: float) -> None:
        if probability == 0.0:
            return
        for action in range(problem.actions):
            longer = (*visited, (state, action))
            if len(longer) == problem.horizon:
                found.append(Path(longer, probability))
            else:
                for successor in range(problem.states):
                    extend(longer, successor, probability * kernel[state][action][successor])

    for state in range(problem.states):
        extend((), state, start[state])
    return found


def law(problem: Problem, log_policy: Tensor) -> Tensor:
    """Return ``rho_lambda`` of every path (section 1.2)."""
    return torch.stack(
        [
            path.dynamics
            * torch.stack([log_policy[h, s, a] for h, (s, a) in enumerate(path.visited)])
            .sum()
            .exp()
            for path in paths(problem)
        ]
    )


def returns(problem: Problem, reward: Tensor) -> Tensor:
    """Return ``R(tau) = sum_h gamma^h r(s_h, a_h)`` of every path."""
    return torch.stack(
        [
            sum(
                (problem.discount**h * reward[s, a] for h, (s, a) in enumerate(path.visited)),
                start=torch.zeros((), dtype=torch.float64),
            )
            for path in paths(problem)
        ]
    )


def lower_objective(problem: Problem, reward: Tensor, log_policy: Tensor) -> Tensor:
    """Return ``J``: the expectation over paths of the regularised return (section 1.1)."""
    log_ratio = log_policy - problem.reference_policy.log()
    regularised = []
    for path in paths(problem):
        terms = [
            problem.discount**h * (reward[s, a] - problem.kl_weight * log_ratio[h, s, a])
            for h, (s, a) in enumerate(path.visited)
        ]
        regularised.append(torch.stack(terms).sum())
    return law(problem, log_policy) @ torch.stack(regularised)


def pair_loss(problem: Problem, difference: Tensor, true_difference: Tensor) -> Tensor:
    """Return the expected loss over labels, from the two labels' probabilities (section 1.3)."""
    true_first = 1 / (1 + torch.exp(-true_difference))
    log_first = -torch.log1p(torch.exp(-difference))
    log_second = -torch.log1p(torch.exp(difference))
    loss = -true_first * log_first - (1 - true_first) * log_second
    if problem.objective == "excess_risk":
        loss = loss + true_first * torch.log(true_first)
        loss = loss + (1 - true_first) * torch.log(1 - true_first)
    return loss


def upper_objective(problem: Problem, reward: Tensor, log_policy: Tensor) -> Tensor:
    """Return ``G``: the sum over all ordered pairs of paths (section 1.2)."""
    value, true_value = returns(problem, reward), returns(problem, problem.true_reward)
    probability = law(problem, log_policy)
    loss = pair_loss(
        problem, value[:, None] - value[None, :], true_value[:, None] - true_value[None, :]
    )
    return probability @ loss @ probability


def upper_objective_by_loops(problem: Problem, reward: Tensor, log_policy: Tensor) -> float:
    """Return ``G`` by two Python loops over pairs and one over labels, in floats."""
    value = returns(problem, reward).tolist()
    true_value = returns(problem, problem.true_reward).tolist()
    probability = law(problem, log_policy).tolist()
    total = 0.0
    for i, weight_i in enumerate(probability):
        for j, weight_j in enumerate(probability):
            for sign in (1, -1):
                preferred = 1 / (1 + math.exp(-sign * (value[i] - value[j])))
                true_preferred = 1 / (1 + math.exp(-sign * (true_value[i] - true_value[j])))
                loss = -math.log(preferred)
                if problem.objective == "excess_risk":
                    loss += math.log(true_preferred)
                total += weight_i * weight_j * true_preferred * loss
    return total


def optimal_log_policy(problem: Problem, reward: Tensor) -> Tensor:
    """Return ``log pi*`` by soft value iteration, entry by entry (section 2.1)."""
    beta, gamma = problem.kl_weight, problem.discount
    reference, kernel = problem.reference_policy, problem.transitions
    value = torch.zeros(problem.states, dtype=torch.float64)
    steps = []
    for h in reversed(range(problem.horizon)):
        rows, values = [], []
        for s in range(problem.states):
            action_values = [
                reward[s, a] + gamma * (kernel[s, a] * value).sum() for a in range(problem.actions)
            ]
            normaliser = sum(
                reference[h, s, a] * torch.exp(q / beta) for a, q in enumerate(action_values)
            )
            state_value = beta * torch.log(torch.as_tensor(normaliser))
            rows.append(
                torch.stack(
                    [
                        torch.log(reference[h, s, a]) + (q - state_value) / beta
                        for a, q in enumerate(action_values)
                    ]
                )
            )
            values.append(state_value)
        value = torch.stack(values)
        steps.append(torch.stack(rows))
    return torch.stack(steps[::-1])


def reward_table(problem: Problem, phi: Tensor) -> Tensor:
    """Return ``phi . x(s, a)``."""
    return (problem.features * phi).sum(-1)


def hyperobjective(problem: Problem, phi: Tensor) -> Tensor:
    """Return ``Phi(phi) = G(phi, lambda*(phi))``, differentiable through value iteration."""
    reward = reward_table(problem, phi)
    return upper_objective(problem, reward, optimal_log_policy(problem, reward))


class Tables:
    """Paths of one problem as index arrays: the same sums, fast enough for Hessians.

    Checked against the loops above in the tests of the exact oracle. ``rank`` is that of the lower
    Hessian: all but one logit of every step and state that is reached.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        found = paths(problem)
        reached = {(h, s) for path in found for h, (s, _) in enumerate(path.visited)}
        self.rank = len(reached) * (problem.actions - 1)
        pairs = problem.states * problem.actions
        flat = torch.tensor([[s * problem.actions + a for s, a in p.visited] for p in found])
        self.reward_index = flat
        self.policy_index = flat + pairs * torch.arange(problem.horizon)
        self.dynamics = torch.tensor([p.dynamics for p in found], dtype=torch.float64)
        self.discounts = torch.tensor(
            [problem.discount**h for h in range(problem.horizon)], dtype=torch.float64
        )
        self.true_returns = self.returns(problem.true_reward)

    def optimal(self, reward: Tensor) -> Tensor:
        return optimal_log_policy(self.problem, reward)

    def log_policy(self, logits: Tensor) -> Tensor:
        shape = (self.problem.horizon, self.problem.states, self.problem.actions)
        table = logits.reshape(shape)
        return table - torch.logsumexp(table, dim=-1, keepdim=True)

    def law(self, log_policy: Tensor) -> Tensor:
        return self.dynamics * log_policy.reshape(-1)[self.policy_index].sum(-1).exp()

    def returns(self, reward: Tensor) -> Tensor:
        return (self.discounts * reward.reshape(-1)[self.reward_index]).sum(-1)

    def lower(self, phi: Tensor, logits: Tensor) -> Tensor:
        """Return ``J``."""
        log_policy = self.log_policy(logits)
        log_ratio = log_policy - self.problem.reference_policy.log()
        penalty = (self.discounts * log_ratio.reshape(-1)[self.policy_index]).sum(-1)
        value = self.returns(reward_table(self.problem, phi)) - self.problem.kl_weight * penalty
        return self.law(log_policy) @ value

    def upper(self, phi: Tensor, logits: Tensor) -> Tensor:
        """Return ``G``."""
        value = self.returns(reward_table(self.problem, phi))
        loss = pair_loss(
            self.problem,
            value[:, None] - value[None, :],
            self.true_returns[:, None] - self.true_returns[None, :],
        )
        probability = self.law(self.log_policy(logits))
        return probability @ loss @ probability

    def penalised(self, phi: Tensor, logits: Tensor, sigma: float) -> Tensor:
        """Return ``h_sigma = sigma G - J`` (section 3.1)."""
        return sigma * self.upper(phi, logits) - self.lower(phi, logits)


def along_policies(table: Tensor, log_policy: Tensor) -> Tensor:
    """Return the part of a gradient in ``log pi`` that changes of a policy see, in the logits."""
    return table - log_policy.exp() * table.sum(-1, keepdim=True)


def gradient(function: object, point: Tensor) -> Tensor:
    """Return the gradient of a scalar function by automatic differentiation."""
    leaf = point.detach().clone().requires_grad_()
    (result,) = torch.autograd.grad(function(leaf), leaf)  # type: ignore[operator]
    return result
