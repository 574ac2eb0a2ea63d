"""Errors of sampled gradients of closed-form problems: the mean of n samples at the cost of one draw."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, TypeAlias, Union, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.errors import require_non_negative

Batch = Float[Tensor, "replicate *errors"]

BatchSize: TypeAlias = Union[int, Int[np.ndarray, " replicate"]]  # noqa: UP007, evaluated by the tests
"""Samples of a batch: one number, or one for each replicate where their settings differ."""


@runtime_checkable
class Draws(Protocol):
    """Random numbers of every replicate, each from the streams of its own seed."""

    def normal(self, count: int) -> Float[np.ndarray, "replicate count"]:
        """Return ``count`` standard normal numbers of each replicate."""
        ...

    def binomial(self, samples: BatchSize, probability: float) -> Float[np.ndarray, " replicate"]:
        """Return the number of successes among ``samples`` of each replicate."""
        ...


@runtime_checkable
class GradientNoise(Protocol):
    """How the mean over a batch of samples differs from the exact gradients.

    A *batch* is what has to be remembered of n lower-level samples to evaluate their mean at any
    point: shared batches evaluate one at two points.
    """

    def lower_batch(self, draws: Draws, samples: BatchSize) -> Batch:
        """Return the batch of ``samples`` lower-level samples."""
        ...

    def lower_errors(
        self,
        x: Float[Tensor, "replicate upper"],
        y: Float[Tensor, "replicate lower"],
        batch: Batch,
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return the errors of ``∂_x g`` and ``∂_y g`` at (x, y)."""
        ...

    def upper_errors(self, draws: Draws, samples: BatchSize) -> Float[Tensor, "replicate both"]:
        """Return the errors of ``∂_x f`` and ``∂_y f``, one after the other, the same at all points."""
        ...


class GaussianNoise:
    """Independent normal errors of all components of the gradients of f and of g.

    Parameters
    ----------
    deviation
        Standard deviation of one sample of a component, at least 0.
    upper, lower
        Dimensions of x and y.
    along_lower
        Whether the errors of g also have a part that is linear in y, with independent
        coefficients of the same deviation: batches at nearby y then differ by little. Without it a
        shared batch has the same errors everywhere.
    """

    def __init__(self, deviation: float, upper: int, lower: int, *, along_lower: bool) -> None:
        self.deviation = deviation
        self.along_lower = along_lower
        self._upper = upper
        self._components = upper + lower
        self._columns = 1 + lower if along_lower else 1

    def lower_batch(self, draws: Draws, samples: BatchSize) -> Batch:
        """Return coefficients, shape (replicate, components, columns): a constant, and those of y."""
        found = self._mean(draws, self._components * self._columns, samples)
        return found.view(-1, self._components, self._columns)

    def lower_errors(
        self,
        x: Float[Tensor, "replicate upper"],
        y: Float[Tensor, "replicate lower"],
        batch: Batch,
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return the errors of ``∂_x g`` and ``∂_y g``."""
        errors = batch[:, :, 0]
        if self._columns > 1:
            errors = errors + (batch[:, :, 1:] @ y[:, :, None]).squeeze(-1)
        in_upper, in_lower = errors.tensor_split((self._upper,), dim=1)
        return in_upper, in_lower

    def upper_errors(self, draws: Draws, samples: BatchSize) -> Float[Tensor, "replicate both"]:
        """Return the errors of ``∂_x f`` and ``∂_y f``."""
        return self._mean(draws, self._components, samples)

    def _mean(
        self, draws: Draws, count: int, samples: BatchSize
    ) -> Float[Tensor, "replicate coefficients"]:
        """Mean of n samples: standard deviation ``deviation / sqrt(n)``."""
        normal = draws.normal(count)
        if isinstance(samples, np.ndarray):
            scaled = normal * (self.deviation / np.sqrt(samples))[:, None]
        else:
            scaled = np.multiply(normal, self.deviation / math.sqrt(samples), order="C")
        return torch.from_numpy(scaled)


def require_noise(noise: object) -> None:
    """Refuse a noise level that is not finite and at least 0."""
    require_non_negative("noise", noise)


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
