"""``sigma G + g`` over enumerated trajectories, with analytic gradient and Hessian in logits.

``docs/theory.md`` section 3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.oracles.comparisons import Comparisons, DiscountedComparisons
from theory_check.oracles.comparisons.pairs import PairLoss, PairMoments
from theory_check.oracles.control.soft_control import divergence_density
from theory_check.oracles.solutions.level import PenalisedLowerLevel, to_logits


@dataclass(frozen=True, eq=False)
class PenalisedPoint(ABC):
    """What value, gradient and Hessian of a level share at one policy, each computed once.

    Attributes
    ----------
    level, log_policy
        The level and the policy, shape (replicate, h, s, a).
    """

    level: EnumeratedPenalisedLevel
    log_policy: Float[Tensor, "replicate h s a"]

    @cached_property
    def law(self) -> Float[Tensor, "replicate trajectory"]:
        """The law of what is compared."""
        return self.level.comparisons.probabilities(self.log_policy)

    @cached_property
    def moments(self) -> PairMoments:
        """Moments of the pair loss under it."""
        space = self.level.comparisons.space
        returns = space.class_returns(self.level.reward)
        return self.level.pair_loss.moments(returns, space.sum_by_class(self.law))

    @cached_property
    def pair_slope(self) -> Float[Tensor, "replicate trajectory"]:
        """The derivative of ``sigma G`` in each trajectory's probability."""
        class_of = self.level.comparisons.space.class_of
        return 2 * self.level.sigma * self.moments.mean_loss[:, class_of]

    @cached_property
    def occupancy(self) -> Float[Tensor, "replicate h s a"]:
        """Discounted visits of the table's entries."""
        return self.level.control.discounted_occupancy(self.log_policy)

    @cached_property
    @abstractmethod
    def table_gradient(self) -> Float[Tensor, "replicate h s a"]:
        """The gradient in the entries of the log-policy table."""

    @property
    @abstractmethod
    def table_hessian(self) -> Float[Tensor, "replicate step step"]:
        """The Hessian in the entries of the log-policy table."""


@dataclass(eq=False)
class LatestPoint:
    """Remembers the point of the last policy asked about: the same tensor, to which nobody wrote."""

    _known: tuple[Tensor, int, PenalisedPoint] | None = None

    def of(
        self, log_policy: Tensor, point_at: Callable[[Tensor], PenalisedPoint]
    ) -> PenalisedPoint:
        """Return ``point_at(log_policy)``."""
        # One of a graph would keep the graph, and inference tensors do not tell whether they changed.
        if log_policy.requires_grad or log_policy.is_inference():
            return point_at(log_policy)
        known = self._known
        if known is not None and known[0] is log_policy and known[1] == log_policy._version:
            return known[2]
        point = point_at(log_policy)
        self._known = (log_policy, log_policy._version, point)
        return point


@dataclass(frozen=True, eq=False, kw_only=True)
class EnumeratedPenalisedLevel(PenalisedLowerLevel):
    """The level over enumerated trajectories, whose Hessian is formed.

    Attributes
    ----------
    comparisons, pair_loss
        The problem's comparisons and pair loss.
    """

    comparisons: Comparisons
    pair_loss: PairLoss
    _latest: LatestPoint = field(default_factory=LatestPoint, init=False, repr=False)

    def rows(self, replicates: slice) -> EnumeratedPenalisedLevel:
        """Return the same level for some of the replicates."""
        return replace(self, reward=self.reward[replicates], optimal=self.optimal[replicates])

    def value(self, log_policy: Float[Tensor, "replicate h s a"]) -> Float[Tensor, " replicate"]:
        """Return ``sigma G + (J* - J)``."""
        point = self._at(log_policy)
        gap = self.control.lower_gap(log_policy, self.optimal, point.occupancy)
        return self.sigma * point.moments.value + gap

    def table_gradient(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient in the entries of the log-policy table."""
        return self._at(log_policy).table_gradient

    def largest_return(self) -> Float[Tensor, " replicate"]:
        """Return the largest size of a return of a trajectory."""
        return self.comparisons.space.class_returns(self.reward).abs().amax(-1)

    def hessian(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate logit logit"]:
        """Return the Hessian in the logits.

        That in the table, taken through ``log_softmax`` on both sides, and the curvature of
        ``log_softmax`` itself.
        """
        policy, point = log_policy.exp(), self._at(log_policy)
        replicates, logits = policy.flatten(1).shape
        hessian = point.table_hessian
        for _ in range(2):  # the same for both sides of a symmetric matrix
            rows = hessian.reshape(replicates, logits, *policy.shape[1:])
            hessian = to_logits(policy[:, None], rows).reshape(hessian.shape).mT
        total = point.table_gradient.sum(-1).flatten(1)[..., None, None]
        softmax = policy.flatten(1, 2)
        covariance = torch.diag_embed(softmax) - softmax[..., :, None] * softmax[..., None, :]
        return _subtract_from_blocks(hessian.contiguous(), total * covariance)

    @abstractmethod
    def _point(self, log_policy: Float[Tensor, "replicate h s a"]) -> PenalisedPoint:
        """Return what is to be known at a policy."""

    def _at(self, log_policy: Float[Tensor, "replicate h s a"]) -> PenalisedPoint:
        return self._latest.of(log_policy, self._point)

    def pair_curvature(
        self, by_class: Float[Tensor, "replicate class step"]
    ) -> Float[Tensor, "replicate step step"]:
        """Return the second derivative of ``sigma G`` along changes of the class probabilities."""
        returns = self.comparisons.space.class_returns(self.reward)
        return 2 * self.sigma * self.pair_loss.quadratic_form(returns, by_class)

    def by_class(
        self, values: Float[Tensor, "replicate trajectory column"]
    ) -> Float[Tensor, "replicate class column"]:
        """Add values over the members of each class."""
        space = self.comparisons.space
        total = values.new_zeros(values.shape[0], space.number_of_classes, values.shape[-1])
        return total.index_add_(1, space.class_of, values)


@dataclass(frozen=True, eq=False, kw_only=True)
class EpisodicPenalisedLevel(EnumeratedPenalisedLevel):
    """The penalised lower level over whole trajectories; see :class:`EnumeratedPenalisedLevel`."""

    def _point(self, log_policy: Float[Tensor, "replicate h s a"]) -> PenalisedPoint:
        return EpisodicPoint(self, log_policy)


@dataclass(frozen=True, eq=False)
class EpisodicPoint(PenalisedPoint):
    """The gap is ``sum_tau rho(tau) beta sum_h gamma^h (y_h + exp(-y_h) - 1)``, over trajectories."""

    @cached_property
    def table_gradient(self) -> Float[Tensor, "replicate h s a"]:
        """The gradient in the entries of the log-policy table."""
        level = self.level
        along = level.comparisons.policy_gradient(self.log_policy, self.law * self.slope)
        change = torch.expm1(level.optimal - self.log_policy)
        return along - level.control.kl_weight * self.occupancy * change

    @property
    def table_hessian(self) -> Float[Tensor, "replicate step step"]:
        """The Hessian in the entries of the log-policy table."""
        level, beta = self.level, self.level.control.kl_weight
        space = level.comparisons.space
        weighted = self.law[:, :, None] * space.steps
        table = space.steps.T @ (self.slope[:, :, None] * weighted)
        ratio = level.optimal - self.log_policy
        step_slope = -beta * space.entry_discounts * torch.expm1(ratio).flatten(1)
        cross = (space.steps.T @ weighted) * step_slope[:, None, :]
        own = (beta * self.occupancy * ratio.exp()).flatten(1)
        return (
            table
            + level.pair_curvature(level.by_class(weighted))
            + cross
            + cross.mT
            + torch.diag_embed(own)
        )

    @cached_property
    def slope(self) -> Float[Tensor, "replicate trajectory"]:
        """The derivative in each trajectory's probability."""
        space = self.level.comparisons.space
        density = divergence_density(self.log_policy - self.level.optimal)
        discounts = space.entry_discounts.reshape(density.shape[1:])
        divergence = space.sum_along(density * discounts)
        return self.pair_slope + self.level.control.kl_weight * divergence


@dataclass(frozen=True, eq=False, kw_only=True)
class DiscountedPenalisedLevel(EnumeratedPenalisedLevel):
    """The penalised lower level over segments; see :class:`EnumeratedPenalisedLevel`."""

    comparisons: DiscountedComparisons

    def _point(self, log_policy: Float[Tensor, "replicate h s a"]) -> PenalisedPoint:
        return DiscountedPoint(self, log_policy)


@dataclass(frozen=True, eq=False)
class DiscountedPoint(PenalisedPoint):
    """Over segments the level is, to first order around a policy, ``sum_s d^pi(s) k(s)``.

    ``k(s)`` adds the slopes of the pair loss over segments that start in s and
    ``beta/(1-gamma) KL(pi(.|s) || pi*(.|s))``. With ``u = (I - gamma P_pi)^-1 k`` its occupancy part has
    the derivative ``gamma d^pi(s) pi(a|s) (P u)(s, a)``.
    """

    level: DiscountedPenalisedLevel

    @cached_property
    def table_gradient(self) -> Float[Tensor, "replicate h s a"]:
        """The gradient in the entries of the log-policy table."""
        comparisons, control = self.level.comparisons, self.level.comparisons.control
        along = comparisons.space.to_policy_table(self.law * self.pair_slope, control.policy_shape)
        through = control.pull_back_through_occupancy(self.log_policy, self.state_slope)
        divergence = self.occupancy * (self.log_policy - self.level.optimal)
        return along + through + control.kl_weight * divergence

    @property
    def table_hessian(self) -> Float[Tensor, "replicate step step"]:
        """The Hessian in the entries of the log-policy table."""
        level, log_policy = self.level, self.log_policy
        space, control = level.comparisons.space, level.comparisons.control
        occupancy_slope = control.occupancy_jacobian(log_policy)
        start = _one_hot(space.states[:, 0], occupancy_slope.shape[1]).to(self.law)
        law_slope = self.law[:, :, None] * space.steps
        by_class = level.by_class(self.given_start[:, :, None] * start) @ occupancy_slope
        by_class += level.by_class(law_slope)

        table = space.steps.T @ (self.pair_slope[:, :, None] * law_slope)
        log_ratio = log_policy - level.optimal
        weight = control.kl_weight * self.occupancy
        table.diagonal(dim1=-2, dim2=-1).add_((weight * (log_ratio + 1)).flatten(1))

        cross = occupancy_slope.mT @ self._state_slope_jacobian(
            (self.pair_slope * self.given_start)[:, :, None] * space.steps
        )
        through = control.occupancy_curvature(log_policy, occupancy_slope, self.state_slope)
        return table + level.pair_curvature(by_class) + cross + cross.mT + through

    @cached_property
    def given_start(self) -> Float[Tensor, "replicate trajectory"]:
        """The law of segments given their first state."""
        return self.level.comparisons.space.probabilities(self.log_policy)

    @cached_property
    def state_slope(self) -> Float[Tensor, "replicate s"]:
        """``k``."""
        space, control = self.level.comparisons.space, self.level.comparisons.control
        pairs = space.sum_by_first_state(
            self.given_start * self.pair_slope, control.policy_shape[1]
        )
        log_ratio = self.log_policy - self.level.optimal
        density = self.log_policy.exp() * divergence_density(log_ratio)
        return pairs + control.kl_weight / (1 - control.discount) * density.sum((1, 3))

    def _state_slope_jacobian(
        self, along: Float[Tensor, "replicate segment step"]
    ) -> Float[Tensor, "replicate s step"]:
        """Return the derivative of ``k`` at fixed pair slopes; ``along`` is that of its segments."""
        space, control = self.level.comparisons.space, self.level.comparisons.control
        states, log_ratio = control.policy_shape[1], self.log_policy - self.level.optimal
        own = (self.log_policy.exp() * log_ratio)[:, 0]
        spread = torch.einsum("rsa,st->rsta", own, torch.eye(states).to(own)).flatten(2)
        jacobian = control.kl_weight / (1 - control.discount) * spread
        return jacobian.index_add_(1, space.states[:, 0], along)


def _one_hot(index: Tensor, number: int) -> Tensor:
    return torch.nn.functional.one_hot(index, number)


def _subtract_from_blocks(
    matrices: Float[Tensor, "replicate logit logit"], blocks: Float[Tensor, "replicate row a a"]
) -> Float[Tensor, "replicate logit logit"]:
    """Subtract one block of each row of logits from the diagonal, in place."""
    replicates, rows, actions, _ = blocks.shape
    # A view whose two row indices are tied together: its diagonal blocks.
    diagonal = matrices.reshape(replicates, rows, actions, rows, actions).diagonal(dim1=1, dim2=3)
    diagonal.sub_(blocks.permute(0, 2, 3, 1))
    return matrices
