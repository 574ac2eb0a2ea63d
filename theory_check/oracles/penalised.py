"""The penalised lower level ``min_lambda sigma G + g`` in logits, by a safeguarded Newton method.

``docs/theory.md`` section 3. Gradient and Hessian are analytic; steps are damped until the Hessian is
positive definite and shortened until the objective falls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.oracles.pairs import PairLoss
from theory_check.oracles.soft_control import Dynamics
from theory_check.oracles.trajectories import TrajectorySpace

GRADIENT_TOLERANCE = 1e-11
# What double precision leaves of a gradient of order 1.
SMALLEST_TOLERANCE = 1e-14
SMALLEST_SIGMA = 1e-7
MAXIMUM_ITERATIONS = 200
HESSIAN_BYTES = 128 * 2**20


@dataclass(frozen=True, eq=False)
class PenalisedSolution:
    """Minimisers of the penalised lower level and whether they are certified.

    Attributes
    ----------
    log_policy
        ``log pi_{lambda_sigma}``, shape (replicate, h, s, a).
    gradient_norm
        Euclidean norm of the gradient in the logits, shape (replicate,).
    certified
        Whether that norm is at most :func:`tolerance`, shape (replicate,).
    """

    log_policy: Float[Tensor, "replicate h s a"]
    gradient_norm: Float[Tensor, " replicate"]
    certified: Bool[Tensor, " replicate"]


@dataclass(frozen=True, eq=False)
class PenalisedLowerLevel:
    """``h_sigma(phi, .) = sigma G(phi, .) - J(phi, .)`` for given rewards.

    Parameters
    ----------
    space, dynamics, pair_loss
        The problem's trajectories, dynamics and pair loss.
    reward
        Reward tables, shape (replicate, s, a).
    sigma
        Penalty parameter, shape (replicate,).
    """

    space: TrajectorySpace
    dynamics: Dynamics
    pair_loss: PairLoss
    reward: Float[Tensor, "replicate s a"]
    sigma: Float[Tensor, " replicate"]

    def value(self, log_policy: Float[Tensor, "replicate h s a"]) -> Float[Tensor, " replicate"]:
        """Return ``h_sigma``."""
        law = self.space.probabilities(log_policy)
        moments = self.pair_loss.moments(
            self.space.class_returns(self.reward), self.space.sum_by_class(law)
        )
        return self.sigma * moments.value - (law * self._regularised_returns(log_policy)).sum(-1)

    def gradient(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient of ``h_sigma`` in the logits."""
        return _to_logits(log_policy, self._table_gradient(log_policy))

    def hessian(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate logit logit"]:
        """Return the Hessian of ``h_sigma`` in the logits.

        The Hessian in the log-policy table has three parts (probabilities are exponentials of the
        table; the pair loss is quadratic in them; the KL term multiplies the table by them). The
        logits enter through ``log_softmax``, whose own curvature adds the last term.
        """
        space, replicates = self.space, log_policy.shape[0]
        law = space.probabilities(log_policy)
        slope = self._slope(log_policy, law)
        weighted = (law * slope)[:, :, None] * space.steps
        table = space.steps.T @ weighted
        by_class = law.new_zeros(replicates, space.classes.shape[0], space.steps.shape[1])
        by_class.index_add_(1, space.class_of, law[:, :, None] * space.steps)
        pair_part = self.pair_loss.quadratic_form(space.class_returns(self.reward), by_class)
        kl_part = (space.steps.T @ (law[:, :, None] * space.steps)) * self._discounts(space)
        table = (
            table
            + 2 * self.sigma[:, None, None] * pair_part
            + self.dynamics.kl_weight * (kl_part + kl_part.mT)
        )
        softmax = log_policy.exp().flatten(1, 2)
        actions = softmax.shape[-1]
        identity = torch.eye(actions, dtype=law.dtype, device=law.device)
        jacobian = _block_diagonal(identity - softmax[:, :, None, :].expand(-1, -1, actions, -1))
        row_total = self._table_gradient(log_policy).flatten(1, 2).sum(-1)
        covariance = torch.diag_embed(softmax) - softmax[..., :, None] * softmax[..., None, :]
        curvature = _block_diagonal(row_total[..., None, None] * covariance)
        return jacobian.mT @ table @ jacobian - curvature

    def _slope(self, log_policy: Tensor, law: Tensor) -> Float[Tensor, "replicate trajectory"]:
        """Return the derivative of ``h_sigma`` in each trajectory's probability."""
        moments = self.pair_loss.moments(
            self.space.class_returns(self.reward), self.space.sum_by_class(law)
        )
        pair_slope = 2 * self.sigma[:, None] * moments.mean_loss[:, self.space.class_of]
        return pair_slope - self._regularised_returns(log_policy)

    def _regularised_returns(self, log_policy: Tensor) -> Float[Tensor, "replicate trajectory"]:
        log_ratio = log_policy - self.dynamics.log_reference
        discounted = log_ratio * self.space.discounts[:, None, None]
        return self.space.returns(self.reward) - self.dynamics.kl_weight * (
            self.space.sum_along(discounted)
        )

    def _table_gradient(self, log_policy: Tensor) -> Float[Tensor, "replicate h s a"]:
        law = self.space.probabilities(log_policy)
        slope = self._slope(log_policy, law)
        shape = self.dynamics.policy_shape
        visits = self.space.to_policy_table(law, shape) * self.space.discounts[:, None, None]
        slopes = self.space.to_policy_table(law * slope, shape)
        return slopes + self.dynamics.kl_weight * visits

    @staticmethod
    def _discounts(space: TrajectorySpace) -> Float[Tensor, " logit"]:
        return space.discounts.repeat_interleave(space.table_size // space.horizon)


def tolerance(level: PenalisedLowerLevel) -> Float[Tensor, " replicate"]:
    """Return the gradient norm at which a minimiser counts as found, per replicate.

    1e-11, times ``sigma`` below 1: the gradient at the unpenalised optimum is of order ``sigma``, and
    an error e of the inner gradient is one of order e / sigma in ``∇Phi_sigma``. Double precision
    ends this at 1e-14, that is at an error of 1e-14 / sigma, which is why ``sigma`` has a smallest
    value. Everything is relative to the size of returns and of the KL weight.
    """
    returns = level.space.class_returns(level.reward).abs().amax(-1)
    scale = returns.clamp_min(max(1.0, level.dynamics.kl_weight))
    scale = torch.maximum(scale, level.sigma)
    relative = (GRADIENT_TOLERANCE * level.sigma.clamp_max(1.0)).clamp_min(SMALLEST_TOLERANCE)
    return relative * scale


def minimise_penalised(
    level: PenalisedLowerLevel, start: Float[Tensor, "replicate h s a"]
) -> PenalisedSolution:
    """Minimise ``h_sigma`` from ``start``, which should be the unpenalised optimum.

    Started there, the method follows the branch of minimisers that leaves ``lambda*`` as ``sigma``
    grows from 0, which is the one the penalty reformulation is about. Replicates are taken in
    groups whose Hessians stay under ``HESSIAN_BYTES``.
    """
    together = max(1, HESSIAN_BYTES // (8 * level.space.table_size**2))
    parts = [
        _minimise(
            replace(
                level,
                reward=level.reward[first : first + together],
                sigma=level.sigma[first : first + together],
            ),
            start[first : first + together],
        )
        for first in range(0, start.shape[0], together)
    ]
    return PenalisedSolution(
        log_policy=torch.cat([part.log_policy for part in parts]),
        gradient_norm=torch.cat([part.gradient_norm for part in parts]),
        certified=torch.cat([part.certified for part in parts]),
    )


def _minimise(
    level: PenalisedLowerLevel, start: Float[Tensor, "replicate h s a"]
) -> PenalisedSolution:
    wanted = tolerance(level)
    log_policy = start
    value = level.value(log_policy)
    gradient = level.gradient(log_policy).flatten(1)
    norm = gradient.norm(dim=-1)
    for _ in range(MAXIMUM_ITERATIONS):
        unsolved = norm > wanted
        if not bool(unsolved.any()):
            break
        direction = -_damped_solve(level.hessian(log_policy), gradient)
        slope = (gradient * direction).sum(-1)
        length = unsolved.to(norm.dtype)
        for halvings in range(40):
            trial = torch.log_softmax(
                log_policy + (length[:, None] * direction).reshape(log_policy.shape), dim=-1
            )
            trial_value = level.value(trial)
            trial_norm = level.gradient(trial).flatten(1).norm(dim=-1)
            # Near the optimum h_sigma is flat to rounding; a smaller gradient is then the proof.
            falls = trial_value <= value + 1e-4 * length * slope
            accepted = falls | (trial_norm < 0.5 * norm) & (norm < 1e-5) | (length == 0)
            if bool((accepted | (norm < 1e-9) & (halvings > 3)).all()):
                break
            length = torch.where(accepted, length, 0.5 * length)
        moved = accepted & unsolved
        if not bool(moved.any()):
            break
        log_policy = torch.where(moved[:, None, None, None], trial, log_policy)
        value = level.value(log_policy)
        gradient = level.gradient(log_policy).flatten(1)
        norm = gradient.norm(dim=-1)
    return PenalisedSolution(log_policy=log_policy, gradient_norm=norm, certified=norm <= wanted)


def _damped_solve(
    hessian: Float[Tensor, "replicate logit logit"], right: Float[Tensor, "replicate logit"]
) -> Float[Tensor, "replicate logit"]:
    """Solve with the smallest damping that makes the Hessian positive definite.

    A constant shift of a row of logits, and steps that cannot be reached, are exact null directions
    of both sides, so the damping does not bias the step along them.
    """
    scale = hessian.diagonal(dim1=-2, dim2=-1).abs().amax(-1).clamp_min(1e-300)
    identity = torch.eye(hessian.shape[-1], dtype=hessian.dtype, device=hessian.device)
    damping = 1e-12 * scale
    while True:
        damped = hessian + damping[:, None, None] * identity
        factor, info = torch.linalg.cholesky_ex(damped)
        # No damping repairs a Hessian that is not finite; that replicate stays uncertified.
        indefinite = (info > 0) & torch.isfinite(scale)
        if not bool(indefinite.any()):
            break
        damping = torch.where(indefinite, 10 * damping, damping)
    return torch.cholesky_solve(right[..., None], factor).squeeze(-1)


def _to_logits(
    log_policy: Float[Tensor, "replicate h s a"], cotangent: Float[Tensor, "replicate h s a"]
) -> Float[Tensor, "replicate h s a"]:
    return cotangent - log_policy.exp() * cotangent.sum(-1, keepdim=True)


def _block_diagonal(
    blocks: Float[Tensor, "replicate row a a"],
) -> Float[Tensor, "replicate logit logit"]:
    replicates, rows, actions, _ = blocks.shape
    full = blocks.new_zeros(replicates, rows, actions, rows, actions)
    index = torch.arange(rows, device=blocks.device)
    full[:, index, :, index, :] = blocks.transpose(0, 1)
    return full.reshape(replicates, rows * actions, rows * actions)
