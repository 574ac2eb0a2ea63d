"""Inner loops of a penalty method as one compiled call, where rewards are linear and policies tabular."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.bilevel import InnerPath, PenaltyLoop
from theory_check.kernels import penalty_tables
from theory_check.models import LinearReward, TabularSoftmax
from theory_check.oracles.estimates.sample_source import SampleSource, as_array
from theory_check.oracles.estimates.sampled_estimates import SampledEpisodic


@dataclass(frozen=True, eq=False)
class PenaltyLoops:
    """What :class:`~theory_check.bilevel.shortcuts.PenaltyShortcut` says, from a :class:`SampleSource`.

    Attributes
    ----------
    source
        Streams and counters, those of the single operations.
    tables
        The problem, for the kernels.
    """

    source: SampleSource
    tables: penalty_tables.EpisodicTables

    @classmethod
    def of(
        cls, estimates: object, reward_model: object, policy_model: object
    ) -> PenaltyLoops | None:
        """Return the loops for estimates and models; None where they are not of the classes meant."""
        known = (
            type(estimates) is SampledEpisodic
            and type(reward_model) is LinearReward
            and type(policy_model) is TabularSoftmax
        )
        if not known:
            return None
        assert isinstance(estimates, SampledEpisodic)
        assert isinstance(reward_model, LinearReward)
        control, space, source = estimates.control, estimates.space, estimates.source
        if control.initial.device.type != "cpu":
            return None
        actions = control.policy_shape[2]
        tables = penalty_tables.EpisodicTables(
            entries=as_array(space.step_index),
            visited=as_array(space.states * actions + space.actions),
            log_dynamics=as_array(space.log_dynamics),
            discounts=as_array(space.discounts),
            features=as_array(reward_model.features.flatten(0, 1)),
            reference=as_array(control.kl_weight * control.log_reference.flatten(0, 1)),
            kl_weight=float(control.kl_weight),
            labels=source.labels,
            excess=bool(source.excess),
        )
        return cls(source, tables)

    def descent(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        loop: PenaltyLoop,
        path: InnerPath | None,
    ) -> tuple[Float[Tensor, "replicate lower"], Float[Tensor, "replicate lower"]] | None:
        """Return y and y' after all inner steps; None where the operations have to say why not."""
        if not self._counted(lower, loop, loop.steps):
            return None
        points = _stacked(lower, penalised)
        told = np.empty((0 if path is None else loop.steps, *points.shape))
        penalty_tables.penalty_descent(
            self._streams,
            self.tables,
            as_array(upper),
            points,
            loop.steps,
            float(loop.step_size),
            float(loop.sigma),
            int(loop.trajectories),
            int(loop.pairs),
            loop.coupling == "shared",
            told,
        )
        if path is not None:
            path.extend(_parted(before) for before in told)
        return _parted(points)

    def estimate(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        loop: PenaltyLoop,
    ) -> Float[Tensor, "replicate upper"] | None:
        """Return the estimate of the hypergradient; None as above."""
        if not self._counted(lower, loop, 1):
            return None
        found = penalty_tables.penalty_estimate(
            self._streams,
            self.tables,
            as_array(upper),
            _stacked(lower, penalised),
            float(loop.sigma),
            int(loop.trajectories),
            int(loop.pairs),
            loop.coupling == "shared",
        )
        return torch.from_numpy(found)

    @property
    def _streams(self) -> penalty_tables.Streams:
        return penalty_tables.Streams(self.source.rollouts, self.source.pairs)

    def _counted(self, lower: Tensor, loop: PenaltyLoop, times: int) -> bool:
        """Count the batches of some steps; False, and nothing is counted, where one is not to be had."""
        alike = isinstance(loop.sigma, Real) and isinstance(loop.step_size, Real)
        alike = (
            alike and isinstance(loop.trajectories, Integral) and isinstance(loop.pairs, Integral)
        )
        if not alike or lower.shape[0] != self.source.replicates:
            return False
        costs, legs = self.source.costs, 1 if loop.coupling == "shared" else 2
        trajectories = legs * loop.trajectories + costs.pair_trajectories * loop.pairs
        labels = costs.pair_labels * loop.pairs
        counter = self.source.counter
        if not counter.affords(times * (trajectories + labels)):
            return False
        counter.add(
            trajectories=times * trajectories,
            labels=times * labels,
            env_steps=times
            * (legs * loop.trajectories * costs.visit_steps + costs.pair_steps * loop.pairs),
        )
        return True


def _stacked(lower: Tensor, penalised: Tensor) -> NDArray[np.float64]:
    """Return both lower variables, one below the other, as an array of its own."""
    return as_array(torch.cat([lower, penalised]))


def _parted(points: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Undo :func:`_stacked`."""
    first, second = torch.from_numpy(points).chunk(2)
    return first, second
