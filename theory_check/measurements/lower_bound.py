"""How many samples a method needs on the lower-bound instance of each accuracy, beside the bound."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Int
from scipy import stats
from torch import Tensor

from theory_check.bilevel import SolverState
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.base import Measurement, Need
from theory_check.measurements.needs import kind_of
from theory_check.measurements.units import Units, columns
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import Problem
from theory_check.problems.zero_chain import ZeroChainProblem
from theory_check.problems.zero_chain_bounds import CHAIN_CURVATURE, SCALE
from theory_check.randomness import FIRST_TUNING_SEED, require_apart
from theory_check.recording import Progress
from theory_check.recording.run import Observer, iterate
from theory_check.settings import Positive, PositiveInteger
from theory_check.solvers.method import Constants, KnownMethod, Method, Scales
from theory_check.tuning.reference_descent import REFERENCE, REUSED, HyperobjectiveSamples

FACTORS = (4.0, 2.0)
"""By which a constant is multiplied and divided in the search, one after the other."""

FURTHEST = 64.0
"""Factor between a constant and the middle of its grid, at most: a chain does not punish huge steps."""

ZERO_CHAIN = Need(
    "links that are hidden from a method, and a bound on the samples that show them",
    lambda problem: isinstance(problem, ZeroChainProblem),
    kind_of,
    "name a problem of family 'zero_chain', or use another measurement on this one",
)


@dataclass(frozen=True)
class LowerBound(Measurement):
    """One method on the lower-bound instances of several accuracies (``docs/theory.md`` section 6.5).

    Its constants are searched on tuning seeds: from the middle of its grid, one constant after the other
    is multiplied and divided by 4 until nothing gets better, and then by 2; at every further accuracy
    by 2 once, from the best of the accuracy before; never by more than 64 in all. Better is what
    reaches the accuracy on all tuning seeds with fewer samples; a setting is stopped when it has spent
    more than the best so far. All loops start at 0 and at ``y*(0)``, the penalised ones too: their
    solution would show links.

    One row per seed and accuracy: ``seed, method, epsilon, links, probability``; ``bound`` (T/p, the mean
    number of samples up to the T-th success); ``first_samples`` (lower-level samples up to the first
    iterate with ``‖∇Phi‖² <= epsilon``), ``first_ratio`` (those over ``bound``); ``samples`` (lower-level
    samples when the mean over the second half of the run so far is at most epsilon), ``ratio`` (those
    over ``bound``), ``labels``, ``iterations`` (then); infinite where it was not reached. ``seen`` is the
    number of links seen in x at the first such iterate, or at the end of a run without one, and
    ``chance`` the probability that so many successes need no more samples than were drawn by then, of a
    negative binomial law. ``constants`` (those chosen, JSON), ``searched`` (settings tried), ``outcome``
    (``"reached"``, ``"diverged"`` or ``"not reached"``); ``status`` is ``"ok"``, since a run that does
    not reach the accuracy keeps the bound too.

    Parameters
    ----------
    method
        A method that samples; ``"reference"`` for descent on the hyperobjective itself, or
        ``"reference-reused"`` for the same with one batch for all steps.
    epsilons
        Accuracies, descending; each has an instance of its own.
    tuning_seeds
        Number of seeds that settings are compared on.
    iterations
        Largest number of outer iterations of a run; half as many while tuning, so that the reported runs
        have room to end.
    trials
        Settings that are tried at most at each accuracy.
    """

    kind: ClassVar[str] = "lower-bound"
    units: ClassVar[Units] = columns(
        one="links probability first_ratio ratio seen chance searched",
        samples="bound first_samples samples",
        labels="labels",
        iterations="iterations",
        text="constants outcome",
    )
    needs: ClassVar[tuple[Need, ...]] = (ZERO_CHAIN,)
    own_methods: ClassVar[tuple[Method, ...]] = (REFERENCE, REUSED)

    method: KnownMethod
    epsilons: tuple[Positive, ...]
    tuning_seeds: PositiveInteger = 4
    iterations: PositiveInteger = 600
    trials: PositiveInteger = 24

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        super().__post_init__()
        self.method.require_samples("method")
        if not all(b < a for a, b in itertools.pairwise(self.epsilons)):
            raise InvalidArgumentError("epsilons", self.epsilons, "pass descending accuracies")

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and accuracy."""
        self.require_problem("problem", problem, getattr(problem, "name", ""))
        chain: Any = problem
        tuning = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + self.tuning_seeds)
        require_apart(seeds, tuning)
        constants = self.method.centre
        frames = []
        for done, epsilon in enumerate(self.epsilons):
            instance = chain.instance_for(epsilon)
            score = partial(self._score, instance, tuning)
            search = _Search(score, self.method.centre, self.trials)
            constants = search.coarse(constants) if done == 0 else search.fine(constants)
            recorder = self._run(instance, constants, seeds, math.inf, self.iterations)
            found = recorder.rows(seeds).assign(
                method=self.method.id,
                epsilon=epsilon,
                **_bound(instance),
                constants=json.dumps(constants),
                searched=len(search.scores),
            )
            frames.append(found)
            progress(done + 1, len(self.epsilons))
        table = pd.concat(frames, ignore_index=True)
        table["ratio"] = table["samples"] / table["bound"]
        table["first_ratio"] = table["first_samples"] / table["bound"]
        return table

    def relative_cost(self) -> float:
        """Return the number of iterations."""
        return float(self.iterations * len(self.epsilons))

    def _score(
        self,
        problem: ZeroChainProblem,
        seeds: Sequence[int],
        constants: Constants,
        limit: float,
    ) -> tuple[float, float]:
        """Return the score of constants in a run of half the length."""
        return self._run(problem, constants, seeds, limit, max(1, self.iterations // 2)).score

    def _run(
        self,
        problem: ZeroChainProblem,
        constants: Constants,
        seeds: Sequence[int],
        limit: float,
        iterations: int,
    ) -> HittingRecorder:
        start = problem.start[None].repeat(len(seeds), 1)
        lower = problem.lower_minimiser(start)
        relative = problem.epsilon / float(problem.hypergradient(start)[0].square().sum())
        solver = self.method.configure(relative, constants, units(problem)).solver
        oracle: Any
        if self.method in (REFERENCE, REUSED):
            oracle = HyperobjectiveSamples(problem, seeds, None, reused=self.method is REUSED)
        else:
            oracle = instruments_for(problem, seeds).sampled
        recorder = HittingRecorder(problem, len(seeds), limit)
        iterate(
            solver,
            oracle,
            solver.init(start, lower),
            iterations,
            recorder,
            lambda: oracle.counts,
            finished=lambda: recorder.finished,
        )
        return recorder


def units(problem: ZeroChainProblem) -> Scales:
    """Return the units of the constants of a method, from the closed form of an instance.

    Steps are reciprocals of curvatures, sigma is in units of the cut-off, up to which v passes the link
    on, and a batch of one unit has one success.
    """
    penalty = problem.length
    return Scales(
        outer_step=1 / (problem.kappa**2 * CHAIN_CURVATURE * SCALE),
        inner_step=1.0,
        kl_weight=penalty,
        sigma=penalty,
        # Batches are multiplied by 1 / (2 sigma²), as a difference over sigma asks for.
        batch=2 * penalty**2 / (1 + penalty**2) / problem.success_probability,
    )


class HittingRecorder(Observer):
    """When a run first met an accuracy, and when the mean over its second half did.

    Parameters
    ----------
    problem
        The instance, with its accuracy.
    replicates
        Their number.
    limit
        Lower-level samples after which nobody wants to know.
    """

    def __init__(self, problem: ZeroChainProblem, replicates: int, limit: float) -> None:
        self._problem = problem
        self._limit = limit
        self._sums = [np.zeros(replicates)]
        self.seen = np.zeros(replicates)
        self.spent = np.zeros(replicates)
        self.first = np.full(replicates, np.inf)
        self.half = np.full(replicates, np.inf)
        self.labels = np.full(replicates, np.inf)
        self.iterations = np.full(replicates, np.inf)
        self.status = np.full(replicates, "not reached", dtype=object)

    @property
    def finished(self) -> bool:
        """Whether all replicates that still run have met the accuracy, or one has spent too much."""
        return self.spent.max() > self._limit or bool((self.status != "not reached").all())

    def observe(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> None:
        """Look at the next iterate: the samples so far are those that it depends on."""
        problem, rows = self._problem, active.numpy()
        upper = state.next_upper[active]
        size = np.full(len(self.first), np.inf)
        size[rows] = problem.hypergradient(upper).square().sum(-1).numpy()
        before_hit = rows[np.isinf(self.first[rows])]
        seen = problem.progress(state.next_upper).numpy()
        self.seen[before_hit] = np.maximum(self.seen[before_hit], seen[before_hit])
        self.spent[before_hit] = counts.trajectories
        self.first[before_hit[size[before_hit] <= problem.epsilon]] = counts.trajectories
        self._sums.append(self._sums[-1] + size)
        before = iteration // 2
        with np.errstate(invalid="ignore"):  # a lost replicate stays infinite
            mean = (self._sums[-1] - self._sums[before]) / (iteration - before)
        met = (mean <= problem.epsilon) & (self.status == "not reached")
        self.half[met], self.labels[met] = counts.trajectories, counts.labels
        self.iterations[met], self.status[met] = iteration, "reached"

    def mark(
        self, iteration: int, counts: SampleCounts, stopped: Int[Tensor, " n"], status: str
    ) -> None:
        """Note why replicates stopped that had not met the accuracy."""
        for replicate in stopped.tolist():
            if self.status[replicate] == "not reached":
                self.status[replicate] = status

    @property
    def score(self) -> tuple[float, float]:
        """Largest number of samples, infinite where a replicate failed, then links not seen."""
        return float(self.half.max()), self._problem.links - float(self.seen.min())

    def rows(self, seeds: Sequence[int]) -> pd.DataFrame:
        """Return one row per seed."""
        # No link needs no success: the law of scipy begins with one.
        chance = np.ones(len(self.seen))
        some = self.seen > 0
        chance[some] = stats.nbinom.cdf(
            self.spent[some] - self.seen[some],
            self.seen[some],
            self._problem.success_probability,
        )
        return pd.DataFrame(
            {
                "seed": list(seeds),
                "first_samples": self.first,
                "samples": self.half,
                "labels": self.labels,
                "iterations": self.iterations,
                "seen": self.seen,
                "chance": chance,
                "outcome": self.status.astype(str),
                "status": "ok",
            }
        )


class _Search:
    """A pattern search over the constants of a method, in factors.

    Parameters
    ----------
    score
        Score of constants, the smaller the better, stopped beyond a number of samples.
    middle
        Constants from which none goes further than ``FURTHEST``.
    trials
        Largest number of settings.
    """

    def __init__(
        self,
        score: Callable[[Constants, float], tuple[float, float]],
        middle: Constants,
        trials: int,
    ) -> None:
        self._run, self._middle, self._trials = score, middle, trials
        self.scores: dict[tuple[tuple[str, float], ...], tuple[float, float]] = {}

    def coarse(self, constants: Constants) -> dict[str, float]:
        """Return the best constants, moved by 4 and then by 2 as long as something gets better."""
        best = dict(constants)
        for factor in FACTORS:
            before = None
            while before != best:
                before = best
                best = self._sweep(best, factor)
        return best

    def fine(self, constants: Constants) -> dict[str, float]:
        """Return the best constants, each moved by 2 once or on and on."""
        return self._sweep(dict(constants), FACTORS[-1])

    def _sweep(self, best: dict[str, float], factor: float) -> dict[str, float]:
        for name in best:
            for change in (factor, 1 / factor):
                moved = best | {name: best[name] * change}
                while self._score(moved) < self._score(best):
                    best, moved = moved, moved | {name: moved[name] * change}
        return best

    def _score(self, constants: Constants) -> tuple[float, float]:
        key = tuple((name, round(math.log2(value), 6)) for name, value in constants.items())
        if key not in self.scores:
            far = (abs(math.log(constants[name] / self._middle[name])) for name in constants)
            if len(self.scores) >= self._trials or max(far) > math.log(FURTHEST) + 1e-9:
                return math.inf, math.inf
            least = min((score[0] for score in self.scores.values()), default=math.inf)
            self.scores[key] = self._run(constants, least)
        return self.scores[key]


def _bound(problem: ZeroChainProblem) -> dict[str, float]:
    """Return T, p and T/p."""
    links, probability = problem.links, problem.success_probability
    return {"links": float(links), "probability": probability, "bound": links / probability}
