"""Reference for lower bounds: stochastic descent on the hyperobjective itself, with its own samples.

No method can know this gradient; one that had it would need no lower level, no penalty and no inner
loop. It is therefore no contender of ``theory-check compare`` and no solver of ``solvers/``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Information
from theory_check.oracles.estimates.counts import SampleCounter, SampleCounts
from theory_check.oracles.estimates.replicate_draws import ReplicateDraws
from theory_check.problems.gradient_noise import Batch
from theory_check.problems.zero_chain import ZeroChainProblem
from theory_check.settings import Positive, PositiveInteger, Settings
from theory_check.solvers.method import Constants, Method, Plan, Scales
from theory_check.solvers.states import SingleLowerState


class HyperobjectiveSamples:
    """Samples of ``∇Phi`` with the Bernoulli noise of the problem, counted as lower-level samples.

    Parameters
    ----------
    problem
        A zero chain.
    seeds
        One per replicate.
    sample_budget
        Largest number of samples of a replicate; None for no limit.
    reused
        Whether all estimates are formed from the batch of the first one: a fixed data set, which
        may be asked at points that depend on it.
    """

    def __init__(
        self,
        problem: ZeroChainProblem,
        seeds: Sequence[int],
        sample_budget: int | None,
        *,
        reused: bool = False,
    ) -> None:
        self._problem = problem
        self._counter = SampleCounter(sample_budget)
        self._draws = ReplicateDraws("hypergradient noise", seeds)
        self._reused = reused
        self._kept: Batch | None = None

    @property
    def counts(self) -> SampleCounts:
        """Samples each replicate has drawn so far."""
        return self._counter.counts

    def hypergradient(
        self, upper: Float[Tensor, "replicate upper"], samples: int
    ) -> Float[Tensor, "replicate upper"]:
        """Return the mean of samples of ``∇Phi``."""
        batch = self._kept
        if batch is None or not self._reused:
            self._counter.add(trajectories=samples, labels=0, env_steps=samples)
            batch = self._problem.gradient_noise.lower_batch(self._draws, samples)
            self._kept = batch
        return self._problem.sampled_hypergradient(upper, batch)


@dataclass(frozen=True)
class ReferenceDescent(Settings):
    """``x <- x - eta g`` with g a mean of sampled hypergradients.

    Parameters
    ----------
    step_size
        ``eta`` > 0.
    samples
        Samples of every estimate.
    """

    name: ClassVar[str] = "reference-descent"
    information: ClassVar[Information] = "samples"

    step_size: Positive
    samples: PositiveInteger

    def init(
        self, upper: Float[Tensor, "replicate upper"], lower: Float[Tensor, "replicate lower"]
    ) -> SingleLowerState:
        """Return the state before the first step."""
        return SingleLowerState.start(upper, lower)

    def step(self, oracle: HyperobjectiveSamples, state: SingleLowerState) -> SingleLowerState:
        """Return the state after one iteration; the lower variable stays where it is."""
        upper = state.next_upper
        estimate = oracle.hypergradient(upper, self.samples)
        return replace(
            state, upper=upper, estimate=estimate, next_upper=upper - self.step_size * estimate
        )


def _plan(epsilon: float, constants: Constants, scales: Scales) -> Plan:
    solver = ReferenceDescent(
        step_size=constants["step_size"] * scales.outer_step,
        samples=scales.response_batch(1 / constants["batch"]),
    )
    return Plan(math.ceil(10 / epsilon), solver)


REFERENCE = Method(
    id="reference",
    title="SGD on the hyperobjective",
    solver=ReferenceDescent,
    constants={"step_size": (0.3, 1.0, 3.0, 10.0), "batch": (0.1, 0.3, 1.0, 3.0)},
    plan=_plan,
    rate=None,
)
REUSED = replace(
    REFERENCE,
    id="reference-reused",
    title="SGD, one batch for all steps",
    # A batch of two to sixteen expected successes: without one, nothing is ever seen.
    constants={"step_size": (7.5, 15.0, 30.0, 60.0), "batch": (4.0, 8.0, 16.0, 32.0)},
)
