"""KL-regularised control without a horizon: S x S factorisations, shared per policy.

With ``M = I - gamma P_pi``, values are ``M^-1`` applied to expected rewards, and the occupancy is
``(1-gamma) M^-T rho0`` (``docs/theory.md`` section 2.4). Policies and gradients use values up to a
constant only, and are computed without it, so that they keep their accuracy as gamma tends to 1.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from scipy import sparse
from torch import Tensor

from theory_check.errors import CertificationError
from theory_check.oracles.control.soft_control import SoftControl, reachable_states


@dataclass(frozen=True, eq=False)
class Resolvent:
    """What ``(I - gamma P)^-1`` does to vectors, for a batch of transition matrices P.

    Attributes
    ----------
    system
        ``I - gamma P``, shape (replicate, s, s).
    leak
        ``1 - gamma``, the sum of every row of the system.
    """

    system: Float[Tensor, "replicate s s"]
    leak: float

    def deviations(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``v - v(0)`` for ``v = (I - gamma P)^-1 right``, without forming v."""
        return self._bordered_solution(right)[0]

    def solve(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``(I - gamma P)^-1 right``, for one or several right-hand sides."""
        deviations, level = self._bordered_solution(right)
        return deviations + level / self.leak

    def solve_transposed(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``(I - gamma P)^-T right``; without cancellation where ``right >= 0``."""
        return _solve(self._transposed, right, adjoint=False)

    def solve_transposed_balanced(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``(I - gamma P)^-T right`` where every column of ``right`` adds up to 0.

        The columns of the solution then do as well. That is imposed, whatever rounding left of their
        sums, which would come back ``1/(1-gamma)`` times as large.
        """
        rest = right[:, 1:]
        sums = torch.zeros_like(right[:, :1])
        return _solve(self._bordered, torch.cat([sums, rest], dim=1), adjoint=True)

    def _bordered_solution(self, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``v - v(0)`` and ``(1-gamma) v(0)``.

        As the system takes constants to ``1-gamma`` times themselves, ``v = w + l/(1-gamma)`` solves it
        when ``(I - gamma P) w + l = right``. With ``w(0) = 0`` the level l takes the place of w(0).
        """
        solution = _solve(self._bordered, right, adjoint=False)
        level = solution[:, :1].clone()
        solution[:, 0] = 0.0
        return solution, level

    @cached_property
    def _bordered(self) -> tuple[Tensor, Tensor]:
        """The factors of the system with its first column replaced by ones."""
        bordered = self.system.clone()
        bordered[:, :, 0] = 1.0
        return _factorise(bordered)

    @cached_property
    def _transposed(self) -> tuple[Tensor, Tensor]:
        # The transpose is dominated by its diagonal column by column, so that no rows are exchanged
        # and non-negative right-hand sides stay free of cancellation.
        return _factorise(self.system.mT)


def _factorise(matrices: Float[Tensor, "replicate s s"]) -> tuple[Tensor, Tensor]:
    """Factorise; a matrix that is not finite gives solutions that are not, and spoils no other."""
    # Without the check: it would refuse the whole batch for one matrix.
    factors, pivots, _ = torch.linalg.lu_factor_ex(matrices)
    return factors, pivots


def _solve(factorised: tuple[Tensor, Tensor], right: Tensor, *, adjoint: bool) -> Tensor:
    columns = right[..., None] if right.ndim == 2 else right
    found: Tensor = torch.linalg.lu_solve(*factorised, columns, adjoint=adjoint)
    return found.reshape(right.shape)


class LatestResolvent:
    """Remembers the factorisations that belong to the last policy asked about.

    A policy is recognised as the same unmodified tensor, and is not kept alive.
    """

    def __init__(self) -> None:
        self._known: tuple[weakref.ref[Tensor], int, Resolvent] | None = None

    def __getstate__(self) -> dict[str, None]:
        """Forget: a copy has policies of its own, and references to others cannot be copied."""
        return {"_known": None}

    def of(self, policy: Tensor, resolvent_of: Callable[[Tensor], Resolvent]) -> Resolvent:
        """Return ``resolvent_of(policy)``."""
        if policy.is_inference():  # such tensors do not tell whether they were modified
            return resolvent_of(policy)
        if self._known is not None:
            known, version, resolvent = self._known
            if known() is policy and version == policy._version:
                return resolvent
        resolvent = resolvent_of(policy)
        self._known = (weakref.ref(policy), policy._version, resolvent)
        return resolvent


MAXIMUM_ITERATIONS = 100
# From here on a factorisation costs more than a hundred sweeps over few successors.
MANY_STATES = 1000
FEW_SUCCESSORS = 0.02
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
            latest = self._resolvent(improved).deviations(self._step_reward(reward, improved))
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
        return self._resolvent(log_policy).solve(self._step_reward(reward, log_policy))

    def state_occupancy(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate s"]:
        """Return the normalised occupancy ``d^pi = (1-gamma) (I - gamma P_pi^T)^-1 rho0``."""
        start = self._leak * self.initial.expand(log_policy.shape[0], -1)
        found = self._resolvent(log_policy).solve_transposed(start)
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
        given, resolvent = weights[:, 0], self._resolvent(log_policy)
        moves = self._changes if balanced else self.transitions
        arriving = self.discount * (given.flatten(1) @ moves.flatten(0, 1))
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
        values = self._resolvent(log_policy).solve(expected)
        ahead = (self.transitions.flatten(0, 1) @ values.mT).mT.reshape(step_reward.shape)
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
        arriving = joint.flatten(1)[:, None, :] * self.transitions.flatten(0, 1).T
        return self.discount * self._resolvent(log_policy).solve_transposed(arriving)

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
        return self._expected_change(self._resolvent(log_policy).deviations(cotangent))

    def _expected_change(
        self, value: Float[Tensor, "replicate s"]
    ) -> Float[Tensor, "replicate s a"]:
        """Return ``sum_{s'} P(s'|s, a) value(s') - value(s)``: all that a choice of action needs."""
        change = (self._changes.flatten(0, 1) @ value.mT).mT
        return change.reshape(-1, *self.policy_shape[1:])

    @cached_property
    def _changes(self) -> Float[Tensor, "s a t"]:
        """``P(s'|s, a) - 1[s' = s]``, without subtracting from 1 where a state is hardly left."""
        changes = self.transitions.clone()
        own = changes.diagonal(dim1=0, dim2=2)
        own.zero_()
        own.copy_(-changes.sum(-1).T)
        return changes

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
        successors each those after sweeps of value iteration, which then spare most factorisations.
        """
        if self._sparse_moves is not None:
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
        """Rows of the kernel, where states are many and their successors few."""
        if self.policy_shape[1] < MANY_STATES:
            return None
        moves = sparse.csr_array(self.transitions.flatten(0, 1).cpu().numpy())
        return moves if moves.nnz <= FEW_SUCCESSORS * self.transitions.numel() else None

    @property
    def _leak(self) -> float:
        return 1 - self.discount

    @cached_property
    def _reachable(self) -> Bool[Tensor, " s"]:
        return reachable_states(self.transitions, self.initial, self.absent_anywhere)

    @cached_property
    def _reference_resolvent(self) -> Resolvent:
        return self._new_resolvent(self.log_reference[None])

    def _improved(
        self, reward: Tensor, value: Float[Tensor, "replicate s"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the policy that is soft-greedy for state values."""
        action_value = reward + self.discount * self._expected_change(value)
        scaled = self.log_reference[0] + action_value / self.kl_weight
        return self.normalised(scaled[:, None])

    def _resolvent(self, log_policy: Float[Tensor, "replicate h s a"]) -> Resolvent:
        """Return what solves systems of ``I - gamma P_pi``, once for all questions about one policy."""
        return self._latest.of(log_policy, self._new_resolvent)

    def _new_resolvent(self, log_policy: Float[Tensor, "replicate h s a"]) -> Resolvent:
        return Resolvent(self.system(log_policy), self._leak)

    def system(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate s s"]:
        """Return ``I - gamma P_pi``.

        As ``(1-gamma) I + gamma (I - P_pi)``, which keeps the rates at which states are left.
        """
        system = torch.einsum("rsa,sat->rst", log_policy[:, 0].exp(), self._changes)
        system.mul_(-self.discount)
        system.diagonal(dim1=-2, dim2=-1).add_(self._leak)
        return system
