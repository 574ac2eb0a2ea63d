"""The penalty reformulation as sigma -> 0, in closed form (``docs/theory.md`` section 5.14).

At a non-degenerate optimum ``Phi - Phi_sigma = (sigma/2) q + O(sigma²)`` (section 3.3). For tabular
policies the Hessian of the lower level at ``lambda*`` is block-diagonal, so that q and the response of
the policy need no penalised level to be solved.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.solutions.level import to_logits
from theory_check.problems import Problem

# Rows and actions below are visited so rarely that what they add to q, which is of the order of their
# visits, is below any rounding; the quotient would be one of denormal numbers.
SMALLEST_VISIT = 1e-290


@dataclass(frozen=True, eq=False)
class PenaltyLimit:
    """The leading terms of the penalty reformulation at some reward parameters.

    Attributes
    ----------
    optimal
        ``log pi*``, shape (replicate, h, s, a).
    visits
        ``w_h(s) = gamma^h Pr(s_h = s)``, summed over h for a stationary policy, shape (replicate, h, s).
    response
        ``d log pi_{lambda_sigma} / d sigma`` at 0, shape (replicate, h, s, a), mean 0 under ``pi*``.
    bias
        ``q = ∂_lambda G^T [∇²_{lambda lambda} g]^† ∂_lambda G``, nats per unit of sigma, shape
        (replicate,).
    """

    optimal: Float[Tensor, "replicate h s a"]
    visits: Float[Tensor, "replicate h s"]
    response: Float[Tensor, "replicate h s a"]
    bias: Float[Tensor, " replicate"]


def penalty_limit(exact: ExactOracle, phi: Float[Tensor, "replicate d"]) -> PenaltyLimit:
    """Return the leading terms at ``phi``.

    With ``b`` the gradient of G in the logits at ``lambda*`` and the Hessian ``beta w (diag pi* - pi*
    pi*^T)`` of every row, ``[∇²g]^† b = b / (beta w pi*)`` up to a constant of the row, hence ``q = sum
    b² / (beta w pi*)``.

    Parameters
    ----------
    exact
        The exact oracle; the policy class is tabular.
    phi
        Reward parameters.
    """
    reward = exact.reward_model.table(phi)
    optimal = exact.control.optimal_log_policy(reward)
    policy = optimal.exp()
    pull = to_logits(policy, exact.evaluate_upper(reward, optimal).policy_gradient)
    visits = exact.control.discounted_occupancy(optimal).sum(-1)
    weight = visits[..., None] * policy
    seen = weight > SMALLEST_VISIT
    moved = torch.where(seen, pull / weight.clamp_min(SMALLEST_VISIT), 0.0)
    moved = moved / exact.control.kl_weight
    return PenaltyLimit(optimal, visits, -moved, (pull * moved).flatten(1).sum(-1))


def bias_gradient(
    exact: ExactOracle, phi: Float[Tensor, "replicate d"], step: float
) -> Float[Tensor, "replicate d"]:
    """Return ``∇q``, the leading term of ``2 (∇Phi - ∇Phi_sigma) / sigma``, by central differences.

    Parameters
    ----------
    exact, phi
        As of :func:`penalty_limit`.
    step
        Length of the differences, in units of ``phi``: short against the KL weight over the largest
        feature, the scale on which ``pi*`` changes.
    """
    replicates, parameters = phi.shape
    shifts = step * torch.eye(parameters, dtype=phi.dtype)
    stencil = torch.stack([phi[:, None] + shifts, phi[:, None] - shifts], dim=1)
    values = penalty_limit(exact, stencil.reshape(-1, parameters)).bias
    ahead, behind = values.reshape(replicates, 2, parameters).unbind(1)
    return (ahead - behind) / (2 * step)


def largest_loss(
    exact: ExactOracle, phi: Float[Tensor, "replicate d"]
) -> Float[Tensor, " replicate"]:
    """Return a bound on how far the expected losses of two pairs can lie apart.

    With W the largest difference of returns under ``r_phi``: W for the cross-entropy, whose loss of a
    pair lies between ``softplus(-W)`` and ``softplus(W)``; ``softplus(W)`` for the excess risk, which
    is not negative.
    """
    problem = exact.problem
    present = problem.present_actions
    reward = exact.reward_model.table(phi)[:, present]
    length = problem.horizon or problem.segment_length
    total = sum(problem.discount**step for step in range(length))
    window = total * (reward.amax(-1) - reward.amin(-1))
    if problem.objective == "excess_risk":
        return torch.nn.functional.softplus(window)
    return window


def divergence_factor(problem: Problem) -> float:
    """Return the c of ``KL(rho_lambda ‖ rho*) <= c (J* - J) / beta`` for the law of what is compared.

    1 for episodes without a discount and for segments of one step; more where the comparison looks at
    steps that the gap discounts.
    """
    gamma = problem.discount
    if problem.horizon is not None:
        return float(gamma ** (1 - problem.horizon))
    return float(gamma + (1 - gamma) * sum(gamma**-step for step in range(problem.segment_length)))
