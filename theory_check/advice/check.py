"""Running a plan on seeds it was not made on: whether it meets the target at the predicted cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theory_check.advice.advisor import Advice
from theory_check.advice.constants import START_SEEDS
from theory_check.advice.history import follow
from theory_check.advice.model import CHECKED_SEEDS, COST_FACTOR, REQUIRED_SHARE
from theory_check.errors import (
    InvalidArgumentError,
    require_callable,
    require_instance,
    require_seeds,
    shortened,
)
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import Problem
from theory_check.problems.problem import require_problem

LONGER = 2
"""A seed that misses the target at T may go on to this multiple of it, to learn what it costs."""


@dataclass(frozen=True, eq=False)
class AdviceCheck:
    """What became of the cheapest plan.

    Attributes
    ----------
    seeds
        The seeds, none of them a pilot's.
    accuracy
        Ergodic mean of ``‖∇Phi‖²`` after the planned T, squared norm, shape (seeds,).
    samples
        Samples drawn when the ergodic mean was first at most epsilon, shape (seeds,); infinite
        for a seed that was still above it after twice the planned T.
    epsilon, predicted, planned
        The target, the predicted cost and the cost of T iterations, in samples.
    """

    seeds: tuple[int, ...]
    accuracy: Float[np.ndarray, " seeds"]
    samples: Float[np.ndarray, " seeds"]
    epsilon: float
    predicted: int
    planned: int

    @property
    def required(self) -> int:
        """Number of seeds that have to meet the target."""
        return math.ceil(REQUIRED_SHARE * len(self.seeds))

    @property
    def reached(self) -> int:
        """Number of seeds that meet the target after the planned T."""
        return int((self.accuracy <= self.epsilon).sum())

    @property
    def cost(self) -> float:
        """Samples per seed at which the required number of seeds had met the target."""
        return float(np.sort(self.samples)[self.required - 1])

    @property
    def cost_ratio(self) -> float:
        """That cost over the prediction."""
        return self.cost / self.predicted

    @property
    def passed(self) -> bool:
        """Whether enough seeds met the target by T, at a cost within the factor."""
        within = 1 / COST_FACTOR <= self.cost_ratio <= COST_FACTOR
        return self.reached >= self.required and within


def check_advice(
    advice: Advice,
    problem: Problem,
    seeds: Sequence[int] = range(CHECKED_SEEDS),
    progress: Callable[[int, int], None] | None = None,
) -> AdviceCheck:
    """Run the cheapest plan of ``advice`` with samples.

    Parameters
    ----------
    advice
        Made for this problem.
    problem
        The problem.
    seeds
        One replicate each.
    progress
        Called as ``progress(done, total)``.

    Raises
    ------
    InvalidArgumentError
        If the seeds are not distinct non-negative integers, one of them belongs to the pilot, or
        the advice is for another problem.
    """
    require_instance("advice", advice, Advice, "pass what theory_check.advise returned")
    require_problem(problem)
    if progress is not None:
        require_callable("progress", progress)
    seeds = require_seeds(seeds)
    if shared := sorted(set(seeds) & set(START_SEEDS)):
        raise InvalidArgumentError(
            "seeds",
            f"{shared[0]}, a pilot's",
            f"pass seeds outside {START_SEEDS.start} .. {START_SEEDS.stop - 1}",
        )
    if advice.problem != problem.name:
        raise InvalidArgumentError(
            "problem",
            shortened(problem.name),
            f"pass {advice.problem!r}, or ask for advice on this one",
        )
    plan = advice.best
    tools = instruments_for(problem, seeds)
    state = tools.initial_state(plan.solver, seeds, advice.initial_scale)
    run = follow(plan.solver, tools.sampled, tools.truth, state, plan.iterations, progress)
    accuracy = run.ergodic[:, -1]
    at_target = run.ergodic <= advice.epsilon
    if not at_target.any(1).all():
        more = (LONGER - 1) * plan.iterations
        beyond = follow(plan.solver, tools.sampled, tools.truth, run.state, more)
        run = run.continued(beyond)
        at_target = run.ergodic <= advice.epsilon
    # Every iteration draws the same number, so the counters give what one of them draws.
    per_iteration = tools.sampled.counts.samples / run.stationarity.shape[1]
    first = at_target.argmax(1) + 1
    return AdviceCheck(
        seeds=seeds,
        accuracy=accuracy,
        samples=np.where(at_target.any(1), first * per_iteration, np.inf),
        epsilon=advice.epsilon,
        predicted=plan.predicted.samples,
        planned=plan.planned.samples,
    )
