"""Inner loops of a penalty method for episodic problems: compiled steps, and all of them for tables."""

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
from theory_check.models import PolicyModel, RewardModel, TabularSoftmax
from theory_check.oracles.estimates.sample_source import SampleSource, as_array
from theory_check.oracles.estimates.sampled_estimates import SampledEpisodic


@dataclass(frozen=True, eq=False)
class PenaltyLoops:
    """What :class:`~theory_check.bilevel.PenaltyShortcut` says, from a :class:`SampleSource`.

    Attributes
    ----------
    source
        Streams and counters, those of the single operations.
    tables
        The problem, for the kernels.
    reward_model, policy_model
        The classes.
    """

    source: SampleSource
    tables: penalty_tables.EpisodicTables
    reward_model: RewardModel
    policy_model: PolicyModel

    @classmethod
    def of(
        cls, estimates: object, reward_model: RewardModel, policy_model: PolicyModel
    ) -> PenaltyLoops | None:
        """Return the loops; None for other estimates, and on other devices than the CPU."""
        if type(estimates) is not SampledEpisodic:
            return None
        control, space, source = estimates.control, estimates.space, estimates.source
        if control.initial.device.type != "cpu":
            return None
        tables = penalty_tables.EpisodicTables(
            entries=as_array(space.step_index),
            visited=as_array(space.states * control.policy_shape[2] + space.actions),
            log_dynamics=as_array(space.log_dynamics),
            discounts=as_array(space.discounts),
            reference=as_array(control.kl_weight * control.log_reference.flatten(0, 1)),
            kl_weight=float(control.kl_weight),
            labels=source.labels,
            excess=bool(source.excess),
        )
        return cls(source, tables, reward_model, policy_model)

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
        reward = as_array(self.reward_model.table(upper).flatten(1))
        both = torch.cat([lower, penalised])
        tabular = type(self.policy_model) is TabularSoftmax
        found = (self._logits if tabular else self._parameters)(reward, both, loop, path)
        return _parted(found)

    def _logits(
        self, reward: NDArray[np.float64], both: Tensor, loop: PenaltyLoop, path: InnerPath | None
    ) -> Tensor:
        """Take all steps on logits, in one call."""
        points = as_array(both)
        told = np.empty((0 if path is None else loop.steps, *points.shape))
        penalty_tables.tabular_descent(
            self._streams,
            self.tables,
            _batches(loop),
            reward,
            points,
            loop.steps,
            float(loop.step_size),
            float(loop.sigma),
            told,
        )
        if path is not None:
            path.extend(_parted(before) for before in torch.from_numpy(told))
        return torch.from_numpy(points)

    def _parameters(
        self, reward: NDArray[np.float64], both: Tensor, loop: PenaltyLoop, path: InnerPath | None
    ) -> Tensor:
        """Take steps on the parameters of a class, whose tables and pullbacks are its own."""
        returns = penalty_tables.returns_of(self.tables, reward)
        for _ in range(loop.steps):
            if path is not None:
                path.append(_parted(both))
            policies = self.policy_model.table(both)
            slopes = penalty_tables.penalty_slopes(
                self._streams,
                self.tables,
                _batches(loop),
                reward,
                returns,
                as_array(policies.flatten(1)),
                float(loop.sigma),
            )
            ascent = self.policy_model.pullback(
                both, torch.from_numpy(slopes).reshape(policies.shape)
            )
            both = both + loop.step_size * ascent
        return both

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
        reward = self.reward_model.table(upper)
        policies = self.policy_model.table(torch.cat([lower, penalised]))
        slope = penalty_tables.estimated_slope(
            self._streams,
            self.tables,
            _batches(loop),
            as_array(reward.flatten(1)),
            as_array(policies.flatten(1)),
            float(loop.sigma),
        )
        return self.reward_model.pullback(upper, torch.from_numpy(slope).reshape(reward.shape))

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
        steps = legs * loop.trajectories * costs.visit_steps + costs.pair_steps * loop.pairs
        counter.add(
            trajectories=times * trajectories, labels=times * labels, env_steps=times * steps
        )
        return True


def _batches(loop: PenaltyLoop) -> penalty_tables.Batches:
    return penalty_tables.Batches(
        int(loop.trajectories), int(loop.pairs), loop.coupling == "shared"
    )


def _parted(both: Tensor) -> tuple[Tensor, Tensor]:
    """Return both lower variables, which lie one below the other."""
    first, second = both.chunk(2)
    return first, second
