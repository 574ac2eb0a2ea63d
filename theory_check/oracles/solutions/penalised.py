"""The penalised lower level over enumerated trajectories, with analytic gradient and Hessian in logits.

``docs/theory.md`` section 3.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.oracles.comparisons import Comparisons, DiscountedComparisons
from theory_check.oracles.comparisons.pairs import PairLoss, PairMoments
from theory_check.oracles.control.soft_control import divergence_density
from theory_check.oracles.solutions.level import PenalisedLowerLevel, to_logits


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

    def rows(self, replicates: slice) -> EnumeratedPenalisedLevel:
        """Return the same level for some of the replicates."""
        return replace(self, reward=self.reward[replicates], optimal=self.optimal[replicates])

    def value(self, log_policy: Float[Tensor, "replicate h s a"]) -> Float[Tensor, " replicate"]:
        """Return ``sigma G + (J* - J)``."""
        upper = self._moments(self.comparisons.probabilities(log_policy)).value
        return self.sigma * upper + self.control.lower_gap(log_policy, self.optimal)

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
        policy = log_policy.exp()
        replicates, logits = policy.flatten(1).shape
        hessian = self._table_hessian(log_policy)
        for _ in range(2):  # the same for both sides of a symmetric matrix
            rows = hessian.reshape(replicates, logits, *policy.shape[1:])
            hessian = to_logits(policy[:, None], rows).reshape(hessian.shape).mT
        total = self.table_gradient(log_policy).sum(-1).flatten(1)[..., None, None]
        softmax = policy.flatten(1, 2)
        covariance = torch.diag_embed(softmax) - softmax[..., :, None] * softmax[..., None, :]
        return _subtract_from_blocks(hessian.contiguous(), total * covariance)

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


@dataclass(frozen=True, eq=False, kw_only=True)
class EpisodicPenalisedLevel(EnumeratedPenalisedLevel):
    """The penalised lower level over whole trajectories; see :class:`EnumeratedPenalisedLevel`.

    The gap is ``sum_tau rho(tau) beta sum_h gamma^h (y_h + exp(-y_h) - 1)``.
    """

    def table_gradient(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient in the entries of the log-policy table."""
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


@dataclass(frozen=True, eq=False, kw_only=True)
class DiscountedPenalisedLevel(EnumeratedPenalisedLevel):
    """The penalised lower level over segments; see :class:`EnumeratedPenalisedLevel`.

    To first order around a policy the level is ``sum_s d^pi(s) k(s)``, where ``k(s)`` adds the slopes of
    the pair loss over segments that start in s and ``beta/(1-gamma) KL(pi(.|s) || pi*(.|s))``. With
    ``u = (I - gamma P_pi)^-1 k`` its occupancy part has the derivative
    ``gamma d^pi(s) pi(a|s) (P u)(s, a)``.
    """

    comparisons: DiscountedComparisons

    def table_gradient(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient in the entries of the log-policy table."""
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


def _subtract_from_blocks(
    matrices: Float[Tensor, "replicate logit logit"], blocks: Float[Tensor, "replicate row a a"]
) -> Float[Tensor, "replicate logit logit"]:
    """Subtract one block of each row of logits from the diagonal, in place."""
    replicates, rows, actions, _ = blocks.shape
    # A view whose two row indices are tied together: its diagonal blocks.
    diagonal = matrices.reshape(replicates, rows, actions, rows, actions).diagonal(dim1=1, dim2=3)
    diagonal.sub_(blocks.permute(0, 2, 3, 1))
    return matrices
