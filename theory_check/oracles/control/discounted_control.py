"""KL-regularised control without a horizon: one S x S factorisation per policy.

With ``M = I - gamma P_pi``, values are ``M^-1`` applied to expected rewards, and the occupancy is
``(1-gamma) M^-T rho0`` (``docs/theory.md`` section 2.4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.errors import CertificationError
from theory_check.oracles.control.reachability import reachable_states
from theory_check.oracles.control.resolvent import LatestResolvent, Resolvent
from theory_check.oracles.control.soft_control import SoftControl

MAXIMUM_ITERATIONS = 100
# Error of the values, relative to their size, that is left to rounding.
VALUE_TOLERANCE = 1e-15
# Change of the values, relative to their size over 1 - gamma, that is rounding.
ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class DiscountedControl(SoftControl):
    """Stationary policies, discount below 1; see :class:`SoftControl`."""

    _latest: LatestResolvent = field(default_factory=LatestResolvent, init=False, repr=False)

    def optimal_log_policy(
        self, reward: Float[Tensor, "replicate s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``log pi*``: the fixed point of the soft Bellman equations of section 2.1.

        Soft policy iteration, which is Newton's method on the equations: it improves
        monotonically from any policy, and quadratically near the optimum. A step of size D leaves
        an error of at most ``gamma^2 D^2 / (2 beta (1-gamma))`` (section 2.4).

        Raises
        ------
        CertificationError
            If the values of a finite reward still change after ``MAXIMUM_ITERATIONS`` improvements.
        """
        effective_horizon = 1 / (1 - self.discount)
        remainder = self.discount**2 * effective_horizon / (2 * self.kl_weight)
        value = self._reference_values(reward)
        for _ in range(MAXIMUM_ITERATIONS):
            latest = self.values(reward, self._improved(reward, value))
            change = (latest - value).abs().amax(-1)
            value = latest
            size = value.abs().amax(-1).clamp_min(1.0)
            moving = remainder * change**2 > VALUE_TOLERANCE * size
            moving &= change > ROUNDING * effective_horizon * size
            if not bool(moving.any()):  # a change that is not a number is not moving
                return self._improved(reward, value)
        raise CertificationError(
            f"soft policy iteration still moved the values by {change.max().item():.1e} after "
            f"{MAXIMUM_ITERATIONS} improvements; use a smaller discount or rewards of moderate size"
        )

    def values(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate s"]:
        """Return the regularised value of a policy from every state."""
        stationary = log_policy[:, 0]
        step_reward = reward - self.kl_weight * (stationary - self.log_reference[0])
        expected = (stationary.exp() * step_reward).sum(-1)
        return self._resolvent(log_policy).solve(expected)

    def state_occupancy(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate s"]:
        """Return the normalised occupancy ``d^pi = (1-gamma) (I - gamma P_pi^T)^-1 rho0``."""
        start = (1 - self.discount) * self.initial.expand(log_policy.shape[0], -1)
        found = self._resolvent(log_policy).solve_transposed(start).clamp_min(0.0)
        # Rounding must not make a probability negative, nor reach what no policy does.
        return torch.where(self._reachable, found, 0.0)

    def discounted_occupancy(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``sum_h gamma^h Pr(s_h = s, a_h = a) = d^pi(s) pi(a|s) / (1-gamma)``."""
        states = self.state_occupancy(log_policy) / (1 - self.discount)
        return states[:, None, :, None] * log_policy.exp()

    def continued_visits(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate s a"]:
        """Return weighted visits from each step on: one S x S solve.

        ``c + pi m`` with ``m = (I - gamma P_pi^T)^-1 gamma P^T c`` (``docs/theory.md`` section 2.4).
        """
        given = weights[:, 0]
        arriving = self.discount * (given.flatten(1) @ self.transitions.flatten(0, 1))
        carried = self._resolvent(log_policy).solve_transposed(arriving)
        return given + log_policy[:, 0].exp() * carried[..., None]

    def pull_back_through_occupancy(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        cotangent: Float[Tensor, "replicate s"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient in ``log pi`` (entries free) of ``sum(cotangent * d^pi)``.

        ``gamma d^pi(s) pi(a|s) (P u)(s, a)`` with ``u = (I - gamma P_pi)^-1 cotangent``.
        """
        joint = self.state_occupancy(log_policy)[:, None, :, None] * log_policy.exp()
        return self.discount * joint * self._expected_ahead(log_policy, cotangent)[:, None]

    def occupancy_jacobian(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate s step"]:
        """Return the derivative of ``d^pi`` in the entries of ``log pi``.

        ``gamma (I - gamma P_pi^T)^-1 P(.|s, a) d^pi(s) pi(a|s)`` at (s, a).
        """
        joint = self.state_occupancy(log_policy)[..., None] * log_policy[:, 0].exp()
        arriving = joint.flatten(1)[:, None, :] * self.transitions.flatten(0, 1).T
        return self.discount * self._resolvent(log_policy).solve_transposed(arriving)

    def occupancy_curvature(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        jacobian: Float[Tensor, "replicate s step"],
        cotangent: Float[Tensor, "replicate s"],
    ) -> Float[Tensor, "replicate step step"]:
        """Return the second derivative of ``sum(cotangent * d^pi)`` in the entries of ``log pi``.

        The product rule for :meth:`pull_back_through_occupancy`: its factors ``d^pi(s)`` and
        ``(P u)(s, a)`` contribute transposes of one matrix, ``pi(a|s)`` the diagonal.
        """
        policy = log_policy[:, 0].exp()
        scaled = self.discount * policy * self._expected_ahead(log_policy, cotangent)
        rows = scaled.flatten(1)[:, :, None] * jacobian.repeat_interleave(policy.shape[-1], dim=1)
        diagonal = self.state_occupancy(log_policy)[..., None] * scaled
        return rows + rows.mT + torch.diag_embed(diagonal.flatten(1))

    def _expected_ahead(
        self, log_policy: Tensor, cotangent: Float[Tensor, "replicate s"]
    ) -> Float[Tensor, "replicate s a"]:
        """Return ``P (I - gamma P_pi)^-1 cotangent``."""
        return self._next_value(self._resolvent(log_policy).solve(cotangent))

    def _next_value(self, value: Float[Tensor, "replicate s"]) -> Float[Tensor, "replicate s a"]:
        """Return ``sum_{s'} P(s'|s, a) value(s')``."""
        ahead = (self.transitions.flatten(0, 1) @ value.mT).mT
        return ahead.reshape(-1, *self.policy_shape[1:])

    def _reference_values(
        self, reward: Float[Tensor, "replicate s a"]
    ) -> Float[Tensor, "replicate s"]:
        """Return the value of the reference policy, whose system is the same for all rewards."""
        expected = (self.log_reference[0].exp() * reward).sum(-1)
        return self._reference_resolvent.solve(expected.T[None])[0].T

    @cached_property
    def _reachable(self) -> Bool[Tensor, " s"]:
        return reachable_states(self.transitions, self.initial)

    @cached_property
    def _reference_resolvent(self) -> Resolvent:
        return Resolvent.of(self.system(self.log_reference[None]))

    def _improved(
        self, reward: Tensor, value: Float[Tensor, "replicate s"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the policy that is soft-greedy for state values."""
        action_value = reward + self.discount * self._next_value(value)
        scaled = self.log_reference[0] + action_value / self.kl_weight
        return torch.log_softmax(scaled, dim=-1)[:, None]

    def _resolvent(self, log_policy: Float[Tensor, "replicate h s a"]) -> Resolvent:
        """Return ``(I - gamma P_pi)^-1``, factorised once for all questions about one policy."""
        return self._latest.of(log_policy, self.system)

    def system(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate s s"]:
        """Return ``I - gamma P_pi``."""
        system = torch.einsum("rsa,sat->rst", log_policy[:, 0].exp(), self.transitions)
        system.mul_(-self.discount)
        system.diagonal(dim1=-2, dim2=-1).add_(1.0)
        return system
