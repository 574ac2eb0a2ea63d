"""Penalty loops of plateau and valley in one call, for settings that may differ between replicates."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.bilevel import InnerPath, PenaltyLoop
from theory_check.kernels import hard_instance as kernels
from theory_check.oracles.estimates.counts import SampleCounter
from theory_check.oracles.estimates.kernel_inputs import as_array
from theory_check.oracles.estimates.replicate_draws import BLOCK, ReplicateDraws
from theory_check.problems.closed_form import ClosedFormProblem
from theory_check.problems.gradient_noise import BatchSize, GaussianNoise
from theory_check.problems.plateau import PlateauProblem
from theory_check.problems.valley import ValleyProblem


@dataclass(frozen=True, eq=False)
class _Settings:
    """What a loop says, as kernels take it.

    Attributes
    ----------
    loop
        What it was made of.
    step_sizes, sigmas
        Of each replicate.
    lower, upper
        Standard deviations of the mean of a batch of each replicate, of g and of f.
    trajectories, labels
        Samples of an inner step, and of the estimate.
    """

    loop: PenaltyLoop
    step_sizes: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    trajectories: BatchSize
    labels: BatchSize

    @classmethod
    def of(cls, loop: PenaltyLoop, deviation: float, replicates: int) -> _Settings | None:
        """Return them; None where some are neither a number nor one for each replicate."""
        reals = all(_is_real(value, replicates) for value in (loop.sigma, loop.step_size))
        wholes = all(_is_whole(value, replicates) for value in (loop.trajectories, loop.pairs))
        if not (reals and wholes):
            return None
        return cls(
            loop,
            _each(loop.step_size, replicates),
            _each(loop.sigma, replicates),
            _deviation_of_mean(deviation, loop.trajectories, replicates),
            _deviation_of_mean(deviation, loop.pairs, replicates),
            (1 if loop.coupling == "shared" else 2) * loop.trajectories,
            (2 if loop.difference == "central" else 1) * loop.pairs,
        )

    def are_of(self, loop: PenaltyLoop) -> bool:
        """Return whether another loop is of the very same values, which nobody changes in place."""
        mine = self.loop
        return (
            mine.sigma is loop.sigma
            and mine.step_size is loop.step_size
            and mine.trajectories is loop.trajectories
            and mine.pairs is loop.pairs
            and mine.coupling == loop.coupling
            and mine.difference == loop.difference
        )


@dataclass(eq=False)
class HardLoops:
    """What :class:`~theory_check.bilevel.PenaltyShortcut` says, from the streams of the operations.

    Attributes
    ----------
    landscape
        The problem.
    deviation
        Standard deviation of one sample of a component.
    counter, draws
        Those of the single operations.
    """

    landscape: kernels.Landscape
    deviation: float
    counter: SampleCounter
    draws: ReplicateDraws
    _latest: _Settings | None = field(default=None, init=False)

    @classmethod
    def of(
        cls, problem: ClosedFormProblem, counter: SampleCounter, draws: ReplicateDraws
    ) -> HardLoops | None:
        """Return the loops; None for other problems, derived ones included, and for other noise."""
        # A derived problem may have other gradients.
        if type(problem) is not PlateauProblem and type(problem) is not ValleyProblem:
            return None
        noise = problem.gradient_noise
        if type(noise) is not GaussianNoise or noise.along_lower:
            return None
        return cls(problem.landscape, noise.deviation, counter, draws)

    def descent(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        loop: PenaltyLoop,
        path: InnerPath | None,
    ) -> tuple[Float[Tensor, "replicate lower"], Float[Tensor, "replicate lower"]] | None:
        """Return y and y' after all inner steps; None where the operations have to say why not."""
        settings = self._counted((upper, lower, penalised), loop, loop.steps)
        if settings is None:
            return None
        x, first, second = as_array(upper), np.array(as_array(lower)), np.array(as_array(penalised))
        told = np.empty((0 if path is None else loop.steps, 2, *first.shape))
        # As many steps at a time as a block of normal numbers is for: more would only take memory.
        together = max(1, BLOCK // _numbers(loop))
        for done in range(0, loop.steps, together):
            steps = min(together, loop.steps - done)
            kernels.penalty_descent(
                self.landscape,
                self._batches(settings, steps),
                x,
                first,
                second,
                steps,
                settings.step_sizes,
                settings.sigmas,
                told[done : done + steps],
            )
        if path is not None:
            path.extend((before[0], before[1]) for before in torch.from_numpy(told))
        return torch.from_numpy(first), torch.from_numpy(second)

    def estimate(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        loop: PenaltyLoop,
    ) -> Float[Tensor, "replicate upper"] | None:
        """Return the estimate of the hypergradient; None as above."""
        settings = self._counted((upper, lower, penalised), loop, 1)
        if settings is None:
            return None
        found = kernels.penalty_estimate(
            self.landscape,
            self._batches(settings, 1),
            as_array(upper),
            as_array(lower),
            as_array(penalised),
            settings.sigmas,
        )
        return torch.from_numpy(found)

    def _counted(
        self, points: tuple[Tensor, ...], loop: PenaltyLoop, times: int
    ) -> _Settings | None:
        """Count the batches of so many steps; None where they are not to be had, or not understood."""
        replicates = self.draws.replicates
        if not all(_is_plain(part, (replicates, 2)) for part in points):
            return None
        settings = self._latest
        if settings is None or not settings.are_of(loop):
            settings = _Settings.of(loop, self.deviation, replicates)
        if settings is None:
            return None
        self._latest = settings
        trajectories, labels = times * settings.trajectories, times * settings.labels
        if not self.counter.affords(trajectories + labels):
            return None
        self.counter.add(trajectories=trajectories, labels=labels, env_steps=trajectories)
        return settings

    def _batches(self, settings: _Settings, steps: int) -> kernels.Batches:
        loop = settings.loop
        normals, streams = self.draws.normal_by_stream(steps * _numbers(loop))
        return kernels.Batches(
            loop.coupling == "shared",
            loop.difference == "central",
            normals,
            streams,
            settings.lower,
            settings.upper,
        )


def _numbers(loop: PenaltyLoop) -> int:
    return kernels.numbers_drawn(loop.coupling == "shared", loop.difference == "central")


# Any: a number, or a column of them.
def _each(values: Any, replicates: int) -> NDArray[np.float64]:
    """Return one number for each replicate."""
    if isinstance(values, Tensor):
        return as_array(values[:, 0])
    return np.full(replicates, float(values))


def _deviation_of_mean(
    deviation: float, samples: BatchSize, replicates: int
) -> NDArray[np.float64]:
    """Return the standard deviation of the mean of a batch, for each replicate."""
    if isinstance(samples, np.ndarray):
        found: NDArray[np.float64] = deviation / np.sqrt(samples)
        return found
    return np.full(replicates, deviation / math.sqrt(samples))


def _is_plain(values: object, shape: tuple[int, ...]) -> bool:
    """Return whether values are a tensor of real numbers that kernels can read."""
    return (
        isinstance(values, Tensor)
        and values.is_cpu
        and values.dtype == torch.float64
        and tuple(values.shape) == shape
    )


def _is_real(value: object, replicates: int) -> bool:
    return isinstance(value, Real) or _is_plain(value, (replicates, 1))


def _is_whole(value: object, replicates: int) -> bool:
    if isinstance(value, np.ndarray):
        return value.shape == (replicates,) and bool(np.issubdtype(value.dtype, np.integer))
    return isinstance(value, Integral)
