"""Exact expectations over pairs of trajectories, in bounded memory.

For a pair with return difference ``D = R_phi(tau0) - R_phi(tau1)`` the expected loss over labels is
``softplus(D) - P* D``, ``P* = sigmoid(D*)`` unless the annotator follows another law, minus the label
entropy for the excess risk, where it is the divergence ``KL(P* || P_phi)`` (``docs/theory.md`` section
1). Both are symmetric in the pair. Tables in main memory go through a compiled kernel, those on other
devices and under other laws through blocks of pairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from theory_check.kernels.pair_moments import SERIES_BELOW, SMALL, pair_moments
from theory_check.oracles.comparisons.trajectories import TrajectorySpace
from theory_check.problems import Problem
from theory_check.problems.preferences import BradleyTerry, PreferenceLaw

BLOCK_BYTES = 64 * 2**20
# torch replaces softplus by the identity above 20, an error of 2e-9; above 40 it is under rounding.
LINEAR_FROM = 40.0


@dataclass(frozen=True, eq=False)
class PairMoments:
    """Moments of the pair loss under two independent trajectories.

    Attributes
    ----------
    value
        ``E[loss]``, shape (replicate,): the upper objective G.
    mean_loss
        ``E[loss(tau, tau') | tau]`` less :attr:`PairLoss.loss_of_equals`, shape (replicate, class): the
        slope of G along laws, which add up to 1, is the same, and does not cancel where returns hardly
        differ.
    mean_residual
        ``E[P_phi(tau > tau') - P*(tau > tau') | tau]``, shape (replicate, class).
    """

    value: Float[Tensor, " replicate"]
    mean_loss: Float[Tensor, "replicate class"]
    mean_residual: Float[Tensor, "replicate class"]


@dataclass(frozen=True, eq=False)
class PairLoss:
    """The pair loss over classes of trajectories with equal returns.

    Parameters
    ----------
    true_returns
        ``R*`` of every class, shape (class,).
    excess
        Whether the label entropy is subtracted.
    law
        The annotator's law.
    """

    true_returns: Float[Tensor, " class"]
    excess: bool
    law: PreferenceLaw = field(default_factory=BradleyTerry)

    @classmethod
    def of(cls, problem: Problem, space: TrajectorySpace) -> PairLoss:
        """Return that of a problem over the classes of its trajectories, on their device."""
        true_reward = problem.true_reward.to(space.log_dynamics.device)
        return cls(
            true_returns=space.class_returns(true_reward[None])[0],
            excess=problem.objective == "excess_risk",
            law=problem.preferences,
        )

    def over_trajectories(self, space: TrajectorySpace) -> PairLoss:
        """Return the loss with every trajectory for a class of its own."""
        return replace(self, true_returns=self.true_returns[space.class_of])

    @property
    def loss_of_equals(self) -> float:
        """The loss of two trajectories with equal returns under both rewards."""
        return 0.0 if self.excess else math.log(2)

    def moments(
        self,
        returns: Float[Tensor, "replicate class"],
        law: Float[Tensor, "replicate class"],
    ) -> PairMoments:
        """Return the moments of the loss when both trajectories follow ``law``."""
        compiled = returns.is_cpu and self.law.standard
        moments = self._compiled_moments if compiled else self._moments_by_blocks
        mean_loss, mean_residual = moments(returns, law)
        return PairMoments(
            value=(law * mean_loss).sum(-1) + self.loss_of_equals,
            mean_loss=mean_loss,
            mean_residual=mean_residual,
        )

    def _compiled_moments(
        self, returns: Float[Tensor, "replicate class"], law: Float[Tensor, "replicate class"]
    ) -> tuple[Float[Tensor, "replicate class"], Float[Tensor, "replicate class"]]:
        mean_loss, mean_residual = pair_moments(
            returns.contiguous().numpy(),
            law.contiguous().numpy(),
            self.true_returns.contiguous().numpy(),
            self.excess,
        )
        return torch.from_numpy(mean_loss), torch.from_numpy(mean_residual)

    def _moments_by_blocks(
        self, returns: Float[Tensor, "replicate class"], law: Float[Tensor, "replicate class"]
    ) -> tuple[Float[Tensor, "replicate class"], Float[Tensor, "replicate class"]]:
        mean_loss = torch.empty_like(returns)
        mean_residual = torch.empty_like(returns)
        for block, rows in self._blocks(returns):
            difference = returns[block, rows, None] - returns[block, None, :]
            true_difference = self._true_difference(rows)
            weight = law[block, :, None]
            loss = self._accurate_loss(difference, true_difference)
            mean_loss[block, rows] = (loss @ weight).squeeze(-1)
            residual = self._accurate_residual(difference, true_difference)
            mean_residual[block, rows] = (residual @ weight).squeeze(-1)
        return mean_loss, mean_residual

    def quadratic_form(
        self,
        returns: Float[Tensor, "replicate class"],
        vectors: Float[Tensor, "replicate class column"],
    ) -> Float[Tensor, "replicate column column"]:
        """Return ``V^T L V`` with the loss matrix L, for the Hessian of G in the policy."""
        columns = vectors.shape[-1]
        form = vectors.new_zeros(vectors.shape[0], columns, columns)
        for block, rows in self._blocks(returns):
            difference = returns[block, rows, None] - returns[block, None, :]
            loss = self._loss(difference, self._true_difference(rows))
            form[block] += vectors[block, rows].mT @ (loss @ vectors[block])
        return form

    def _blocks(self, returns: Tensor) -> Iterator[tuple[slice, slice]]:
        """Yield (replicates, rows) whose loss matrices stay under ``BLOCK_BYTES`` each."""
        replicates, classes = returns.shape
        rows = min(classes, max(1, BLOCK_BYTES // (8 * classes)))
        together = max(1, BLOCK_BYTES // (8 * classes * rows))
        for first in range(0, replicates, together):
            for start in range(0, classes, rows):
                yield slice(first, first + together), slice(start, start + rows)

    def _true_difference(self, rows: slice) -> Float[Tensor, "row class"]:
        return self.true_returns[rows, None] - self.true_returns[None, :]

    def _loss(
        self,
        difference: Float[Tensor, "replicate row class"],
        true_difference: Float[Tensor, "row class"],
    ) -> Float[Tensor, "replicate row class"]:
        """Return the expected loss, for the excess risk to an absolute error of rounding."""
        preferred = self.law.preferred(true_difference)
        loss = softplus(difference, threshold=LINEAR_FROM) - preferred * difference
        if not self.excess:
            return loss
        if not self.law.standard:
            return loss - self.law.entropy(true_difference)
        entropy = softplus(true_difference, threshold=LINEAR_FROM) - preferred * true_difference
        return loss - entropy

    def _accurate_loss(
        self,
        difference: Float[Tensor, "replicate row class"],
        true_difference: Float[Tensor, "row class"],
    ) -> Float[Tensor, "replicate row class"]:
        """Return the expected loss less that of equal returns, to a small relative error.

        As differences of logarithms, small excess risks and the cross-entropy above ``log 2`` are lost
        to rounding; sums of their series are not (``kernels/pair_moments.py``).
        """
        if not self.excess:
            lean = (
                torch.tanh(true_difference / 2)
                if self.law.standard
                else self.law.advantage(true_difference)
            )
            return _log_cosh(difference / 2) - lean * (difference / 2)
        loss = self._loss(difference, true_difference)
        if not self.law.standard:
            return loss
        excess = difference - true_difference
        preferred = torch.sigmoid(true_difference)
        variance = preferred * (1 - preferred)
        skew = 1 - 2 * preferred
        sixth = 1 - 30 * variance * (1 - 4 * variance)
        series = skew * (1 - 12 * variance) / 120 + excess * sixth / 720
        series = (1 - 6 * variance) / 24 + excess * series
        series = variance * excess**2 * (0.5 + excess * (skew / 6 + excess * series))
        return torch.where(excess.abs() < SERIES_BELOW, series, loss)

    def _accurate_residual(
        self,
        difference: Float[Tensor, "replicate row class"],
        true_difference: Float[Tensor, "row class"],
    ) -> Float[Tensor, "replicate row class"]:
        """Return ``P_phi - P*``, which is ``(1 - P_phi) P* (exp(e) - 1)`` with ``e = D - D*``."""
        model = torch.sigmoid(difference)
        if not self.law.standard:
            return model - self.law.preferred(true_difference)
        excess = difference - true_difference
        preferred = torch.sigmoid(true_difference)
        small = (1 - model) * preferred * torch.expm1(excess)
        return torch.where(excess.abs() < SERIES_BELOW, small, model - preferred)


def _log_cosh(half: Tensor) -> Tensor:
    square = half.square()
    series = square * (0.5 + square * (-1 / 12 + square * (1 / 45 - square * (17 / 2520))))
    direct = half.abs() + torch.log1p(torch.exp(-2 * half.abs())) - math.log(2)
    return torch.where(half.abs() < SMALL / 2, series, direct)
