"""The plain reference that belongs to a problem, episodic or discounted."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers import naive, naive_discounted
from theory_check.problems import Problem

Tables = naive.Tables | naive_discounted.Tables


def tables_of(problem: Problem) -> Tables:
    """Return both levels of ``problem`` as plain functions of reward parameters and logits."""
    if problem.horizon is None:
        return naive_discounted.Tables(problem)
    return naive.Tables(problem)


def optimal_logits(problem: Problem, phi: Tensor) -> Tensor:
    """Return ``log pi*`` at ``phi`` as flat logits."""
    return tables_of(problem).optimal(naive.reward_table(problem, phi)).reshape(-1)


def implicit_hypergradient(problem: Problem, phi: Tensor) -> Tensor:
    """Return ``∂_phi G - ∇²_{phi lambda} g [∇²_{lambda lambda} g]^† ∂_lambda G`` (section 2.5).

    The rank of the pseudo-inverse is known: one null direction per reachable row of logits, every
    logit of the others. Rounding cannot be told from a small eigenvalue by size alone where the
    policy is saturated.
    """
    tables = tables_of(problem)
    logits = optimal_logits(problem, phi).detach()
    d = phi.shape[0]
    joint = torch.cat([phi, logits])
    second = torch.autograd.functional.hessian(lambda z: -tables.lower(z[:d], z[d:]), joint)
    first = naive.gradient(lambda z: tables.upper(z[:d], z[d:]), joint)
    values, vectors = torch.linalg.eigh(second[d:, d:])
    null = values.shape[0] - tables.rank
    kept = vectors[:, null:]
    response = kept @ ((kept.T @ first[d:]) / values[null:])
    return first[:d] - second[:d, d:] @ response
