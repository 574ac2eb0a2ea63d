"""Curvatures of the KL-regularised lower level, tabular softmax, in closed form at its optimum.

At ``lambda*`` the Hessian of ``J* - J`` consists of the blocks ``beta w_h(s) (diag pi - pi pi^T)``
(``docs/theory.md`` sections 2.9 and 5.14). Its smallest eigenvalue falls like ``exp(-R / beta)``, so
that it is given as a logarithm.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.oracles.control.lower_geometry import decided_states
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.solutions.curvature import dominant_curvature
from theory_check.oracles.solutions.level import to_logits

BISECTIONS = 60
"""Halvings of an interval of length 1: to rounding."""


def log_smallest_curvature(
    control: SoftControl,
    optimal: Float[Tensor, "replicate h s a"],
    visits: Float[Tensor, "replicate h s"],
) -> Float[Tensor, " replicate"]:
    """Return the logarithm of the smallest eigenvalue of ``∇²g(lambda*)`` across its null directions.

    Rows that are not reached and rows with a single action have no say. -inf where the visits of a row
    are below the smallest number.

    Parameters
    ----------
    control
        The dynamics.
    optimal
        ``log pi*``.
    visits
        ``w_h(s)`` under it.
    """
    rows = control.kl_weight * visits
    found = rows.log() + log_smallest_eigenvalue(_existing(control, optimal))
    return torch.where(decided_states(control), found, torch.inf).flatten(1).amin(-1)


def log_smallest_eigenvalue(log_policy: Float[Tensor, "*lead a"]) -> Float[Tensor, "*lead"]:
    """Return the logarithm of the smallest eigenvalue of ``diag p - p p^T`` but for that of constants.

    An eigenvector for lambda has entries ``p_i c / (p_i - lambda)``, so that ``sum_i p_i / (p_i -
    lambda) = 0``. With ``lambda = t min p`` the sum increases in t from -inf at 1 to a zero that is at
    most ``A / (A - 1)``.

    Parameters
    ----------
    log_policy
        Normalised log-probabilities, -inf for actions that do not exist; inf is returned where fewer
        than two exist.
    """
    exists = log_policy > -torch.inf
    smallest = torch.where(exists, log_policy, torch.inf).amin(-1, keepdim=True)
    # min p / p_i, 1 for the least probable action and 0 for those that do not exist.
    share = torch.where(exists, (smallest - log_policy).exp(), 0.0)
    number = exists.sum(-1)
    # Of equally improbable actions the eigenvalue is their probability: the second pole is at t = 1.
    second = (
        share.sort(-1, descending=True).values[..., 1].clamp_min(0.5)
        if share.shape[-1] > 1
        else None
    )
    low = torch.ones_like(smallest[..., 0])
    if second is None:
        return torch.full_like(low, torch.inf)
    high = torch.minimum(1 / second, number / (number - 1).clamp_min(1))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        terms = torch.where(exists, 1 / (1 - middle[..., None] * share), 0.0)
        above = terms.sum(-1) > 0
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    found = smallest[..., 0] + ((low + high) / 2).log()
    return torch.where(number > 1, found, torch.inf)


def largest_curvature(
    control: SoftControl,
    optimal: Float[Tensor, "replicate h s a"],
    visits: Float[Tensor, "replicate h s"],
) -> Float[Tensor, " replicate"]:
    """Return the largest eigenvalue of ``∇²g(lambda*)``; see :func:`log_smallest_curvature`."""
    policy = _existing(control, optimal).exp()
    blocks = torch.diag_embed(policy) - policy[..., :, None] * policy[..., None, :]
    largest = torch.linalg.eigvalsh(blocks)[..., -1]
    found: Tensor = (control.kl_weight * visits * largest).flatten(1).amax(-1)
    return found


def gap_gradient_in_logits(
    control: SoftControl,
    logits: Float[Tensor, "replicate lower"],
    optimal: Float[Tensor, "replicate h s a"],
) -> Float[Tensor, "replicate lower"]:
    """Return the gradient of ``J* - J`` in flat logits, at any policy."""
    log_policy = control.normalised(logits.reshape(optimal.shape))
    gradient = to_logits(log_policy.exp(), control.gap_gradient(log_policy, optimal))
    return gradient.flatten(1)


def curvature_at_reference(
    control: SoftControl, reward: Float[Tensor, "replicate s a"]
) -> Float[Tensor, " replicate"]:
    """Return ``‖∇²g‖`` at the reference policy, where inner loops start, by power iteration."""
    optimal = control.optimal_log_policy(reward)
    start = control.log_reference.expand_as(optimal).flatten(1)
    return dominant_curvature(lambda at: gap_gradient_in_logits(control, at, optimal), start)


def smoothness_bound(
    control: SoftControl, reward: Float[Tensor, "replicate s a"], horizon: float
) -> Float[Tensor, " replicate"]:
    """Return ``beta_s = (8 R + beta (4 + 8 log A)) / (1-gamma)³`` of 2005.06392, Lemmas 7 and 14.

    Parameters
    ----------
    control
        The dynamics.
    reward
        The reward of each replicate.
    horizon
        ``1/(1-gamma)``.

    Notes
    -----
    R is the range of ``r + beta log pi_ref``: a KL term is an entropy term with that reward.
    """
    beta = control.kl_weight
    regularised = reward[:, None] + beta * control.log_reference
    exists = torch.ones_like(control.log_reference, dtype=torch.bool)
    if control.absent is not None:
        exists = ~control.absent
    entries = regularised[:, exists]
    spread = entries.amax(-1) - entries.amin(-1)
    actions = int(exists.sum(-1).max())
    return (8 * spread + beta * (4 + 8 * math.log(actions))) * horizon**3


def _existing(
    control: SoftControl, table: Float[Tensor, "replicate h s a"]
) -> Float[Tensor, "replicate h s a"]:
    return table if control.absent is None else table.masked_fill(control.absent, -torch.inf)
