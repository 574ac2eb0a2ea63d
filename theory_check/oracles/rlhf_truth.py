"""What the recorder may know of an RLHF problem: the exact oracle, in the recorder's terms."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.models import PolicyModel
from theory_check.oracles.control.hard_control import hard_return
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.optima.optimum import optimal_hyperobjective
from theory_check.oracles.solutions.level import PenalisedSolution


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
        self._comparable = comparable_rewards(exact)
        self._latest: tuple[Tensor, tuple[float, int], PenalisedSolution] | None = None

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
        """Return ``∇Phi``."""
        return self._exact.hypergradient(upper)

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
        invisible_removed = (reward - exact.true_reward).flatten(1) @ self._comparable
        columns = {
            "lower_gap": exact.control.lower_gap(log_policy, optimal),
            "reward_error": invisible_removed.square().mean(-1),
            "policy_regret": exact.control.lower_gap(
                log_policy, self._true_optimal.expand_as(log_policy)
            ),
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
    the centred matrix of discounted visits (``docs/theory.md`` section 1.5).
    """
    space = exact.space
    if space.horizon == 1:
        # Every pair of state and action is a trajectory of its own, or is never compared.
        seen = exact.true_reward.new_zeros(space.pairs)
        seen[space.class_steps[:, 0]] = 1.0
        return torch.diag(seen) - torch.outer(seen, seen) / seen.sum()
    centred = space.classes - space.classes.mean(0, keepdim=True)
    projection: Tensor = torch.linalg.pinv(centred) @ centred
    return projection
