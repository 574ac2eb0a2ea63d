"""The single objective of SAIL over policy tables, exactly, with a divergence added or not.

``F_c(pi) = G(R_pi, pi) + c E_pi[ sum_h gamma^h log(pi_h / pi_ref) ]`` with the implicit returns ``R_pi``
of ``docs/theory.md`` section 7.10, in logits of a tabular softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from theory_check.models.base import pull_back_to_logits
from theory_check.oracles.comparisons.pairs import PairLoss
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.solutions.curvature import hessian
from theory_check.oracles.solutions.newton import minimise
from theory_check.problems import Problem

SOLVED = 1e-10
"""Norm of a gradient, nats, at which a point is solved."""

# Of a step towards a zero of the gradient: where the first one starts, and what a success changes.
FIRST_DAMPING, EASED, RAISED = 1e-3, 0.2, 8.0


@dataclass(frozen=True, eq=False)
class StationaryPoints:
    """Where the gradient was solved for.

    Attributes
    ----------
    logits
        Shape (replicate, h, s, a).
    certified
        Whether the gradient is at most ``SOLVED`` and the nearest zero within ``tolerance`` by the least
        curvature: a plain that gradients vanish on is none. Shape (replicate,).
    """

    logits: Float[Tensor, "replicate h s a"]
    certified: Bool[Tensor, " replicate"]


class PolicyObjective:
    """``F_c`` at many policies.

    Parameters
    ----------
    problem
        One whose trajectories, or segments, can be enumerated.
    pull
        ``c / beta`` >= 0.

    Raises
    ------
    EnumerationBudgetError
        Where there are too many trajectories.
    """

    def __init__(self, problem: Problem, pull: float) -> None:
        self.pull = pull
        self.estimates = ExactInformation(problem).enumerated
        self.control = self.estimates.control
        space = self.estimates.space
        self._loss = PairLoss.of(problem, space).over_trajectories(space)
        self._no_reward = torch.zeros_like(self.control.log_reference[:1])

    def value(self, logits: Float[Tensor, "replicate h s a"]) -> Float[Tensor, " replicate"]:
        """Return ``F_c``, nats."""
        log_policy = self.control.normalised(logits)
        returns = self.estimates.implicit_returns(log_policy)
        law = self.estimates.comparisons.probabilities(log_policy)
        value = self._loss.moments(returns, law).value
        if not self.pull:
            return value
        reward = self._no_reward.expand(len(logits), -1, -1)
        return value - self.pull * self.control.lower_objective(reward, log_policy)

    def gradient(
        self, logits: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``∂F_c`` in the logits."""
        log_policy = self.control.normalised(logits)
        table = self.estimates.implicit_objective_gradient(log_policy, 1)
        if self.pull:
            reward = self._no_reward.expand(len(logits), -1, -1)
            score = self.estimates.lower_scores(reward, log_policy, 1, "independent")
            table = table - self.pull * score
        return pull_back_to_logits(log_policy, table, self.control.absent)

    def minimised(
        self, starts: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return where descent from every start ends: minima, or on its way to an infimum far away."""
        wanted = torch.full((len(starts),), SOLVED, dtype=starts.dtype)
        found = minimise(self._flat_value, self._flat_gradient, starts.flatten(1), wanted)
        return found.at.reshape(starts.shape)

    def stationary(
        self,
        starts: Float[Tensor, "replicate h s a"],
        *,
        iterations: int,
        tolerance: float = 1e-6,
    ) -> StationaryPoints:
        """Return zeros of the gradient, whatever their kind, by damped Gauss-Newton steps.

        Parameters
        ----------
        starts
            Logits.
        iterations
            Steps, those that are refused included.
        tolerance
            Largest distance to a zero of a certified point, in logits.
        """
        at = starts.flatten(1).clone()
        everyone = torch.arange(len(at))
        slope = self._flat_gradient(at, everyone)
        norm, damping = slope.norm(dim=-1), torch.full((len(at),), FIRST_DAMPING, dtype=at.dtype)
        for _ in range(iterations):
            sizes, axes = torch.linalg.eigh(hessian(self._flat_gradient, at))
            along = (axes.mT @ slope[..., None]).squeeze(-1)
            move = sizes * along / (sizes.square() + damping[:, None])
            trial = at - (axes @ move[..., None]).squeeze(-1)
            trial_slope = self._flat_gradient(trial, everyone)
            trial_norm = trial_slope.norm(dim=-1)
            nearer = trial_norm < norm
            at = torch.where(nearer[:, None], trial, at)
            slope = torch.where(nearer[:, None], trial_slope, slope)
            norm = torch.where(nearer, trial_norm, norm)
            damping = torch.where(nearer, EASED * damping, RAISED * damping).clamp(1e-16, 1e6)
        sizes = torch.linalg.eigvalsh(hessian(self._flat_gradient, at)).abs().sort(-1).values
        away = norm / sizes[:, self._invisible].clamp_min(1e-300)
        certified = (norm <= SOLVED) & (away <= tolerance)
        return StationaryPoints(at.reshape(starts.shape), certified)

    def visible(self, change: Float[Tensor, "replicate h s a"]) -> Float[Tensor, "replicate h s a"]:
        """Return the part of a change of logits that changes the policy where it is reached."""
        moving = self._moving.to(change)
        number = moving.sum(-1, keepdim=True).clamp_min(1.0)
        kept = change * moving
        return kept - moving * kept.sum(-1, keepdim=True) / number

    @cached_property
    def _moving(self) -> Bool[Tensor, "h s a"]:
        """Entries that some policy reaches, of actions that exist."""
        reference = self.control.log_reference[None]
        reached = self.control.discounted_occupancy(reference)[0].sum(-1, keepdim=True) > 0
        moving = reached.expand(self.control.policy_shape)
        return moving if self.control.absent is None else moving & ~self.control.absent

    @cached_property
    def _invisible(self) -> int:
        """Number of directions that change nothing: shifts of rows, and entries that do not move."""
        rows = int(self._moving.any(-1).sum())
        return self._moving.numel() - int(self._moving.sum()) + rows

    def _flat_value(
        self, points: Float[Tensor, "point step"], owner: Int[Tensor, " point"]
    ) -> Float[Tensor, " point"]:
        return self.value(points.reshape(-1, *self.control.policy_shape))

    def _flat_gradient(
        self, points: Float[Tensor, "point step"], owner: Int[Tensor, " point"]
    ) -> Float[Tensor, "point step"]:
        return self.gradient(points.reshape(-1, *self.control.policy_shape)).flatten(1)
