"""What maximum likelihood costs in value: the leading term in 1/pairs, for one-step problems."""

from __future__ import annotations

import torch
from torch import Tensor

from theory_check.oracles import ExactOracle
from theory_check.problems import Problem


def pair_information(problem: Problem, log_policy: Tensor) -> Tensor:
    """Return the Fisher information of one labelled pair of a policy in the reward parameters.

    ``sum_ij rho_i rho_j p_ij (1 - p_ij) (x_i - x_j)(x_i - x_j)^T`` over outcomes (s, a), ``p`` the
    annotator's law.
    """
    law = (problem.initial[:, None] * log_policy.reshape(problem.states, -1).exp()).reshape(-1)
    features, true = problem.features.flatten(0, 1), problem.true_reward.reshape(-1)
    chance = torch.sigmoid(true[:, None] - true[None, :])
    weight = law[:, None] * law[None, :] * chance * (1 - chance)
    differences = features[:, None] - features[None, :]
    return torch.einsum("ij,ijk,ijl->kl", weight, differences, differences)


def value_curvature(problem: Problem) -> Tensor:
    """Return ``E_x Cov_{pi*}(x(s, a))``: ``J* - J = d^T M d / (2 beta)`` for a small error d."""
    policy = optimal_log_policy(problem).reshape(problem.states, -1).exp()
    law = problem.initial[:, None, None] * policy[..., None]
    mean = (policy[..., None] * problem.features).sum(1)
    second = torch.einsum("sak,sal->kl", law * problem.features, problem.features)
    return second - torch.einsum("s,sk,sl->kl", problem.initial, mean, mean)


def optimal_log_policy(problem: Problem) -> Tensor:
    """Return ``log pi*`` of the true reward, shape (1, 1, s, a)."""
    return ExactOracle(problem).control.optimal_log_policy(problem.true_reward[None])


def value_gap(problem: Problem, log_policy: Tensor) -> Tensor:
    """Return ``J*(r*) - J(r*, pi)`` of every row."""
    control = ExactOracle(problem).control
    return control.lower_gap(log_policy, optimal_log_policy(problem).expand_as(log_policy))


def leading_gap(problem: Problem, information: Tensor) -> float:
    """Return ``tr(M F^+) / (2 beta)`` for the information of all pairs together."""
    inverse = torch.linalg.pinv(information, rtol=1e-10)
    return torch.trace(value_curvature(problem) @ inverse).item() / (2 * problem.kl_weight)
