"""Control whose arithmetic is perturbed a little, to see how much rounding is magnified.

Rewards and the entries of every linear system are multiplied by ``1 + u`` with fixed, independent u
up to ``PERTURBATION``: much more than rounding does, and little enough for effects to be proportional.
A system's entries are perturbed one by one, its diagonal too, like the backward error of a factorisation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.episodic_control import EpisodicControl
from theory_check.oracles.control.soft_control import SoftControl

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


def perturbed(control: SoftControl, seed: int) -> SoftControl:
    """Return the same control with one perturbation of its arithmetic."""
    settings = {entry.name: getattr(control, entry.name) for entry in fields(control) if entry.init}
    if isinstance(control, DiscountedControl):
        return PerturbedDiscountedControl(**settings, seed=seed)
    return PerturbedEpisodicControl(**settings, seed=seed)


def _factors(table: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(table.shape, generator=generator, dtype=table.dtype).to(table.device)
    return 1 + PERTURBATION * (2 * uniform - 1)
