"""Plain reference computations for discounted problems, from docs/theory.md sections 1 and 4.8.

Everything is a sum over steps, cut off where ``gamma^t`` is below rounding, and differentiable by torch;
nothing is shared with the package. Policies are log-probability tables (s, a).
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import Tensor

from helpers import naive
from theory_check.problems import Problem


def state_laws(problem: Problem, log_policy: Tensor) -> list[Tensor]:
    """Return ``Pr(s_t = s)`` for t = 0, 1, .. until ``gamma^t < 1e-18``."""
    policy, law = log_policy.exp(), problem.initial
    steps = math.ceil(math.log(1e-18) / math.log(problem.discount))
    laws = []
    for _ in range(steps):
        laws.append(law)
        law = torch.einsum("s,sa,sat->t", law, policy, problem.transitions)
    return laws


def occupancy(problem: Problem, log_policy: Tensor) -> Tensor:
    """Return ``d^pi(s) = (1 - gamma) sum_t gamma^t Pr(s_t = s)`` (section 1.2)."""
    gamma = problem.discount
    laws = state_laws(problem, log_policy)
    return (1 - gamma) * sum(gamma**t * law for t, law in enumerate(laws))


def lower_objective(problem: Problem, reward: Tensor, log_policy: Tensor) -> Tensor:
    """Return ``J`` (section 1.1)."""
    log_ratio = log_policy - problem.reference_policy[0].log()
    step_reward = (log_policy.exp() * (reward - problem.kl_weight * log_ratio)).sum(-1)
    return occupancy(problem, log_policy) @ step_reward / (1 - problem.discount)


def segments(problem: Problem) -> list[list[tuple[int, int]]]:
    """Return all segments, possible or not."""
    steps = itertools.product(range(problem.states), range(problem.actions))
    return [list(s) for s in itertools.product(list(steps), repeat=problem.segment_length)]


def segment_law(problem: Problem, log_policy: Tensor) -> Tensor:
    """Return the probability of every segment."""
    policy, start = log_policy.exp(), occupancy(problem, log_policy)
    chances = []
    for segment in segments(problem):
        chance = start[segment[0][0]]
        for step, (state, action) in enumerate(segment):
            chance = chance * policy[state, action]
            if step + 1 < len(segment):
                chance = chance * problem.transitions[state, action, segment[step + 1][0]]
        chances.append(chance)
    return torch.stack(chances)


def segment_returns(problem: Problem, reward: Tensor) -> Tensor:
    """Return ``R(tau)`` of every segment."""
    return torch.stack(
        [
            torch.stack([problem.discount**k * reward[s, a] for k, (s, a) in enumerate(tau)]).sum()
            for tau in segments(problem)
        ]
    )


def upper_objective(problem: Problem, reward: Tensor, log_policy: Tensor) -> Tensor:
    """Return ``G`` (section 1.2), the law of the first state included."""
    law = segment_law(problem, log_policy)
    value, true = (segment_returns(problem, r) for r in (reward, problem.true_reward))
    loss = naive.pair_loss(problem, value[:, None] - value[None, :], true[:, None] - true[None, :])
    return law @ loss @ law


def two_stops(problem: Problem, log_policy: Tensor) -> Tensor:
    """Return the law of both stops of a rollout of two legs, shape (s a, s a) (section 4.8)."""
    gamma, policy = problem.discount, log_policy.exp()
    pairs = policy.numel()
    moves = (problem.transitions[..., None] * policy).reshape(pairs, pairs)
    first = (occupancy(problem, log_policy)[:, None] * policy).reshape(pairs)
    second, ahead = torch.zeros_like(moves), torch.eye(pairs, dtype=moves.dtype)
    for t in range(len(state_laws(problem, log_policy))):
        second = second + (1 - gamma) * gamma**t * ahead
        ahead = ahead @ moves
    return first[:, None] * second


def rollout(
    generator: np.random.Generator, problem: Problem, policy: np.ndarray, start: int | None = None
) -> list[tuple[int, int]]:
    """Follow a policy step by step, stopping with probability ``1 - gamma`` after each."""
    state = start
    if state is None:
        state = int(generator.choice(problem.states, p=problem.initial.numpy()))
    taken = []
    while True:
        action = int(generator.choice(problem.actions, p=policy[state]))
        taken.append((state, action))
        if generator.random() > problem.discount:
            return taken
        law = problem.transitions[state, action].numpy()
        state = int(generator.choice(problem.states, p=law))
