"""What sampling the penalty difference costs as sigma -> 0, exactly, without enumeration.

The difference is ``(1/sigma) ( ∂_phi R(tau) - ∂_phi R(tau') )`` of ``docs/theory.md`` sections 4.3 and
4.4. Its variance times ``sigma² n`` with independent batches, and times ``n`` with a shared one, tends
to moments of ``X = ∂_phi R(tau)`` and of the score ``U = d log rho_{lambda_sigma}(tau) / d sigma``,
which recursions over steps give (section 5.14). What labelled pairs add to the variance of an estimate
is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.layered_control import LayeredControl
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.optima.penalty_limit import PenaltyLimit

BINOMIAL = ((1.0,), (1.0, 1.0), (1.0, 2.0, 1.0))
"""Coefficients of ``(u + U')^j``, j = 0, 1, 2."""


@dataclass(frozen=True, eq=False)
class NoiseLimit:
    """Limits of the variance of the penalty difference, in squared units of the gradient.

    Attributes
    ----------
    independent
        ``2 tr Cov(X)``, shape (replicate,).
    shared
        ``tr Cov(U X)``, shape (replicate,).
    information
        ``E[U²]``, per squared unit of sigma, shape (replicate,).
    """

    independent: Float[Tensor, " replicate"]
    shared: Float[Tensor, " replicate"]
    information: Float[Tensor, " replicate"]


def noise_limit(
    control: SoftControl, features: Float[Tensor, "s a d"], limit: PenaltyLimit
) -> NoiseLimit:
    """Return the limits for linear rewards.

    Parameters
    ----------
    control
        The dynamics.
    features
        ``∂_phi r(s, a)``.
    limit
        The policies ``pi*`` and their responses.
    """
    stops = isinstance(control, DiscountedControl)
    moments = _stopped(control, features, limit) if stops else _episodes(control, features, limit)
    plain, square, *vector = (moments @ control.initial).unbind(1)
    spread = square - torch.stack(vector).square().sum(0)
    # The mean of U X squared stands beside the second moment of U, not its first.
    of_score = square[2] - torch.stack(vector)[:, 1].square().sum(0)
    return NoiseLimit(independent=2 * spread[0], shared=of_score, information=plain[2])


def _episodes(
    control: SoftControl, features: Float[Tensor, "s a d"], limit: PenaltyLimit
) -> Float[Tensor, "j k replicate s"]:
    """Return ``E[U^j Y]`` from the first step on, for Y = 1, ``‖X‖²`` and the entries of X.

    Backwards, with ``U = u + U'`` and ``X = x + gamma X'``.
    """
    policy, gamma = limit.optimal.exp(), control.discount
    replicates, rows, states, actions = policy.shape
    horizon = len(control.layers) if isinstance(control, LayeredControl) else rows
    entries = features.movedim(-1, 0)[:, None]
    own = features.square().sum(-1)
    moments = policy.new_zeros(len(BINOMIAL), 2 + len(entries), replicates, states)
    moments[0, 0] = 1.0
    for step in range(horizon - 1, -1, -1):
        ahead = control.dynamics.ahead(moments.reshape(-1, states))
        ahead = ahead.reshape(*moments.shape, actions)
        plain, square, vector = ahead[:, :1], ahead[:, 1:2], ahead[:, 2:]
        crossed = (entries * vector).sum(1, keepdim=True)
        joined = torch.cat(
            [
                plain,
                own * plain + 2 * gamma * crossed + gamma**2 * square,
                entries * plain + gamma * vector,
            ],
            dim=1,
        )
        row = min(step, rows - 1)
        moments = _mean_of_step(joined, limit.response[:, row], policy[:, row])
    return moments


def _mean_of_step(
    moments: Float[Tensor, "j k replicate s a"],
    score: Float[Tensor, "replicate s a"],
    law: Float[Tensor, "replicate s a"],
) -> Float[Tensor, "j k replicate s"]:
    """Return ``E_a[ (u + U')^j Y ]`` from ``E[ U'^j Y | s, a ]``."""
    found = []
    for power, coefficients in enumerate(BINOMIAL):
        terms = [
            coefficient * score ** (power - lower) * moments[lower]
            for lower, coefficient in enumerate(coefficients)
        ]
        found.append((law * torch.stack(terms).sum(0)).sum(-1))
    return torch.stack(found)


def _stopped(
    control: SoftControl, features: Float[Tensor, "s a d"], limit: PenaltyLimit
) -> Float[Tensor, "j k replicate s"]:
    """Return the same of a rollout that stops with probability 1 - gamma after each step.

    ``X = x(s_T, a_T) / (1-gamma)`` and U is the score of all steps up to the stop (section 4.10), so
    that ``v_j = E[U^j Y]`` solves ``(I - gamma P_pi) v_j = E_a[ (1-gamma) u^j y + gamma sum_{l<j} (j
    over l) u^{j-l} P v_l ]``.
    """
    gamma = control.discount
    law, score = limit.optimal[:, 0].exp(), limit.response[:, 0]
    assert isinstance(control, DiscountedControl)
    resolvent = control.resolvent(limit.optimal)
    scaled = features / (1 - gamma)
    targets = [torch.ones_like(scaled[..., 0]), scaled.square().sum(-1), *scaled.unbind(-1)]

    def moments(target: Float[Tensor, "s a"]) -> Float[Tensor, "j replicate s"]:
        found: list[Tensor] = []
        for power, coefficients in enumerate(BINOMIAL):
            stops = (1 - gamma) * score**power * target
            for lower, value in enumerate(found):
                ahead = gamma * control.dynamics.ahead(value)
                stops = stops + coefficients[lower] * score ** (power - lower) * ahead
            found.append(resolvent.solve((law * stops).sum(-1)))
        return torch.stack(found)

    return torch.stack([moments(target) for target in targets], dim=1)
