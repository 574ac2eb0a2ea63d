"""The preference loss of the reward that a policy implies, plainly."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from helpers import references
from theory_check.problems import Problem


def implicit_returns(problem: Problem, logits: Tensor) -> Tensor:
    """Return ``beta sum_h gamma^h log(pi_h / pi_ref)`` of everything that is compared."""
    tables = references.tables_of(problem)
    reference = problem.reference_policy.log()
    log_ratio = tables.log_policy(logits).reshape(reference.shape) - reference
    if problem.horizon is None:
        return problem.kl_weight * tables.returns(log_ratio[0])
    along = log_ratio.reshape(-1)[tables.policy_index]
    return problem.kl_weight * (tables.discounts * along).sum(-1)


def implicit_loss(problem: Problem, logits: Tensor, drawn_from: Tensor) -> Tensor:
    """Return the expected loss of a policy on pairs of another one: online DPO descends along it.

    At ``drawn_from = logits``, differentiated in both, it is what SAIL descends along. For the excess
    risk the entropy of the labels is subtracted.
    """
    tables = references.tables_of(problem)
    law = tables.law(tables.log_policy(drawn_from))
    returns = implicit_returns(problem, logits)
    true = torch.sigmoid(tables.true_returns[:, None] - tables.true_returns[None, :])
    gaps = returns[:, None] - returns[None, :]
    # Both labels of every ordered pair.
    surprise = -true * logsigmoid(gaps) - (1 - true) * logsigmoid(-gaps)
    if problem.objective == "excess_risk":
        surprise = surprise + true * true.log() + (1 - true) * (1 - true).log()
    return law @ surprise @ law
