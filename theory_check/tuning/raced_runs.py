"""Runs of a configured method, side by side, until enough of them have kept a target or cannot."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from theory_check.bilevel import Solver, SolverState
from theory_check.errors import CertificationError
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.instruments import Instruments, instruments_for
from theory_check.provenance import Accuracy
from theory_check.randomness import standard_normals
from theory_check.recording.accuracy import KEPT, RunArrivals, until_kept
from theory_check.recording.blocks import StationarityBlocks, ValueGapBlocks
from theory_check.recording.run import Observer, iterate
from theory_check.solvers.method import Plan

ALLOWANCE = 1.1
"""A run is given up when it has spent this many times what the best so far cost."""

LAG = 6
"""A block of iterates is at most this part of the iterations so far: a run ends soon after it may, and
evaluates little oftener than it steps."""


@dataclass(frozen=True)
class Caps:
    """What ends a run that does not arrive.

    Attributes
    ----------
    samples
        A run that has drawn more when it arrives has failed; exact calls where it draws none.
    iterations
        The technical limit, whatever the plan says.
    """

    samples: int
    iterations: int


class RacedRuns(Observer):
    """What came of runs; see :func:`race`.

    Attributes
    ----------
    arrivals
        When each run met the target and kept it.
    status
        ``"ok"`` of each replicate, or why it stopped.
    last
        Latest state, and latest counts.
    seconds
        Time of the solver, iterations of it in ``steps``.
    cut
        Whether the technical limit ended it before plan, budget and target did.
    """

    def __init__(
        self,
        instruments: Instruments,
        solver: Solver,
        arrivals: RunArrivals,
        needed: int | None,
        measured: Accuracy,
        allowed: float,
    ) -> None:
        replicates = len(arrivals.latest)
        kind = StationarityBlocks if measured == "stationarity" else ValueGapBlocks
        self._block = kind(instruments.truth, replicates, missing=np.inf, uncertified=np.inf)
        self.instruments, self._solver, self.arrivals = instruments, solver, arrivals
        self._needed, self._allowed = needed, allowed
        self._pending: list[SampleCounts] = []
        self.status = ["ok"] * replicates
        self.last: tuple[SolverState, SampleCounts] | None = None
        self._first = SampleCounts()
        self.seconds, self.steps = 0.0, 0
        self.finished, self.cut = False, False

    # Any: of the kind that the solver's own step takes.
    def step(self, oracle: Any, state: Any) -> Any:
        """Return the solver's step, timed; settings that lead where rounding decides have diverged."""
        start = time.perf_counter()
        try:
            following = self._solver.step(oracle, state)
        except CertificationError:
            if self._needed is None:
                raise
            following = replace(state, next_upper=torch.full_like(state.next_upper, torch.nan))
        self.seconds += time.perf_counter() - start
        self.steps += 1
        return following

    def observe(
        self, iteration: int, state: SolverState, counts: SampleCounts, active: Int[Tensor, " a"]
    ) -> None:
        """Keep the iterates, and evaluate them a block at a time."""
        before, self.last = self.counts, (state, counts)
        if self.steps == 1:
            self._first = counts
        self._block.keep(self._block.points(state), active)
        self._pending.append(counts)
        # Nothing is confirmed earlier than what is met at the first iteration.
        due = iteration >= until_kept(1) and LAG * len(self._pending) >= iteration
        beyond = self.cost(before) <= ALLOWANCE * self._allowed < self.cost(counts)
        if due or beyond or self._block.full or not len(active):
            self.look()

    def mark(
        self, iteration: int, counts: SampleCounts, stopped: Int[Tensor, " n"], status: str
    ) -> None:
        """Note why replicates stopped."""
        for replicate in stopped.tolist():
            self.status[replicate] = status

    def look(self) -> None:
        """Evaluate what was kept, and see whether there is something left to wait for."""
        if not self._pending:
            return
        self.arrivals.add(self._block.evaluate(), self._pending)
        spent = self.cost(self._pending[-1])
        self._pending = []
        arrived = self.arrivals.confirmed
        met = self._met(spent)
        hopeful = arrived | (np.isfinite(self.arrivals.latest) & (met <= ALLOWANCE * self._allowed))
        if self._needed is None:
            self.finished = not (hopeful & ~arrived).any()
        else:
            self.finished = arrived.sum() >= self._needed or hopeful.sum() < self._needed

    def _met(self, otherwise: float) -> NDArray[np.float64]:
        """Return what each run had spent when it met the target that it has kept since then."""
        found = self.arrivals.met_after
        return np.array([otherwise if each is None else self.cost(each) for each in found])

    def cost(self, counts: SampleCounts) -> float:
        """Return samples, or exact calls of a solver that draws none."""
        exact = self._solver.information == "exact"
        return float(counts.exact_calls if exact else counts.samples)

    @property
    def counts(self) -> SampleCounts:
        """What a replicate had drawn at the end."""
        return SampleCounts() if self.last is None else self.last[1]

    @property
    def beyond(self) -> bool:
        """Whether it has spent more than anybody wants to know."""
        return self.cost(self.counts) > ALLOWANCE * self._allowed

    @property
    def price(self) -> float:
        """Cost of an iteration; infinite where half of it all or more was the first one's.

        What a method draws before it begins says nothing of how long it goes on.
        """
        spent = self.cost(self.counts)
        return math.inf if 2 * self.cost(self._first) >= spent else spent / self.steps

    def costs(self, budget: float = math.inf) -> NDArray[np.float64]:
        """Return the cost of each run, infinite where it did not arrive within the budget."""
        costs = np.where(self.arrivals.confirmed, self._met(math.inf), math.inf)
        return np.where(costs <= budget, costs, np.inf)


def race(
    problem: object,
    plan: Plan,
    streams: Sequence[int],
    needed: int | None,
    target: float,
    caps: Caps,
    *,
    measured: Accuracy = "stationarity",
    allowed: float = math.inf,
    longest: float = math.inf,
    margin: float = 1.0,
    initial_scale: float = 1.0,
    perturbation: float = 0.0,
    to_the_end: bool = False,
) -> RacedRuns:
    """Run a plan until so many runs as are needed have kept the target, or cannot any more.

    What is spent to see whether a target is kept counts neither to the plan's iterations nor to the
    budget: a run may go on to ``KEPT`` times either.

    Parameters
    ----------
    problem
        The problem.
    plan
        The configured solver, and the iterations after which it has failed.
    streams
        Seeds of the runs.
    needed
        Runs that have to arrive: the race is over when so many have, or too few still can. None:
        everybody's result is wanted.
    target
        Largest accuracy, in the units of the problem.
    caps
        What ends a run.
    measured
        What accuracies are the mean of.
    allowed
        Cost beyond which nobody wants to know.
    longest
        Iterations beyond which the search does not look.
    margin
        Share of the plan's iterations within which a run has to arrive.
    initial_scale
        Standard deviation of the initial reward parameters.
    perturbation
        Relative size of what is added to where runs start.
    to_the_end
        Whether all iterations are run, for what a run ends up with.
    """
    planned = margin * plan.iterations
    within = min(planned, caps.iterations, longest)
    most = math.ceil(until_kept(within))
    budget = math.ceil(KEPT * caps.samples)
    instruments = instruments_for(problem, streams, sample_budget=budget)
    oracle = instruments.oracle_for(plan.solver, budget)
    arrivals = RunArrivals(len(streams), target)
    found = RacedRuns(instruments, plan.solver, arrivals, needed, measured, allowed)
    state = instruments.initial_state(plan.solver, streams, initial_scale)
    iterate(
        found,
        oracle,
        perturbed(state, streams, perturbation) if perturbation else state,
        most,
        found,
        lambda: oracle.counts,
        finished=lambda: found.finished and not to_the_end,
    )
    found.look()
    late = arrivals.iterations > within
    arrivals.iterations[late] = np.inf
    ended = found.steps >= most
    found.cut = bool(
        ended and within < planned and arrivals.confirmed.sum() < (needed or len(streams))
    )
    return found


# Any: a state of any solver.
def perturbed(state: Any, streams: Sequence[int], size: float) -> Any:
    """Return a start that differs by ``size``, relative to its largest entry or to 1."""

    def moved(purpose: str, values: Tensor) -> Tensor:
        noise = torch.from_numpy(
            np.array(standard_normals(f"perturbation of {purpose}", streams, values.shape[1]))
        ).to(values)
        return values + size * torch.clamp(values.abs().amax(-1, keepdim=True), min=1.0) * noise

    upper, lower = moved("upper", state.upper), moved("lower", state.lower)
    return replace(state, upper=upper, next_upper=upper.clone(), lower=lower)
