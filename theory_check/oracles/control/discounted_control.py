"""KL-regularised control without a horizon: S x S factorisations, shared per policy.

With ``M = I - gamma P_pi``, values are ``M^-1`` applied to expected rewards, and the occupancy is
``(1-gamma) M^-T rho0`` (``docs/theory.md`` section 2.4). Policies and gradients use values up to a
constant only, and are computed without it, so that they keep their accuracy as gamma tends to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from scipy import sparse
from torch import Tensor

from theory_check.errors import CertificationError
from theory_check.oracles.control.resolvent import LatestResolvent, Resolvent, Solves
from theory_check.oracles.control.soft_control import SoftControl, reachable_states
from theory_check.oracles.control.sparse_resolvent import SparseResolvent, Systems
from theory_check.problems.dynamics import FEW_SUCCESSORS, MANY_STATES, SparseDynamics
from theory_check.problems.moves import SparseMoves

MAXIMUM_ITERATIONS = 100
LARGEST_SWEEPS = 2000
# Change of the values, relative to their size, from which one step of Newton's method is exact.
SWEPT = 1e-9
# Error of the values, relative to their size, that is left to rounding.
VALUE_TOLERANCE = 1e-15
# Change of the values, relative to their size, that is rounding where states mix.
ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class DiscountedControl(SoftControl):
    """Stationary policies, discount below 1; see :class:`SoftControl`."""

    _latest: LatestResolvent = field(default_factory=LatestResolvent, init=False, repr=False)

    @property
    def magnification(self) -> float:
        """States times the condition of a system in which they do not mix."""
        return self.policy_shape[1] / self._leak

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
        effective_horizon = 1 / self._leak
        remainder = self.discount**2 * effective_horizon / (2 * self.kl_weight)
        value = self._first_deviations(reward)
        before = torch.full_like(value[:, 0], torch.inf)
        for _ in range(MAXIMUM_ITERATIONS):
            improved = self._improved(reward, value)
            latest = self.resolvent(improved).deviations(self._step_reward(reward, improved))
            change = (latest - value).abs().amax(-1)
            value = latest
            size = value.abs().amax(-1).clamp_min(self.kl_weight)
            moving = remainder * change**2 > VALUE_TOLERANCE * size
            moving &= change > ROUNDING * size
            # Where states hardly mix, rounding is up to an effective horizon larger: it does not shrink.
            moving &= (change > ROUNDING * effective_horizon * size) | (change < before / 2)
            if not bool(moving.any()):  # a change that is not a number is not moving
                return self._improved(reward, value)
            before = change
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
        return self.resolvent(log_policy).solve(self._step_reward(reward, log_policy))

    def state_occupancy(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate s"]:
        """Return the normalised occupancy ``d^pi = (1-gamma) (I - gamma P_pi^T)^-1 rho0``."""
        start = self._leak * self.initial.expand(log_policy.shape[0], -1)
        found = self.resolvent(log_policy).solve_transposed(start)
        # Its size is what 1/(1-gamma) spoils, and is known.
        found = (found / found.sum(-1, keepdim=True)).clamp_min(0.0)
        # Rounding must not make a probability negative, nor reach what no policy does.
        return torch.where(self._reachable, found, 0.0)

    def discounted_occupancy(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``sum_h gamma^h Pr(s_h = s, a_h = a) = d^pi(s) pi(a|s) / (1-gamma)``."""
        states = self.state_occupancy(log_policy) / self._leak
        return states[:, None, :, None] * log_policy.exp()

    def continued_visits(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate h s a"],
        *,
        balanced: bool = False,
    ) -> Float[Tensor, "replicate s a"]:
        """Return weighted visits from each step on: one S x S solve.

        ``c + pi m`` with ``m = (I - gamma P_pi^T)^-1 gamma P^T c`` (``docs/theory.md`` section 2.4).
        """
        given, resolvent = weights[:, 0], self.resolvent(log_policy)
        moves = self.dynamics.changes if balanced else self.dynamics.moves
        arriving = self.discount * moves.pushed(given)
        solve = resolvent.solve_transposed_balanced if balanced else resolvent.solve_transposed
        carried = solve(arriving)
        return given + log_policy[:, 0].exp() * carried[..., None]

    def returns_to_go(
        self,
        step_reward: Float[Tensor, "replicate h s a"],
        log_policy: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``Q = c + gamma P (I - gamma P_pi)^-1 sum_a pi c``."""
        expected = (log_policy.exp() * step_reward).sum((1, 3))
        values = self.resolvent(log_policy).solve(expected)
        ahead = self.dynamics.moves.mean(values).reshape(step_reward.shape)
        return step_reward + self.discount * ahead

    def gap_gradient(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        optimal: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient of the gap, the divergence to come by an S x S solve."""
        density = self.kl_weight * (log_policy - optimal)
        own = (log_policy.exp() * density).sum((1, 3)) / self._leak
        through = self.pull_back_through_occupancy(log_policy, own)
        return through + self.discounted_occupancy(log_policy) * density

    def pull_back_through_occupancy(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        cotangent: Float[Tensor, "replicate s"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient in ``log pi`` of ``sum(cotangent * d^pi)`` along policies.

        ``gamma d^pi(s) pi(a|s) (P u - u)(s, a)`` with ``(I - gamma P_pi) u = cotangent - c``. Where
        rows of the policy stay distributions, neither the constant c nor ``u(s)`` is seen; c is the
        one with which u is 0 in the first state, so that u has no part of size ``1/(1-gamma)``.
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
        table = self.dynamics.dense("the derivative of occupancies").to(joint.device)
        arriving = joint.flatten(1)[:, None, :] * table.flatten(0, 1).T
        return self.discount * self.resolvent(log_policy).solve_transposed(arriving)

    def occupancy_curvature(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        jacobian: Float[Tensor, "replicate s step"],
        cotangent: Float[Tensor, "replicate s"],
    ) -> Float[Tensor, "replicate step step"]:
        """Return the second derivative of ``sum(cotangent * d^pi)`` in ``log pi``, along policies.

        The product rule for the table of :meth:`pull_back_through_occupancy`: its factors ``d^pi(s)``
        and ``(P u - u)(s, a)`` contribute transposes of one matrix, ``pi(a|s)`` the diagonal.
        """
        policy = log_policy[:, 0].exp()
        scaled = self.discount * policy * self._expected_ahead(log_policy, cotangent)
        rows = scaled.flatten(1)[:, :, None] * jacobian.repeat_interleave(policy.shape[-1], dim=1)
        diagonal = self.state_occupancy(log_policy)[..., None] * scaled
        return rows + rows.mT + torch.diag_embed(diagonal.flatten(1))

    def _expected_ahead(
        self, log_policy: Tensor, cotangent: Float[Tensor, "replicate s"]
    ) -> Float[Tensor, "replicate s a"]:
        """Return ``P u - u`` with the u of :meth:`pull_back_through_occupancy`."""
        return self._expected_change(self.resolvent(log_policy).deviations(cotangent))

    def _expected_change(
        self, value: Float[Tensor, "replicate s"]
    ) -> Float[Tensor, "replicate s a"]:
        """Return ``sum_{s'} P(s'|s, a) value(s') - value(s)``: all that a choice of action needs."""
        return self.dynamics.changes.mean(value)

    def _step_reward(
        self, reward: Tensor, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate s"]:
        """Return the expected regularised reward of a step from every state."""
        stationary = log_policy[:, 0]
        step_reward = reward - self.kl_weight * (stationary - self.log_reference[0])
        return (stationary.exp() * step_reward).sum(-1)

    def _first_deviations(
        self, reward: Float[Tensor, "replicate s a"]
    ) -> Float[Tensor, "replicate s"]:
        """Return the values where policy iteration starts, up to a constant.

        Those of the reference policy, whose system is the same for all rewards; in many states with few
        successors each those after sweeps of value iteration, which then spare most factorisations,
        unless these are of narrow sparse systems.
        """
        if self._sparse_moves is not None and not self._narrow:
            return self._swept(reward, self._sparse_moves)
        expected = (self.log_reference[0].exp() * reward).sum(-1)
        return self._reference_resolvent.deviations(expected.T[None])[0].T

    def _swept(
        self, reward: Float[Tensor, "replicate s a"], moves: sparse.csr_array
    ) -> Float[Tensor, "replicate s"]:
        """Return the values after soft value iteration, until they change by rounding's root."""
        offered = self.existing(self.kl_weight * self.log_reference[0] + reward)
        value = torch.zeros_like(reward[:, :, 0])
        for _ in range(LARGEST_SWEEPS):
            ahead = torch.from_numpy((moves @ value.cpu().numpy().T).T.copy()).to(reward.device)
            action_value = offered + self.discount * ahead.reshape(reward.shape)
            latest = self.kl_weight * torch.logsumexp(action_value / self.kl_weight, dim=-1)
            latest = latest - latest[:, :1]
            change, value = (latest - value).abs().amax(-1), latest
            size = value.abs().amax(-1).clamp_min(self.kl_weight)
            if not bool((change > SWEPT * size).any()):
                break
        return value

    @cached_property
    def _sparse_moves(self) -> sparse.csr_array | None:
        """Rows of the kernel, where states are many and their successors few.

        From there on a factorisation costs more than a hundred sweeps over them.
        """
        moves = self.dynamics.moves
        if isinstance(moves, SparseMoves):
            return moves.rows
        if self.policy_shape[1] < MANY_STATES:
            return None
        few = self.dynamics.possible <= FEW_SUCCESSORS * moves.table.numel()
        return self.dynamics.matrix if few else None

    @property
    def _leak(self) -> float:
        return 1 - self.discount

    @property
    def _narrow(self) -> bool:
        """Whether systems of a sparse kernel are factorised: that then costs less than many sweeps."""
        if not isinstance(self.dynamics, SparseDynamics):
            return False
        reference = self._reference_resolvent
        return isinstance(reference, SparseResolvent) and reference.factorised

    @cached_property
    def _reachable(self) -> Bool[Tensor, " s"]:
        return reachable_states(self.dynamics, self.initial, self.absent_anywhere)

    @cached_property
    def _reference_resolvent(self) -> Solves:
        return self._new_resolvent(self.log_reference[None])

    def _improved(
        self, reward: Tensor, value: Float[Tensor, "replicate s"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the policy that is soft-greedy for state values."""
        action_value = reward + self.discount * self._expected_change(value)
        scaled = self.log_reference[0] + action_value / self.kl_weight
        return self.normalised(scaled[:, None])

    def resolvent(self, log_policy: Float[Tensor, "replicate h s a"]) -> Solves:
        """Return what solves systems of ``I - gamma P_pi``, once for all questions about one policy."""
        return self._latest.of(log_policy, self._new_resolvent)

    def _new_resolvent(self, log_policy: Float[Tensor, "replicate h s a"]) -> Solves:
        if isinstance(self.dynamics.changes, SparseMoves):
            return SparseResolvent(self.sparse_systems(log_policy), self.discount)
        return Resolvent(self.system(log_policy), self._leak)

    def system(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate s s"]:
        """Return ``I - gamma P_pi``.

        As ``(1-gamma) I + gamma (I - P_pi)``, which keeps the rates at which states are left.
        """
        changes = self.dynamics.changes
        assert not isinstance(changes, SparseMoves)  # those have sparse systems
        system = torch.einsum("rsa,sat->rst", log_policy[:, 0].exp(), changes.table)
        system.mul_(-self.discount)
        system.diagonal(dim1=-2, dim2=-1).add_(self._leak)
        return system

    def sparse_systems(self, log_policy: Float[Tensor, "replicate h s a"]) -> Systems:
        """Return the same of a sparse kernel, a sparse matrix for every replicate."""
        changes = self.dynamics.changes
        assert isinstance(changes, SparseMoves)
        own = sparse.eye_array(self.policy_shape[1], format="csr") * self._leak
        moves = changes.under(log_policy[:, 0].exp())
        return [sparse.csr_array(own - self.discount * each) for each in moves]
