"""The upper objective over outcomes: those of a single step, or whole trajectories.

An outcome has a probability and two returns. Characteristic functions of the returns give the loss and
the residual of each against one that is drawn independently (``docs/theory.md`` section 2.9), at a cost
linear in their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.kernels.trigonometric import trigonometric_moments, trigonometric_values
from theory_check.oracles.comparisons.characteristic import LARGEST_RANGE, CharacteristicSums
from theory_check.oracles.comparisons.series import MODEL, Series, pair_series, window_of
from theory_check.oracles.comparisons.trajectories import TrajectorySpace
from theory_check.oracles.comparisons.upper import UpperEvaluation, Way
from theory_check.problems.preferences import PreferenceLaw

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OutcomeSums(CharacteristicSums):
    """Over the outcomes of a single step, at a cost linear in their number."""

    way: ClassVar[Way] = "outcomes"

    def _evaluate_one(
        self, reward: Floats, policy: Floats, start: Floats
    ) -> tuple[float, Floats, Floats, Floats]:
        possible = start > 0
        law = (start[:, None] * policy).reshape(1, -1)
        returns, model = _centred(reward, possible, MODEL)
        true_reward = self.present(self.true_reward[None])[0].cpu().numpy()
        true_returns, annotator = _centred(true_reward, possible, self.law)
        loss, residual = outcome_moments(self, law, (returns, model), (true_returns, annotator))
        shape = reward.shape
        given_start = 2 * policy * loss.reshape(shape)
        return (
            float(law[0] @ loss),
            start[None, :, None] * given_start,
            (2 * law[0] * residual).reshape(shape),
            given_start.sum(1),
        )

    def largest_return(self, reward: Float[Tensor, "replicate s a"]) -> Float[Tensor, " replicate"]:
        """Return the largest size of a reward where what is compared may start."""
        started = self.start(self.control.log_reference[None])[0] > 0
        return self.present(reward)[:, started].abs().flatten(1).amax(-1)


@dataclass(frozen=True, eq=False, kw_only=True)
class SequenceSums(CharacteristicSums):
    """Over enumerated trajectories, at a cost linear in their number: no pair is formed.

    Attributes
    ----------
    space
        The trajectories of an episodic problem.
    """

    way: ClassVar[Way] = "outcomes"
    space: TrajectorySpace

    def evaluate(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
    ) -> UpperEvaluation:
        """Return ``G`` and its partial derivatives for reward and policy tables."""
        laws, returns = self.space.probabilities(log_policy), self.space.returns(reward)
        true_returns = self.space.returns(self.true_reward[None])[0].cpu().numpy()
        losses, residuals = torch.empty_like(laws), torch.empty_like(laws)
        shape = self.control.policy_shape
        for row, (law, each) in enumerate(
            zip(laws.cpu().numpy(), returns.cpu().numpy(), strict=True)
        ):
            finite = np.isfinite(law).all() and np.isfinite(each).all()
            if not finite or each.max() - each.min() > LARGEST_RANGE:
                losses[row] = residuals[row] = torch.nan
                continue
            model, annotator = _around_zero(each, MODEL), _around_zero(true_returns, self.law)
            found = outcome_moments(self, law[None], model, annotator)
            losses[row], residuals[row] = (torch.from_numpy(part) for part in found)
        return UpperEvaluation(
            value=(laws * losses).sum(-1) + self.loss_of_equals,
            reward_gradient=self.space.to_reward_table(2 * laws * residuals, shape[1:]),
            policy_gradient=self.space.to_policy_table(2 * laws * losses, shape),
        )

    def _evaluate_one(
        self, reward: Floats, policy: Floats, start: Floats
    ) -> tuple[float, Floats, Floats, Floats]:
        raise NotImplementedError  # every replicate is evaluated over trajectories

    def largest_return(self, reward: Float[Tensor, "replicate s a"]) -> Float[Tensor, " replicate"]:
        """Return the largest size of a return of a trajectory."""
        return self.space.returns(reward).abs().amax(-1)


def outcome_moments(
    sums: CharacteristicSums,
    law: Float[np.ndarray, "1 outcome"],
    modelled: tuple[Floats, Series],
    true: tuple[Floats, Series],
) -> tuple[Float[np.ndarray, " outcome"], Float[np.ndarray, " outcome"]]:
    """Return the mean loss and the mean residual of every outcome against one that follows ``law``.

    Losses are less that of equals. ``modelled`` and ``true`` are returns around 0 and the sums for their
    differences.
    """
    (returns, model), (true_returns, annotator) = modelled, true
    chi = trigonometric_moments(returns, law, model.step, model.odd.size)[:, 0]
    slopes = np.stack([_cosines(-model.even, chi), _sines(0.5 * model.odd, chi)], axis=1)
    loss, residual = trigonometric_values(returns, slopes, model.step)

    masses = np.concatenate([law, law * returns])
    moments = trigonometric_moments(true_returns, masses, annotator.step, annotator.odd.size)
    true_chi, xi = moments[:, 0], moments[:, 1]
    entropy = annotator.entropy if sums.excess else np.zeros_like(annotator.odd)
    slopes = np.stack(
        [
            _sines(0.5 * annotator.odd, true_chi),
            _sines(0.5 * annotator.odd, xi) - _cosines(entropy, true_chi),
        ],
        axis=1,
    )
    lean, rest = trigonometric_values(true_returns, slopes, annotator.step)
    loss += sums.constant(model, annotator) + rest - returns * lean
    residual -= lean
    return loss, residual


def _around_zero(returns: Floats, law: PreferenceLaw) -> tuple[Floats, Series]:
    """Return returns around 0, and sums for their differences."""
    low, high = returns.min(), returns.max()
    centred = np.ascontiguousarray(returns - 0.5 * (high + low))
    return centred, pair_series(window_of(high - low), law)


def _centred(
    reward: Floats, possible: NDArray[np.bool_], law: PreferenceLaw
) -> tuple[Floats, Series]:
    """Return rewards around 0, and sums for their differences where they are possible."""
    low, high = reward[possible].min(), reward[possible].max()
    around = np.where(possible[:, None], reward - 0.5 * (high + low), 0.0)
    return np.ascontiguousarray(around.reshape(-1)), pair_series(window_of(high - low), law)


def _cosines(weights: Floats, moments: Floats) -> Floats:
    """Return the slopes of ``sum_l weight_l E cos(w_l (x - X))``."""
    real, imaginary = moments
    return np.stack([weights * real, -weights * imaginary])


def _sines(weights: Floats, moments: Floats) -> Floats:
    """Return the slopes of ``sum_l weight_l E sin(w_l (x - X))``."""
    real, imaginary = moments
    return np.stack([-weights * imaginary, -weights * real])
