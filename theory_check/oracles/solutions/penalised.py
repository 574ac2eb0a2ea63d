"""``min_lambda sigma G + g`` in logits, by a safeguarded Newton method (``docs/theory.md`` section 3).

Gradient and Hessian are analytic; steps are damped until the Hessian is positive definite and shortened
until the objective falls.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.errors import require_finite, require_scale
from theory_check.oracles.comparisons import Comparisons, DiscountedComparisons
from theory_check.oracles.comparisons.pairs import PairLoss, PairMoments
from theory_check.oracles.control.soft_control import SoftControl, divergence_density
from theory_check.oracles.solutions.newton import damped_solve


@dataclass(frozen=True, eq=False)
class PenalisedLowerLevel(ABC):
    """``sigma G(phi, .) + J*(phi) - J(phi, .)`` for given rewards.

    Attributes
    ----------
    comparisons, control, pair_loss
        The problem's comparisons, control and pair loss.
    reward
        Reward tables, shape (replicate, s, a).
    optimal
        ``log pi*`` for them, shape (replicate, h, s, a).
    sigma
        Penalty parameter.
    """

    comparisons: Comparisons
    control: SoftControl
    pair_loss: PairLoss
    reward: Float[Tensor, "replicate s a"]
    optimal: Float[Tensor, "replicate h s a"]
    sigma: float

    def rows(self, replicates: slice) -> PenalisedLowerLevel:
        """Return the same level for some of the replicates."""
        return replace(self, reward=self.reward[replicates], optimal=self.optimal[replicates])

    def value(self, log_policy: Float[Tensor, "replicate h s a"]) -> Float[Tensor, " replicate"]:
        """Return ``sigma G + (J* - J)``."""
        upper = self._moments(self.comparisons.probabilities(log_policy)).value
        return self.sigma * upper + self.control.lower_gap(log_policy, self.optimal)

    def gradient(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient in the logits."""
        return _to_logits(log_policy.exp(), self._table_gradient(log_policy))

    def hessian(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate logit logit"]:
        """Return the Hessian in the logits.

        That in the table, taken through ``log_softmax`` on both sides, and the curvature of
        ``log_softmax`` itself.
        """
        policy = log_policy.exp()
        replicates, logits = policy.flatten(1).shape
        hessian = self._table_hessian(log_policy)
        for _ in range(2):  # the same for both sides of a symmetric matrix
            rows = hessian.reshape(replicates, logits, *policy.shape[1:])
            hessian = _to_logits(policy[:, None], rows).reshape(hessian.shape).mT
        total = self._table_gradient(log_policy).sum(-1).flatten(1)[..., None, None]
        softmax = policy.flatten(1, 2)
        covariance = torch.diag_embed(softmax) - softmax[..., :, None] * softmax[..., None, :]
        return _subtract_from_blocks(hessian.contiguous(), total * covariance)

    @abstractmethod
    def _table_gradient(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient in the entries of the log-policy table."""

    @abstractmethod
    def _table_hessian(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate step step"]:
        """Return the Hessian in the entries of the log-policy table."""

    def _moments(self, law: Float[Tensor, "replicate trajectory"]) -> PairMoments:
        space = self.comparisons.space
        return self.pair_loss.moments(space.class_returns(self.reward), space.sum_by_class(law))

    def _pair_slope(
        self, law: Float[Tensor, "replicate trajectory"]
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return the derivative of ``sigma G`` in each trajectory's probability."""
        mean_loss = self._moments(law).mean_loss
        return 2 * self.sigma * mean_loss[:, self.comparisons.space.class_of]

    def _pair_curvature(
        self, by_class: Float[Tensor, "replicate class step"]
    ) -> Float[Tensor, "replicate step step"]:
        """Return the second derivative of ``sigma G`` along changes of the class probabilities."""
        returns = self.comparisons.space.class_returns(self.reward)
        return 2 * self.sigma * self.pair_loss.quadratic_form(returns, by_class)

    def _by_class(
        self, values: Float[Tensor, "replicate trajectory column"]
    ) -> Float[Tensor, "replicate class column"]:
        space = self.comparisons.space
        total = values.new_zeros(values.shape[0], space.number_of_classes, values.shape[-1])
        return total.index_add_(1, space.class_of, values)


@dataclass(frozen=True, eq=False)
class EpisodicPenalisedLevel(PenalisedLowerLevel):
    """The penalised lower level over whole trajectories; see :class:`PenalisedLowerLevel`.

    The gap is ``sum_tau rho(tau) beta sum_h gamma^h (y_h + exp(-y_h) - 1)``.
    """

    def _table_gradient(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        law = self.comparisons.probabilities(log_policy)
        weights = law * self._slope(log_policy, law)
        along = self.comparisons.policy_gradient(log_policy, weights)
        occupancy = self.control.discounted_occupancy(log_policy)
        return along - self.control.kl_weight * occupancy * torch.expm1(self.optimal - log_policy)

    def _table_hessian(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate step step"]:
        space, beta = self.comparisons.space, self.control.kl_weight
        law = self.comparisons.probabilities(log_policy)
        weighted = law[:, :, None] * space.steps
        slope = self._slope(log_policy, law)
        table = space.steps.T @ (slope[:, :, None] * weighted)
        ratio = self.optimal - log_policy
        step_slope = -beta * (space.discounts[:, None, None] * torch.expm1(ratio)).flatten(1)
        cross = (space.steps.T @ weighted) * step_slope[:, None, :]
        occupancy = self.control.discounted_occupancy(log_policy)
        own = (beta * occupancy * ratio.exp()).flatten(1)
        return (
            table
            + self._pair_curvature(self._by_class(weighted))
            + cross
            + cross.mT
            + torch.diag_embed(own)
        )

    def _slope(
        self, log_policy: Tensor, law: Float[Tensor, "replicate trajectory"]
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return the derivative in each trajectory's probability."""
        space = self.comparisons.space
        density = divergence_density(log_policy - self.optimal)
        divergence = space.sum_along(density * space.discounts[:, None, None])
        return self._pair_slope(law) + self.control.kl_weight * divergence


@dataclass(frozen=True, eq=False)
class DiscountedPenalisedLevel(PenalisedLowerLevel):
    """The penalised lower level over segments; see :class:`PenalisedLowerLevel`.

    To first order around a policy the level is ``sum_s d^pi(s) k(s)``, where ``k(s)`` adds the slopes of
    the pair loss over segments that start in s and ``beta/(1-gamma) KL(pi(.|s) || pi*(.|s))``. With
    ``u = (I - gamma P_pi)^-1 k`` its occupancy part has the derivative
    ``gamma d^pi(s) pi(a|s) (P u)(s, a)``.
    """

    comparisons: DiscountedComparisons

    def _table_gradient(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        control = self.comparisons.control
        law = self.comparisons.probabilities(log_policy)
        along = self.comparisons.space.to_policy_table(
            law * self._pair_slope(law), control.policy_shape
        )
        state_slope = self._state_slope(log_policy, law)
        through = control.pull_back_through_occupancy(log_policy, state_slope)
        divergence = control.discounted_occupancy(log_policy) * (log_policy - self.optimal)
        return along + through + control.kl_weight * divergence

    def _table_hessian(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate step step"]:
        space, control = self.comparisons.space, self.comparisons.control
        law = self.comparisons.probabilities(log_policy)
        occupancy_slope = control.occupancy_jacobian(log_policy)
        start = _one_hot(space.states[:, 0], occupancy_slope.shape[1]).to(law)
        given_start = space.probabilities(log_policy)
        law_slope = law[:, :, None] * space.steps
        by_class = self._by_class(given_start[:, :, None] * start) @ occupancy_slope
        by_class += self._by_class(law_slope)

        pair_slope = self._pair_slope(law)
        table = space.steps.T @ (pair_slope[:, :, None] * law_slope)
        log_ratio = log_policy - self.optimal
        weight = control.kl_weight * control.discounted_occupancy(log_policy)
        table.diagonal(dim1=-2, dim2=-1).add_((weight * (log_ratio + 1)).flatten(1))

        state_slope = self._state_slope(log_policy, law)
        cross = occupancy_slope.mT @ self._state_slope_jacobian(
            log_policy, (pair_slope * given_start)[:, :, None] * space.steps
        )
        through = control.occupancy_curvature(log_policy, occupancy_slope, state_slope)
        return table + self._pair_curvature(by_class) + cross + cross.mT + through

    def _state_slope(
        self, log_policy: Tensor, law: Float[Tensor, "replicate trajectory"]
    ) -> Float[Tensor, "replicate s"]:
        """Return ``k``."""
        space, control = self.comparisons.space, self.comparisons.control
        given_start = space.probabilities(log_policy)
        pairs = space.sum_by_first_state(
            given_start * self._pair_slope(law), control.policy_shape[1]
        )
        density = log_policy.exp() * divergence_density(log_policy - self.optimal)
        return pairs + control.kl_weight / (1 - control.discount) * density.sum((1, 3))

    def _state_slope_jacobian(
        self, log_policy: Tensor, along: Float[Tensor, "replicate segment step"]
    ) -> Float[Tensor, "replicate s step"]:
        """Return the derivative of ``k`` at fixed pair slopes; ``along`` is that of its segments."""
        space, control = self.comparisons.space, self.comparisons.control
        states = control.policy_shape[1]
        own = (log_policy.exp() * (log_policy - self.optimal))[:, 0]
        spread = torch.einsum("rsa,st->rsta", own, torch.eye(states).to(own)).flatten(2)
        jacobian = control.kl_weight / (1 - control.discount) * spread
        return jacobian.index_add_(1, space.states[:, 0], along)


def _one_hot(index: Tensor, number: int) -> Tensor:
    return torch.nn.functional.one_hot(index, number)


def _to_logits(
    policy: Float[Tensor, "*#lead h s a"], cotangent: Float[Tensor, "*#lead h s a"]
) -> Float[Tensor, "*#lead h s a"]:
    """Pull derivatives in ``log_softmax(logits)`` back to the logits."""
    return cotangent - policy * cotangent.sum(-1, keepdim=True)


def _subtract_from_blocks(
    matrices: Float[Tensor, "replicate logit logit"], blocks: Float[Tensor, "replicate row a a"]
) -> Float[Tensor, "replicate logit logit"]:
    """Subtract one block of each row of logits from the diagonal, in place."""
    replicates, rows, actions, _ = blocks.shape
    # A view whose two row indices are tied together: its diagonal blocks.
    diagonal = matrices.reshape(replicates, rows, actions, rows, actions).diagonal(dim1=1, dim2=3)
    diagonal.sub_(blocks.permute(0, 2, 3, 1))
    return matrices


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


def require_penalty(sigma: float) -> None:
    """Refuse a sigma whose size is no usable scale; it may be negative."""
    require_finite("sigma", sigma)
    require_scale("sigma", abs(sigma))


def tolerance(level: PenalisedLowerLevel) -> Float[Tensor, " replicate"]:
    """Return the gradient norm at which a minimiser counts as found, per replicate.

    1e-11, times ``sigma`` below 1: the gradient at the unpenalised optimum is of order ``sigma``, and
    an error e of the inner gradient is one of order e / sigma in ``∇Phi_sigma``. Double precision
    ends this at 1e-14, that is at an error of 1e-14 / sigma, which is why ``sigma`` has a smallest
    value. Everything is relative to the size of returns and of the KL weight.
    """
    returns = level.comparisons.space.class_returns(level.reward).abs().amax(-1)
    size = abs(level.sigma)
    scale = returns.clamp_min(max(1.0, level.control.kl_weight, size))
    relative = max(GRADIENT_TOLERANCE * min(size, 1.0), SMALLEST_TOLERANCE)
    return relative * scale


def minimise_penalised(level: PenalisedLowerLevel) -> PenalisedSolution:
    """Minimise the level from the unpenalised optimum.

    Started there, the method follows the branch of minimisers that leaves ``lambda*`` as ``sigma``
    grows from 0, which is the one the penalty reformulation is about. Replicates are taken in
    groups whose Hessians stay under ``HESSIAN_BYTES``.
    """
    replicates = level.optimal.shape[0]
    together = max(1, HESSIAN_BYTES // (8 * level.comparisons.space.table_size**2))
    parts = [
        _minimise(level.rows(slice(first, first + together)))
        for first in range(0, replicates, together)
    ]
    return PenalisedSolution(
        log_policy=torch.cat([part.log_policy for part in parts]),
        gradient_norm=torch.cat([part.gradient_norm for part in parts]),
        certified=torch.cat([part.certified for part in parts]),
    )


def _minimise(level: PenalisedLowerLevel) -> PenalisedSolution:
    wanted = tolerance(level)
    log_policy = level.optimal
    value = level.value(log_policy)
    gradient = level.gradient(log_policy).flatten(1)
    norm = gradient.norm(dim=-1)
    for _ in range(MAXIMUM_ITERATIONS):
        unsolved = norm > wanted
        if not bool(unsolved.any()):
            break
        hessian = level.hessian(log_policy)
        # A constant shift of a row of logits, and steps that cannot be reached, are exact null
        # directions of both sides, so the damping does not bias the step along them.
        scale = hessian.diagonal(dim1=-2, dim2=-1).abs().amax(-1).clamp_min(1e-300)
        direction = -damped_solve(hessian, gradient, 1e-12 * scale)
        slope = (gradient * direction).sum(-1)
        length = unsolved.to(norm.dtype)
        for halvings in range(40):
            trial = torch.log_softmax(
                log_policy + (length[:, None] * direction).reshape(log_policy.shape), dim=-1
            )
            trial_value = level.value(trial)
            trial_gradient = level.gradient(trial).flatten(1)
            trial_norm = trial_gradient.norm(dim=-1)
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
        value = torch.where(moved, trial_value, value)
        gradient = torch.where(moved[:, None], trial_gradient, gradient)
        norm = torch.where(moved, trial_norm, norm)
    return PenalisedSolution(log_policy=log_policy, gradient_norm=norm, certified=norm <= wanted)
