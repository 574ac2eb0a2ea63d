"""The linear system of the response: an unknown for every step and state.

``(I - gamma P_pi)^T w = b`` with ``b_h(s) = B_h(s) - gamma sum_{s',a'} P(s|s',a') b_{h-1}(s',a')`` and
``B_h(s) = sum_a b_h(s, a)``; then ``dPhi/dr = dG/dr + (sum_h b_h - pi_h w_h) / beta``. Source: M-SoBiRL
(2405.19697); it is the adjoint of ``docs/theory.md`` section 2.3 in the unknown ``w = B - beta m``
(section 7.5).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.models import RewardModel
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.episodic_control import EpisodicControl
from theory_check.oracles.control.layered_control import LayeredControl
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.control.sparse_resolvent import Systems


@dataclass(frozen=True, eq=False)
class UpperTables:
    """Gradients of ``G`` from one batch of labelled pairs.

    Attributes
    ----------
    in_reward
        ``dG/dr(s, a)``, shape (replicate, s, a).
    in_policy
        ``dG/dlog pi_h(a|s)`` with free entries, shape (replicate, h, s, a).
    """

    in_reward: Float[Tensor, "replicate s a"]
    in_policy: Float[Tensor, "replicate h s a"]


@dataclass(frozen=True, eq=False)
class ResponseSystem:
    """See the module.

    Attributes
    ----------
    matrix
        ``(I - gamma P_pi)^T`` over all steps and states, shape (replicate, unknown, unknown).
    right_hand_side
        ``b``, shape (replicate, unknown).
    """

    matrix: Float[Tensor, "replicate unknown unknown"]
    right_hand_side: Float[Tensor, "replicate unknown"]
    _kl_weight: float
    _reward_model: RewardModel
    _upper: Float[Tensor, "replicate upper"]
    _log_policy: Float[Tensor, "replicate h s a"]
    _tables: UpperTables

    @classmethod
    def at(
        cls,
        control: SoftControl,
        reward_model: RewardModel,
        upper: Float[Tensor, "replicate upper"],
        log_policy: Float[Tensor, "replicate h s a"],
        tables: UpperTables,
    ) -> ResponseSystem:
        """Return the system at a policy, with the gradients of ``G`` in tables."""
        replicates, steps, states, _ = log_policy.shape
        unknowns = steps * states
        purpose = f"the response as a linear system of {unknowns} unknowns"
        control.dynamics.require_room(purpose, replicates * unknowns**2)
        kernel = control.onward.dense(purpose).to(log_policy.device)
        moves = torch.einsum("rhsa,sat->rhts", log_policy.exp(), kernel)
        arriving = torch.einsum("rhsa,sat->rht", tables.in_policy, kernel)
        own = tables.in_policy.sum(-1)
        matrix = torch.eye(unknowns, dtype=own.dtype, device=own.device).repeat(replicates, 1, 1)
        blocks = matrix.view(replicates, steps, states, steps, states)
        if control.rows_are_states:
            blocks[:, 0, :, 0] -= control.discount * moves[:, 0]
            right = own - control.discount * arriving
        else:
            for step in range(1, steps):
                blocks[:, step, :, step - 1] -= control.discount * moves[:, step - 1]
            before = torch.cat([torch.zeros_like(own[:, :1]), arriving[:, :-1]], dim=1)
            right = own - control.discount * before
        return cls(
            matrix,
            right.flatten(1),
            control.kl_weight,
            reward_model,
            upper,
            log_policy,
            tables,
        )

    def apply(
        self, vector: Float[Tensor, "replicate unknown"]
    ) -> Float[Tensor, "replicate unknown"]:
        """Return ``(I - gamma P_pi)^T w``."""
        return (self.matrix @ vector[:, :, None]).squeeze(-1)

    def apply_transposed(
        self, vector: Float[Tensor, "replicate unknown"]
    ) -> Float[Tensor, "replicate unknown"]:
        """Return ``(I - gamma P_pi) v``."""
        return (self.matrix.mT @ vector[:, :, None]).squeeze(-1)

    def hypergradient(
        self, solution: Float[Tensor, "replicate unknown"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_phi G`` and the response that belongs to ``w``."""
        per_row = solution.reshape(self._log_policy.shape[:-1])[..., None]
        response = self._tables.in_policy - self._log_policy.exp() * per_row
        table = self._tables.in_reward + response.sum(1) / self._kl_weight
        return self._reward_model.pullback(self._upper, table)


EPSILON = torch.finfo(torch.float64).eps
PERTURBATION = 64 * EPSILON


@dataclass(frozen=True, eq=False)
class PerturbedEpisodicControl(EpisodicControl):
    """See the module; ``seed`` says which perturbation."""

    seed: int = 0

    def optimal_log_policy(
        self, reward: Float[Tensor, "replicate s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``log pi*`` of perturbed rewards."""
        return super().optimal_log_policy(reward * _factors(reward[0], self.seed))


@dataclass(frozen=True, eq=False)
class PerturbedLayeredControl(LayeredControl):
    """See the module; ``seed`` says which perturbation."""

    seed: int = 0

    def optimal_log_policy(
        self, reward: Float[Tensor, "replicate s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``log pi*`` of perturbed rewards."""
        return super().optimal_log_policy(reward * _factors(reward[0], self.seed))


@dataclass(frozen=True, eq=False)
class PerturbedDiscountedControl(DiscountedControl):
    """See the module; ``seed`` says which perturbation."""

    seed: int = 0

    def optimal_log_policy(
        self, reward: Float[Tensor, "replicate s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``log pi*`` of perturbed rewards, by perturbed linear systems."""
        return super().optimal_log_policy(reward * _factors(reward[0], self.seed))

    def system(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate s s"]:
        """Return ``I - gamma P_pi`` with perturbed entries."""
        system = super().system(log_policy)
        return system * _factors(system[0], self.seed)

    def sparse_systems(self, log_policy: Float[Tensor, "replicate h s a"]) -> Systems:
        """Return the same of a sparse kernel."""
        systems = super().sparse_systems(log_policy)
        for system in systems:
            system.data *= _factors(torch.from_numpy(system.data), self.seed).numpy()
        return systems


def perturbed(control: SoftControl, seed: int) -> SoftControl:
    """Return the same control with one perturbation of its arithmetic."""
    settings = {entry.name: getattr(control, entry.name) for entry in fields(control) if entry.init}
    if isinstance(control, DiscountedControl):
        return PerturbedDiscountedControl(**settings, seed=seed)
    if isinstance(control, LayeredControl):
        return PerturbedLayeredControl(**settings, seed=seed)
    return PerturbedEpisodicControl(**settings, seed=seed)


def _factors(table: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(table.shape, generator=generator, dtype=table.dtype).to(table.device)
    return 1 + PERTURBATION * (2 * uniform - 1)
