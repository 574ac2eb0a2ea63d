"""What the recorder may know of an RLHF problem: the exact oracle, in the recorder's terms."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import LARGEST_TABLE
from theory_check.models import PolicyModel
from theory_check.oracles.comparisons import Comparisons
from theory_check.oracles.comparisons.characteristic import CharacteristicSums
from theory_check.oracles.control.hard_control import hard_return
from theory_check.oracles.control.layered_control import LayeredControl
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.control.unseen_rewards import UnseenRewards
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.optima.optimum import optimal_hyperobjective
from theory_check.oracles.solutions.level import PenalisedSolution
from theory_check.problems.dynamics import SparseDynamics

TABLE_BYTES = 64 * 2**20
"""Memory for the exact gradients of one call; beyond the cache, more points together gain nothing."""


class RLHFTruth:
    """Exact quantities and diagnostics of a solver's iterates.

    Parameters
    ----------
    exact
        The exact oracle.
    policy_model
        The policy class whose parameters are the lower variable.
    """

    def __init__(self, exact: ExactOracle, policy_model: PolicyModel) -> None:
        self._exact = exact
        self._policy_model = policy_model
        self._true_optimal = exact.control.optimal_log_policy(exact.true_reward[None])
        pairs = exact.true_reward.numel()
        sparse = isinstance(exact.control.dynamics, SparseDynamics)
        # A projection of rewards is a table of pairs of pairs, which many states leave no place for.
        fits = not sparse or pairs**2 <= LARGEST_TABLE
        layered = isinstance(exact.control, LayeredControl)
        self._unseen = UnseenRewards.of(exact.control) if layered else None
        wanted = fits and self._unseen is None
        self._comparable = comparable_rewards(exact) if wanted else None
        self._latest: tuple[Tensor, tuple[float, int], PenalisedSolution] | None = None

    @cached_property
    def _together(self) -> int:
        """Points whose systems, laws and tables of policies fit into ``TABLE_BYTES``."""
        steps, states, actions = self._exact.control.policy_shape
        compared = self._exact.comparisons
        trajectories = compared.space.size if isinstance(compared, Comparisons) else 0
        dynamics = self._exact.control.dynamics
        sparse = isinstance(dynamics, SparseDynamics)
        system = dynamics.possible if sparse else states**2
        numbers = 4 * system + 16 * (trajectories + steps * states * actions)
        return max(1, TABLE_BYTES // (8 * numbers))

    @cached_property
    def optimal_hyperobjective(self) -> float:
        """``Phi*``, NaN where it is neither declared nor certified."""
        return optimal_hyperobjective(self._exact)

    def hyperobjective(
        self, upper: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, " replicate"]:
        """Return ``Phi``."""
        return self._exact.hyperobjective(upper)

    def hypergradient(
        self, upper: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi``, of so many points at a time that their systems fit into ``TABLE_BYTES``."""
        parts = [self._exact.hypergradient(part) for part in torch.split(upper, self._together)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def surrogate_gradient(
        self, upper: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi_sigma``; NaN for replicates whose inner problem is not certified."""
        solution = self._penalised(upper, sigma)
        gradient = self._exact.penalty_gradient_at(upper, solution.log_policy, sigma)
        return torch.where(solution.certified[:, None], gradient, torch.nan)

    def diagnostics(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"] | None,
        sigma: float | None,
    ) -> dict[str, Float[Tensor, " replicate"]]:
        """Return the columns of a trace that speak of policies and rewards."""
        exact = self._exact
        reward = exact.reward_model.table(upper)
        log_policy = self._policy_model.table(lower)
        optimal = exact.control.optimal_log_policy(reward)
        columns = {
            "lower_gap": exact.control.lower_gap(log_policy, optimal),
            "reward_error": self._reward_error(reward - exact.true_reward),
            "policy_regret": self._regret(log_policy),
            "true_return": hard_return(
                exact.control, exact.true_reward.expand_as(reward), log_policy
            ),
            "min_policy_probability": self._present(log_policy).flatten(1).amin(-1).exp(),
        }
        if sigma is not None and penalised is not None:
            solution = self._penalised(upper, sigma)
            level = exact.penalised_level(reward, sigma)
            here = self._policy_model.table(penalised)
            gap = level.value(here) - level.value(solution.log_policy)
            columns["lower_gap_penalised"] = torch.where(solution.certified, gap, torch.nan)
        return columns

    def value_gap(self, lower: Float[Tensor, "replicate lower"]) -> Float[Tensor, " replicate"]:
        """Return ``J* - J`` under the true reward, KL term included."""
        return self._regret(self._policy_model.table(lower))

    def _regret(self, log_policy: Float[Tensor, "replicate h s a"]) -> Float[Tensor, " replicate"]:
        optimal = self._true_optimal.expand_as(log_policy)
        return self._exact.control.lower_gap(log_policy, optimal)

    def _reward_error(
        self, difference: Float[Tensor, "replicate s a"]
    ) -> Float[Tensor, " replicate"]:
        """Return the mean square of what comparisons see of it; NaN where that is not projected."""
        if self._unseen is not None:
            return self._unseen.removed(difference).square().mean((-1, -2))
        if self._comparable is None:
            return torch.full_like(difference[:, 0, 0], torch.nan)
        invisible_removed = difference.flatten(1) @ self._comparable
        return invisible_removed.square().mean(-1)

    def penalised_distance(
        self,
        upper: Float[Tensor, "replicate upper"],
        penalised: Float[Tensor, "replicate lower"],
        sigma: float,
    ) -> Float[Tensor, " replicate"]:
        """Return the distance of log-policies to ``argmin h_sigma``, in the logits.

        A constant shift of a row of logits changes nothing, so rows are compared after removing
        their means; rows that are never reached are free, and left out. NaN where the minimiser is
        not certified.
        """
        solution = self._penalised(upper, sigma)
        difference = self._policy_model.table(penalised) - solution.log_policy
        centred = difference - difference.mean(-1, keepdim=True)
        absent = self._exact.control.absent
        if absent is not None:
            number = (~absent).sum(-1, keepdim=True)
            level = difference.masked_fill(absent, 0.0).sum(-1, keepdim=True) / number
            centred = (difference - level).masked_fill(absent, 0.0)
        law = self._exact.control.discounted_occupancy(solution.log_policy)
        reached = (law > 0).any(-1, keepdim=True)
        distance = torch.where(reached, centred, 0.0).flatten(1).norm(dim=-1)
        return torch.where(solution.certified, distance, torch.nan)

    def _present(self, log_policy: Tensor) -> Tensor:
        """Return the table with probability 1 for actions that do not exist."""
        absent = self._exact.control.absent
        return log_policy if absent is None else log_policy.masked_fill(absent, 0.0)

    def _penalised(self, upper: Tensor, sigma: float) -> PenalisedSolution:
        """Solve the penalised lower level, once for the questions of one recording."""
        key = (sigma, upper._version)
        if self._latest is None or self._latest[0] is not upper or self._latest[1] != key:
            reward = self._exact.reward_model.table(upper)
            self._latest = (upper, key, self._exact.solve_penalised(reward, sigma))
        return self._latest[2]


def comparable_rewards(exact: ExactOracle) -> Float[Tensor, "pair pair"]:
    """Return the projection onto reward changes that some comparison can see.

    Comparisons see a reward only through differences of returns, so the gauge is the null space of
    the centred matrix of discounted visits (``docs/theory.md`` section 1.5). Where trajectories are not
    enumerated, it is that of the covariance of visits under the reference policy, which gives all of
    them a positive probability.
    """
    if (exact.problem.horizon or exact.problem.segment_length) == 1:
        # Every pair of state and action is compared as such, or never.
        start = exact.control.discounted_occupancy(exact.control.log_reference[None])[0, 0]
        seen = (start > 0).to(exact.true_reward).flatten()
        return torch.diag(seen) - torch.outer(seen, seen) / seen.sum()
    compared = exact.comparisons
    if isinstance(compared, Comparisons):
        classes = compared.space.classes
        centred = classes - classes.mean(0, keepdim=True)
        projection: Tensor = torch.linalg.pinv(centred) @ centred
        return projection
    assert isinstance(compared, CharacteristicSums)  # sums over pairs come with their comparisons
    return range_of_covariance(visit_covariance(compared))


def visit_covariance(compared: CharacteristicSums) -> Float[Tensor, "pair pair"]:
    """Return the covariance of discounted visits under the reference policy.

    ``sum_{h,k} gamma^{h+k} Cov(1[s_h, a_h], 1[s_k, a_k])`` of what is compared, by a recursion over
    steps for ``B_h(x, y) = sum_{k<h} gamma^k Pr(x_k = x, x_h = y)``.
    """
    control, length = compared.control, compared.length
    reference = control.log_reference.exp()
    start = compared.start(control.log_reference[None])[0]
    law = (start[:, None] * reference[0]).flatten()
    mean, second = torch.zeros_like(law), torch.zeros(law.numel(), law.numel()).to(law)
    earlier = torch.zeros_like(second)
    for step in range(length):
        weight = control.discount**step
        mean = mean + weight * law
        second = second + weight * (earlier + earlier.T) + weight**2 * torch.diag(law)
        if step + 1 < length:
            policy = reference[min(step + 1, len(reference) - 1)]
            arrived = _pushed(control, earlier + weight * torch.diag(law))
            earlier = (arrived[:, :, None] * policy).flatten(1)
            law = (_pushed(control, law)[:, None] * policy).flatten()
    return second - torch.outer(mean, mean)


def _pushed(control: SoftControl, masses: Float[Tensor, "*row pair"]) -> Float[Tensor, "*row s"]:
    """Return where masses of pairs go in one step."""
    dynamics = control.dynamics
    if isinstance(dynamics, SparseDynamics):
        rows = masses.reshape(-1, *control.policy_shape[1:])
        return dynamics.moves.pushed(rows).reshape(*masses.shape[:-1], -1)
    return masses @ dynamics.dense("visits").flatten(0, 1)


def range_of_covariance(covariance: Float[Tensor, "pair pair"]) -> Float[Tensor, "pair pair"]:
    """Return the projection onto the range of a covariance of visits.

    In units of the deviations, so that what is rarely visited counts as the rest; what never is, is
    not seen.
    """
    deviation = covariance.diagonal().clamp_min(0).sqrt()
    seen = deviation > 0
    scaled = covariance[seen][:, seen] / torch.outer(deviation[seen], deviation[seen])
    sizes, directions = torch.linalg.eigh(scaled)
    null = directions[:, sizes < 1e-9 * sizes[-1]] / deviation[seen][:, None]
    basis, _ = torch.linalg.qr(null)
    projection = torch.zeros_like(covariance)
    index = seen.nonzero().squeeze(-1)
    identity = torch.eye(len(index)).to(covariance)
    projection[index[:, None], index] = identity - basis @ basis.T
    return projection
