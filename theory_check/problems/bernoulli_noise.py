"""Samples of a gradient of which one part is seen rarely, and then all the larger."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.problems.gradient_noise import Batch, BatchSize, Draws


class BernoulliNoise:
    """Samples of ∇g in which a part R of g appears with probability p, and then ``1 / p`` times.

    The mean of n samples is ``∇g + (S / (n p) - 1) ∇R`` with S a Binomial(n, p) variable, at every
    point that is evaluated with the same samples. Samples of ∇f have no noise.

    Parameters
    ----------
    hidden_gradient
        ``∂_y R`` as a function of y; R does not depend on x.
    probability
        p, in (0, 1].
    components
        Dimensions of x and y together.
    """

    def __init__(
        self, hidden_gradient: Callable[[Tensor], Tensor], probability: float, components: int
    ) -> None:
        self._hidden_gradient = hidden_gradient
        self._probability = probability
        self._components = components

    def lower_batch(self, draws: Draws, samples: BatchSize) -> Batch:
        """Return ``S / (n p) - 1``, shape (replicate, 1)."""
        successes = draws.binomial(samples, self._probability)
        return torch.from_numpy(successes / (samples * self._probability) - 1.0)[:, None]

    def lower_errors(
        self,
        x: Float[Tensor, "replicate upper"],
        y: Float[Tensor, "replicate lower"],
        batch: Batch,
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return the errors of ``∂_x g``, which has none, and of ``∂_y g``."""
        return torch.zeros_like(x), batch * self._hidden_gradient(y)

    def upper_errors(self, draws: Draws, samples: BatchSize) -> Float[Tensor, "replicate both"]:
        """Return zeros."""
        return torch.zeros(draws.normal(0).shape[0], self._components, dtype=torch.float64)
