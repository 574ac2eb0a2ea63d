"""The only door to data: rollouts, preference labels, and the counters of both."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import require_positive_integer, require_seeds
from theory_check.kernels.implicit_data import ImplicitTables, implicit_data_descent
from theory_check.models.tabular_softmax import TabularSoftmax
from theory_check.oracles.comparisons import Comparisons, DiscountedComparisons
from theory_check.oracles.comparisons.characteristic import CharacteristicSums
from theory_check.oracles.compiled_loops import OffersPenaltyLoops
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.drawn_rows import DrawnRowsOracle
from theory_check.oracles.estimates.counts import SampleCounts, sample_costs
from theory_check.oracles.estimates.kernel_inputs import as_array
from theory_check.oracles.estimates.penalty_loops import PenaltyLoops
from theory_check.oracles.estimates.reading import Read, Reading
from theory_check.oracles.estimates.sample_source import SampleSource
from theory_check.oracles.estimates.sampled_estimates import SampledDiscounted, SampledEpisodic
from theory_check.oracles.estimates.simulated_estimates import (
    SimulatedDiscounted,
    SimulatedEpisodic,
)
from theory_check.oracles.estimates.table_estimates import TableEstimates
from theory_check.problems import Problem
from theory_check.problems.problem import require_problem


class SampledOracle(OffersPenaltyLoops, DrawnRowsOracle):
    """Sampled gradients of both levels, with every sample counted where it is drawn.

    Parameters
    ----------
    problem
        An episodic or discounted problem.
    seeds
        One seed per replicate; a replicate's draws depend on its own seed alone.
    sample_budget
        Largest number of samples (trajectories plus labels) a replicate may draw; None for no
        limit.
    read
        What models are asked for: whole ``"table"`` s, or the ``"rows"`` of what was drawn, of classes
        that answer for rows on a problem with layers; ``"auto"`` takes rows for batches that are small
        beside the table. Both draw the same law; only rows and tables that are followed step by step
        draw the same numbers.
    **options
        As for :class:`~theory_check.oracles.rlhf.RLHFOracle`.

    Raises
    ------
    SampleBudgetExhausted
        From any gradient that would exceed the budget, before it draws.
    InvalidArgumentError
        From a gradient of a discounted problem with shared batches that would simulate more than
        ``SHARED_STEP_BUDGET`` expected steps, before it draws.
    """

    def __init__(
        self,
        problem: Problem,
        seeds: Sequence[int],
        *,
        sample_budget: int | None = None,
        read: Read = "auto",
        **options: Any,
    ) -> None:
        require_problem(problem)
        replicates = require_seeds(seeds)
        if sample_budget is not None:
            require_positive_integer("sample_budget", sample_budget)
        super().__init__(problem, **options)
        self.reading = Reading.of(read, self.control, self.reward_model, self.policy_model)
        self._source = SampleSource(
            self.comparisons,
            problem.true_reward.to(self.control.initial.device),
            problem.preferences,
            problem.objective == "excess_risk",
            sample_costs(problem),
            replicates,
            sample_budget,
        )
        self.estimates = self._sampled_estimates()

    @property
    def counts(self) -> SampleCounts:
        """Samples each replicate has drawn so far."""
        return self._source.counter.counts

    def lower_descent(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        *,
        steps: int,
        step_size: Any,
        samples: Any,
        path: list[Float[Tensor, "replicate lower"]] | None = None,
    ) -> Float[Tensor, "replicate lower"] | None:
        """Return the lower variable after all inner steps, where there is a compiled loop."""
        loops = self._penalty_loops
        return None if loops is None else loops.lower(upper, lower, steps, step_size, samples, path)

    def implicit_data_descent(
        self,
        lower: Float[Tensor, "replicate lower"],
        data: Float[Tensor, "replicate winner loser"],
        *,
        steps: int,
        step_size: Any,
    ) -> Float[Tensor, "replicate lower"] | None:
        """Return the lower variable after all steps on kept data, where there is a compiled loop."""
        tables = self._implicit_tables
        if tables is None or not isinstance(step_size, Real) or len(lower) != len(data):
            return None
        points = np.array(as_array(lower))
        implicit_data_descent(tables, as_array(data), points, steps, float(step_size))
        return torch.from_numpy(points)

    @cached_property
    def _implicit_tables(self) -> ImplicitTables | None:
        """None for a derived oracle, other classes than tables, other devices, and masked actions."""
        control = self.control
        plain = type(self) is SampledOracle and type(self.policy_model) is TabularSoftmax
        if not plain or control.initial.device.type != "cpu" or control.absent is not None:
            return None
        space = self.enumerated.space
        return ImplicitTables(
            as_array(space.step_index),
            as_array(space.discounts),
            as_array(control.log_reference.flatten(0, -2)),
            float(control.kl_weight),
        )

    @cached_property
    def _penalty_loops(self) -> PenaltyLoops | None:
        """None for a derived oracle, which may answer some operation otherwise."""
        if type(self) is not SampledOracle:
            return None
        return PenaltyLoops.of(self.estimates, self.reward_model, self.policy_model, self.reading)

    def _sampled_estimates(self) -> TableEstimates:
        control, comparisons, source = self.control, self.comparisons, self._source
        discounted = isinstance(control, DiscountedControl)
        if isinstance(comparisons, CharacteristicSums):
            kind = SimulatedDiscounted if discounted else SimulatedEpisodic
            return kind(comparisons, source)
        if isinstance(comparisons, DiscountedComparisons):
            assert isinstance(control, DiscountedControl)
            return SampledDiscounted(control, comparisons, source)
        assert isinstance(comparisons, Comparisons)  # sums over pairs come with their comparisons
        return SampledEpisodic(control, comparisons, source)
