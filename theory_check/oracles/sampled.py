"""The only door to data: rollouts, preference labels, and the counters of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from theory_check.errors import require_positive_integer, require_seeds
from theory_check.oracles.comparisons import Comparisons, DiscountedComparisons, comparisons_of
from theory_check.oracles.comparisons.trajectories import DEFAULT_ENUMERATION_BUDGET
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.estimates.counts import SampleCounts, sample_costs
from theory_check.oracles.estimates.sample_source import SampleSource
from theory_check.oracles.estimates.sampled_estimates import SampledDiscounted, SampledEpisodic
from theory_check.oracles.estimates.table_estimates import TableEstimates
from theory_check.oracles.rlhf import RLHFOracle
from theory_check.problems import Problem
from theory_check.problems.problem import require_problem


class SampledOracle(RLHFOracle):
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
    **options
        As for :class:`RLHFOracle`.

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
        **options: Any,
    ) -> None:
        require_problem(problem)
        replicates = require_seeds(seeds)
        if sample_budget is not None:
            require_positive_integer("sample_budget", sample_budget)
        super().__init__(problem, **options)
        comparisons = self.comparisons
        if not isinstance(comparisons, Comparisons):
            budget = options.get("enumeration_budget", DEFAULT_ENUMERATION_BUDGET)
            comparisons = comparisons_of(problem, self.control, budget=budget)
        self._source = SampleSource(
            comparisons,
            problem.true_reward.to(self.control.initial.device),
            problem.preferences,
            problem.objective == "excess_risk",
            sample_costs(problem),
            replicates,
            sample_budget,
        )
        self.estimates = self._sampled_estimates(comparisons)

    @property
    def counts(self) -> SampleCounts:
        """Samples each replicate has drawn so far."""
        return self._source.counter.counts

    def _sampled_estimates(self, comparisons: Comparisons) -> TableEstimates:
        control = self.control
        if isinstance(control, DiscountedControl) and isinstance(
            comparisons, DiscountedComparisons
        ):
            return SampledDiscounted(control, comparisons, self._source)
        return SampledEpisodic(control, comparisons, self._source)
