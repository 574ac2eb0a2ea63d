"""Maximum-likelihood rewards of counted comparisons, and what they cost in value to first order.

``docs/theory.md`` section 5.13. Items are pairs of state and action; a reward is a number for each, up to
a constant that no comparison sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.errors import CertificationError

MAXIMUM_STEPS = 100
# Newton's decrement for each comparison, the square of an error of 1e-8 in a reward.
TOLERANCE = 1e-16


@dataclass(frozen=True, eq=False)
class RewardFit:
    """Rewards of largest likelihood.

    Attributes
    ----------
    reward
        Mean 0 over items, shape (replicate, item); NaN where there is no finite maximiser.
    exists
        Whether there is one, shape (replicate,): whoever is split off from the others has both won and
        lost against them (Ford, American Mathematical Monthly 64, 1957).
    """

    reward: Float[Tensor, "replicate item"]
    exists: Bool[Tensor, " replicate"]


def fit_rewards(wins: Float[Tensor, "replicate item item"]) -> RewardFit:
    """Return the Bradley-Terry rewards of largest likelihood, by Newton's method with step halving.

    Parameters
    ----------
    wins
        How often item i was preferred to item j, at ``[replicate, i, j]``; the diagonal says nothing.

    Raises
    ------
    CertificationError
        If Newton's decrement is still above its tolerance after ``MAXIMUM_STEPS``.
    """
    exists = _strongly_connected(wins > 0)
    fitted = _newton(wins[exists], 0.0)
    reward = torch.full(wins.shape[:2], torch.nan, dtype=wins.dtype, device=wins.device)
    reward[exists] = fitted
    return RewardFit(reward, exists)


def fit_with_prior(
    wins: Float[Tensor, "replicate item item"], deviation: float
) -> Float[Tensor, "replicate item"]:
    """Return the most probable rewards when each is normal with mean 0 beforehand: they always exist.

    Parameters
    ----------
    wins
        As of :func:`fit_rewards`.
    deviation
        Of the prior.

    Raises
    ------
    CertificationError
        As :func:`fit_rewards`.
    """
    return _newton(wins, deviation**-2)


def fisher_information(
    law: Float[Tensor, " item"], reward: Float[Tensor, " item"]
) -> Float[Tensor, "item item"]:
    """Return the Fisher information of one labelled pair, both members independent of law ``law``.

    ``sum_ij law_i law_j sigmoid'(r_i - r_j) (e_i - e_j)(e_i - e_j)^T``, singular along constants.
    """
    chance = torch.sigmoid(reward[:, None] - reward[None, :])
    weight = law[:, None] * law[None, :] * chance * (1 - chance)
    return 2 * (torch.diag(weight.sum(-1)) - weight)


def predicted_gap(
    law: Float[Tensor, " item"],
    reward: Float[Tensor, " item"],
    metric: Float[Tensor, "item item"],
    kl_weight: float,
) -> float:
    """Return ``tr(M F^+) / (2 beta)``: n times the mean gap of the fit to n pairs, as n grows.

    Parameters
    ----------
    law, reward
        As of :func:`fisher_information`; ``reward`` is the true one.
    metric
        ``M``, the covariance of the indicator of what is chosen by ``pi*``, in the mean over states.
    kl_weight
        ``beta``.
    """
    inverse = torch.linalg.pinv(fisher_information(law, reward), hermitian=True)
    return float((metric * inverse).sum()) / (2 * kl_weight)


def _strongly_connected(edges: Bool[Tensor, "replicate i j"]) -> Bool[Tensor, " replicate"]:
    """Return whether every item reaches every other along edges, by squaring."""
    reached = edges | torch.eye(edges.shape[-1], dtype=torch.bool, device=edges.device)
    for _ in range(max(1, edges.shape[-1].bit_length())):
        reached = (reached.to(torch.float64) @ reached.to(torch.float64)) > 0
    return reached.flatten(1).all(-1)


def _newton(wins: Tensor, precision: float) -> Float[Tensor, "replicate item"]:
    """Return the maximisers of the likelihood times a normal prior, which exist."""
    compared = wins + wins.mT
    items = wins.shape[-1]
    # A pull to mean 0 as strong as a comparison of every pair: it moves nothing but the constant.
    pull = compared.flatten(1).sum(-1)[:, None, None] / items**3
    reward = torch.zeros(wins.shape[:2], dtype=wins.dtype, device=wins.device)
    value = _loss(wins, reward, precision)
    identity = torch.eye(items, dtype=wins.dtype, device=wins.device)
    for _ in range(MAXIMUM_STEPS):
        chance = torch.sigmoid(reward[:, :, None] - reward[:, None, :])
        # Pairs of an item with itself are on the diagonal, where both terms agree.
        gradient = (compared * chance - wins).sum(-1) + precision * reward
        weight = compared * chance * (1 - chance)
        curvature = torch.diag_embed(weight.sum(-1)) - weight + pull + precision * identity
        direction = -torch.linalg.solve(curvature, gradient)
        decrement = -(gradient * direction).sum(-1)
        if bool((decrement <= TOLERANCE * compared.flatten(1).sum(-1)).all()):
            # The last step squares an error of 1e-8, whatever the others of the batch needed.
            reward = reward + direction
            found: Tensor = reward - reward.mean(-1, keepdim=True)
            return found
        step = torch.ones_like(value)
        for _ in range(40):
            proposed = _loss(wins, reward + step[:, None] * direction, precision)
            # Where the decrement is rounding, so is the change of the loss.
            worse = proposed > value - 1e-4 * step * decrement + 1e-14 * value.abs()
            if not bool(worse.any()):
                break
            step = torch.where(worse, step / 2, step)
        reward = reward + step[:, None] * direction
        value = _loss(wins, reward, precision)
    raise CertificationError(
        f"{MAXIMUM_STEPS} Newton steps did not reach the maximum of a likelihood; use rewards of "
        "moderate size"
    )


def _loss(wins: Tensor, reward: Tensor, precision: float) -> Float[Tensor, " replicate"]:
    """Return the negative logarithm of the likelihood times the prior, up to a constant."""
    difference = reward[:, :, None] - reward[:, None, :]
    loss = (wins * torch.nn.functional.softplus(-difference)).flatten(1).sum(-1)
    return loss + precision / 2 * reward.square().sum(-1)
