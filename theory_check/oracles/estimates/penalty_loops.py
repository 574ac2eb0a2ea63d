"""Inner loops of a penalty method: compiled steps for every class, all at once for tables and MLPs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.bilevel import InnerPath, PenaltyLoop
from theory_check.kernels import lower_tables, penalty_segments, penalty_tables
from theory_check.kernels.networks import ACTIVATIONS, Networks
from theory_check.models import PolicyModel, RewardModel, TabularSoftmax
from theory_check.models.network_policy import NetworkPolicy
from theory_check.oracles.estimates.kernel_inputs import as_array
from theory_check.oracles.estimates.reading import Reading
from theory_check.oracles.estimates.sample_source import SampleSource
from theory_check.oracles.estimates.sampled_estimates import SampledDiscounted, SampledEpisodic
from theory_check.problems.dynamics import SparseDynamics

SMALLEST_SIGMA = 1e-150

MOST_PRODUCTS = 10**6
"""Beyond, libraries are the faster way to the products of a forward pass of all networks."""


@dataclass(frozen=True, eq=False)
class PenaltyLoops:
    """What :class:`~theory_check.bilevel.PenaltyShortcut` says, from a :class:`SampleSource`.

    Attributes
    ----------
    source
        Streams and counters, those of the single operations.
    kernels, tables
        The module of the problem's kernels, and the problem for them.
    reward_model, policy_model
        The classes.
    reading
        Which batches the operations draw by rows of the classes, and not by tables, as loops do.
    """

    source: SampleSource
    # Any: the functions of both modules take tables of their own.
    kernels: Any
    tables: Any
    reward_model: RewardModel
    policy_model: PolicyModel
    reading: Reading

    @classmethod
    def of(
        cls,
        estimates: object,
        reward_model: RewardModel,
        policy_model: PolicyModel,
        reading: Reading,
    ) -> PenaltyLoops | None:
        """Return the loops; None for other estimates, other devices than the CPU, and masked actions."""
        if type(estimates) is not SampledEpisodic and type(estimates) is not SampledDiscounted:
            return None
        control, space, source = estimates.control, estimates.space, estimates.source
        # Logits of actions that do not exist are none of a plain softmax.
        if control.initial.device.type != "cpu" or control.absent is not None:
            return None
        stationary = type(estimates) is SampledDiscounted
        if stationary and isinstance(control.dynamics, SparseDynamics):
            return None  # of more states than compiled steps take
        compared = penalty_tables.EpisodicTables(
            entries=as_array(space.step_index),
            visited=as_array(space.states * control.policy_shape[2] + space.actions),
            log_dynamics=as_array(space.log_dynamics),
            discounts=as_array(space.discounts),
            reference=as_array(control.kl_weight * control.log_reference.flatten(0, 1)),
            kl_weight=float(control.kl_weight),
            labels=source.labels,
            excess=bool(source.excess),
        )
        if not stationary:
            return cls(source, penalty_tables, compared, reward_model, policy_model, reading)
        tables = penalty_segments.SegmentTables(
            segments=compared,
            first_state=as_array(space.states[:, 0]),
            transitions=as_array(control.dynamics.dense("compiled steps").flatten(0, 1)),
            rows=control.dynamics.rows,
            initial=as_array(control.initial),
            discount=float(control.discount),
        )
        return cls(source, penalty_segments, tables, reward_model, policy_model, reading)

    def descent(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        loop: PenaltyLoop,
        path: InnerPath | None,
    ) -> tuple[Float[Tensor, "replicate lower"], Float[Tensor, "replicate lower"]] | None:
        """Return y and y' after all inner steps; None where the operations have to say why not."""
        if not self._affords(lower, loop, loop.steps):
            return None
        self._count_steps(loop)
        reward = as_array(self.reward_model.table(upper).flatten(1))
        both = torch.cat([lower, penalised])
        tabular = self.kernels is penalty_tables and type(self.policy_model) is TabularSoftmax
        if tabular or self._networks is not None:
            return _parted(self._at_once(reward, both, loop, path))
        return _parted(self._parameters(reward, both, loop, path))

    def _at_once(
        self, reward: NDArray[np.float64], both: Tensor, loop: PenaltyLoop, path: InnerPath | None
    ) -> Tensor:
        """Take all steps in one call, on logits or on the parameters of networks."""
        points = as_array(both)
        told = np.empty((0 if path is None else loop.steps, *points.shape))
        given = (self._streams, self.tables, _batches(loop))
        moved = (reward, points, loop.steps, float(loop.step_size), float(loop.sigma), told)
        if self._networks is None:
            self.kernels.tabular_descent(*given, *moved)
        else:
            self.kernels.network_descent(*given, *self._networks, *moved)
        if path is not None:
            path.extend(_parted(before) for before in torch.from_numpy(told))
        return torch.from_numpy(points)

    def _parameters(
        self, reward: NDArray[np.float64], both: Tensor, loop: PenaltyLoop, path: InnerPath | None
    ) -> Tensor:
        """Take steps on the parameters of a class, whose tables and pullbacks are its own."""
        compared = getattr(self.tables, "segments", self.tables)
        returns = penalty_tables.returns_of(compared, reward)
        for _ in range(loop.steps):
            if path is not None:
                path.append(_parted(both))
            policies = self.policy_model.table(both)
            slopes = self.kernels.penalty_slopes(
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

    def lower(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        steps: int,
        step_size: Any,
        samples: Any,
        path: list[Float[Tensor, "replicate lower"]] | None,
    ) -> Float[Tensor, "replicate lower"] | None:
        """Return y after all inner steps on ``g(x, .)`` alone; None as above.

        ``path`` takes y before every step.
        """
        costs, counter = self.source.costs, self.source.counter
        alike = isinstance(step_size, Real) and isinstance(samples, Integral)
        if not alike or lower.shape[0] != self.source.replicates or self._walked(samples):
            return None
        if self.reading.by_rows(samples) or not counter.affords(steps * samples):
            return None
        for _ in range(steps):  # fractions of steps are added up as the operations do
            self._count(rollouts=samples, steps=costs.score_steps)
        rollouts = self.source.rollouts[: lower.shape[0]]
        reward = as_array(self.reward_model.table(upper).flatten(1))
        if self.kernels is penalty_tables and type(self.policy_model) is TabularSoftmax:
            points = np.array(as_array(lower))
            told = np.empty((0 if path is None else steps, *points.shape))
            lower_tables.lower_descent(
                rollouts, self.tables, int(samples), reward, points, steps, float(step_size), told
            )
            if path is not None:
                path.extend(torch.from_numpy(told))
            return torch.from_numpy(points)
        episodic = self.kernels is penalty_tables
        slopes_of: Any = (lower_tables if episodic else penalty_segments).lower_slopes
        for _ in range(steps):
            if path is not None:
                path.append(lower)
            policies = self.policy_model.table(lower)
            slopes = slopes_of(
                rollouts, self.tables, int(samples), reward, as_array(policies.flatten(1))
            )
            ascent = torch.from_numpy(slopes).reshape(policies.shape)
            lower = lower + step_size * self.policy_model.pullback(lower, ascent)
        return lower

    def estimate(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        loop: PenaltyLoop,
    ) -> Float[Tensor, "replicate upper"] | None:
        """Return the estimate of the hypergradient; None as above."""
        if not self._affords(lower, loop, 1):
            return None
        self._count(pairs=_sides(loop) * loop.pairs)
        self._count(rollouts=_legs(loop) * loop.trajectories, steps=self.source.costs.visit_steps)
        reward = self.reward_model.table(upper)
        policies = self.policy_model.table(torch.cat([lower, penalised]))
        slope = self.kernels.estimated_slope(
            self._streams,
            self.tables,
            _batches(loop),
            as_array(reward.flatten(1)),
            as_array(policies.flatten(1)),
            float(loop.sigma),
        )
        return self.reward_model.pullback(upper, torch.from_numpy(slope).reshape(reward.shape))

    @cached_property
    def _networks(self) -> tuple[Networks, NDArray[np.float64]] | None:
        """Networks of policies and the logits they add to; None for other classes and for large ones."""
        model = self.policy_model
        if type(model) is not NetworkPolicy:
            return None
        network, reference = model.network, model.log_reference
        sizes = np.array([network.inputs.shape[1], *network.hidden, network.outputs])
        products = 2 * self.source.replicates * len(network.inputs) * int(sizes[:-1] @ sizes[1:])
        if products > MOST_PRODUCTS:
            return None
        given = Networks(
            as_array(network.inputs),
            sizes,
            bool(network.biased),
            ACTIVATIONS.index(network.activation),
        )
        return given, as_array(reference.flatten())

    @property
    def _streams(self) -> penalty_tables.Streams:
        source = self.source
        return penalty_tables.Streams(source.rollouts, source.pairs, source.reached_pairs)

    def _affords(self, lower: Tensor, loop: PenaltyLoop, times: int) -> bool:
        """Return whether the kernels draw what the operations would, and all of it is to be had."""
        alike = isinstance(loop.sigma, Real) and isinstance(loop.step_size, Real)
        alike = (
            alike and isinstance(loop.trajectories, Integral) and isinstance(loop.pairs, Integral)
        )
        if not alike or lower.shape[0] != self.source.replicates:
            return False
        if 0 < abs(loop.sigma) < SMALLEST_SIGMA:  # terms that cancel overflow one by one
            return False
        costs = self.source.costs
        if self._walked(loop.trajectories, shared=loop.coupling == "shared"):
            return False
        if self.reading.by_rows(loop.trajectories) or self.reading.by_rows(2 * loop.pairs):
            return False
        samples = (costs.pair_trajectories + costs.pair_labels) * _sides(loop) * loop.pairs
        samples += _legs(loop) * loop.trajectories
        return self.source.counter.affords(times * samples)

    def _walked(self, trajectories: int, *, shared: bool = False) -> bool:
        """Return whether rollouts are followed step by step: those of importance weights, and few."""
        if self.kernels is not penalty_segments:
            return False
        pairs, states = self.tables.transitions.shape
        few = trajectories * self.source.costs.score_steps < pairs**2
        return shared or few or bool(states > penalty_segments.MOST_STATES)

    def _count_steps(self, loop: PenaltyLoop) -> None:
        """Count the batches of all inner steps."""
        costs, rollouts = self.source.costs, _legs(loop) * loop.trajectories
        if isinstance(costs.score_steps, int):
            self._count(rollouts=loop.steps * rollouts, steps=costs.score_steps)
            self._count(pairs=loop.steps * _sides(loop) * loop.pairs)
            return
        for _ in range(loop.steps):  # fractions are added up as the operations do
            self._count(rollouts=rollouts, steps=costs.score_steps)
            for _ in range(_sides(loop)):
                self._count(pairs=loop.pairs)

    def _count(self, *, rollouts: int = 0, steps: int | float = 0, pairs: int = 0) -> None:
        costs = self.source.costs
        self.source.counter.add(
            trajectories=rollouts + costs.pair_trajectories * pairs,
            labels=costs.pair_labels * pairs,
            env_steps=rollouts * steps if rollouts else costs.pair_steps * pairs,
        )


def _legs(loop: PenaltyLoop) -> int:
    """Return how many policies are rolled out."""
    return 1 if loop.coupling == "shared" else 2


def _sides(loop: PenaltyLoop) -> int:
    """Return at how many policies pairs are compared."""
    return 2 if loop.difference == "central" else 1


def _batches(loop: PenaltyLoop) -> penalty_tables.Batches:
    return penalty_tables.Batches(
        int(loop.trajectories),
        int(loop.pairs),
        loop.coupling == "shared",
        loop.difference == "central",
    )


def _parted(both: Tensor) -> tuple[Tensor, Tensor]:
    """Return both lower variables, which lie one below the other."""
    first, second = both.chunk(2)
    return first, second
