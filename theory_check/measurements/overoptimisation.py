"""True and learned return against the divergence from the reference policy, along runs and budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from theory_check.bilevel import SolverState
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.base import Measurement, Need
from theory_check.measurements.needs import PREFERENCES
from theory_check.measurements.units import Units, columns
from theory_check.oracles.control import control_of
from theory_check.oracles.control.divergence import (
    divergence,
    implied_reward,
    optimal_for_steps,
    step_return,
)
from theory_check.oracles.control.hard_control import optimal_return
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import Problem
from theory_check.randomness import FIRST_TUNING_SEED, require_apart
from theory_check.recording import Progress
from theory_check.recording.recorder import recording_grid
from theory_check.recording.run import Observer, iterate
from theory_check.settings import Fraction, Positive, PositiveInteger
from theory_check.solvers.method import KnownMethod, Method
from theory_check.tuning.units import units_of

UNIT_SEEDS = 16
"""Starts, from the first tuning seed on, at which the units of constants are measured."""

TRUTH = "true reward"
"""What stands for a method where the true reward itself takes the place of a learned one."""

Path = Literal["training", "budget"]
"""Policies of a run, or the optimal ones of its last reward at one KL weight after the other."""

MEASURED = ("kl", "distance", "true_return", "learned_return", "regularised_return")


@dataclass(frozen=True)
class Overoptimisation(Measurement):
    """Returns of policies against their divergence from ``pi_ref`` (``docs/theory.md`` section 7.14).

    Along ``"training"``: the policy that each method would deploy at recorded iterations. Along the
    ``"budget"``: optimal policies of the last reward of each run, from the largest KL weight to the
    smallest; and the same of the true reward, as method ``"true reward"``, which nothing overoptimises.

    One row per seed, method, path and point: ``seed, method, path, iteration, kl_weight`` (that of the
    problem along training); ``kl``, ``E_pi[sum_h gamma^h KL(pi_h || pi_ref)]`` in nats, and
    ``distance``, its root; ``true_return`` and ``learned_return`` (of a method without a reward model
    that of ``beta log(pi/pi_ref)`` of its policy) without a KL term, and ``regularised_return``, the
    true one less ``beta kl``, all three less those of ``pi_ref``; ``samples`` and ``labels`` so far.

    The same on every row of a path: ``peak``, the largest true return, ``peak_distance``, where it is,
    ``lost``, how much less the true return is at the largest distance, as a share of ``attainable``, what
    the best policy has more than ``pi_ref``; ``delay``, the distance at which it peaks less that of
    ``rival``, both up to the largest distance that both reach; ``status``: ``"ok"`` or ``"diverged"``.

    Parameters
    ----------
    methods
        Ids of methods.
    iterations
        Outer iterations of each.
    kl_weights
        Of the policies along the budget, reward units.
    rival
        The method whose peak the others' are compared with; one of ``methods``.
    accuracy
        What the plans of the methods are for, relative to the start.
    constants
        By method, where they are not the centre of its grid.
    pairs
        Labelled pairs of every upper gradient, or of the data set, in place of those of the plans.
    initial_scale
        Standard deviation of the initial reward parameters.
    points_per_decade
        Density of the recorded iterations.
    """

    kind: ClassVar[str] = "overoptimisation"
    units: ClassVar[Units] = columns(
        text="path",
        iterations="iteration",
        reward="kl_weight true_return learned_return regularised_return peak attainable",
        nats="kl",
        root_nats="distance peak_distance delay",
        samples="samples",
        labels="labels",
        one="lost",
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES,)

    methods: tuple[KnownMethod, ...]
    iterations: PositiveInteger
    kl_weights: tuple[Positive, ...]
    rival: KnownMethod
    accuracy: Fraction = 0.1
    constants: Mapping[str, Mapping[str, Positive]] = field(default_factory=dict)
    pairs: PositiveInteger | None = None
    initial_scale: Positive = 1.0
    points_per_decade: PositiveInteger = 10

    def __post_init__(self) -> None:
        """Refuse methods twice, a rival that is not run, and constants of others."""
        super().__post_init__()
        known = {method.id: method for method in self.methods}
        if len(known) != len(self.methods):
            raise InvalidArgumentError("methods", list(known), "name each method once")
        if self.rival.id not in known:
            raise InvalidArgumentError("rival", self.rival.id, f"name one of {list(known)}")
        for name, given in self.constants.items():
            if name not in known:
                raise InvalidArgumentError(f"constants.{name}", dict(given), f"name {list(known)}")
            known[name].require_constants(f"constants.{name}", given)

    def solvers(self) -> tuple[Any, ...]:
        """Return the classes of the solvers of its methods."""
        return tuple(method.solver for method in self.methods)

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed, method, path and point."""
        self.require_problem("problem", problem, getattr(problem, "name", ""))
        frames = []
        for place, method in enumerate(self.methods):

            def tell(done: int, total: int, place: int = place) -> None:
                progress(place * total + done, len(self.methods) * total)

            frames += self._frames(problem, method, seeds, tell)
        truth = problem.true_reward.expand(len(seeds), control_of(problem).policy_shape[0], -1, -1)
        frames.append(self._budget(problem, truth, seeds).assign(method=TRUTH, iteration=0))
        table = pd.concat(frames, ignore_index=True)
        return summarised(table, gain_of(problem), self.rival.id)

    def relative_cost(self) -> float:
        """Return the number of iterations of all methods."""
        return float(self.iterations * len(self.methods))

    def solver_of(self, problem: Problem, method: Method) -> Any:
        """Return the configured solver of a method."""
        starts = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + UNIT_SEEDS)
        scales, _ = units_of(problem, starts, self.initial_scale)
        constants = self.constants.get(method.id, method.centre)
        solver = method.configure(self.accuracy, constants, scales).solver
        exact = not hasattr(solver, "pairs")
        return solver if exact or self.pairs is None else replace(solver, pairs=self.pairs)

    def _frames(
        self,
        problem: Problem,
        method: Method,
        seeds: Sequence[int],
        progress: Callable[[int, int], None],
    ) -> list[pd.DataFrame]:
        """Return the rows of a method along both paths."""
        require_apart(seeds, range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + UNIT_SEEDS))
        solver = self.solver_of(problem, method)
        instruments = instruments_for(problem, seeds)
        oracle = instruments.oracle_for(solver)
        grid = recording_grid(self.iterations, self.points_per_decade)
        found = Points(problem, method.learns_reward, seeds, grid)
        state = instruments.initial_state(solver, seeds, self.initial_scale)
        iterate(solver, oracle, state, self.iterations, found, lambda: oracle.counts, progress)
        training = found.table().assign(method=method.id)
        last = training.groupby("seed", sort=False)["iteration"].max()
        running = [seed for seed in seeds if found.status.get(seed, "ok") != "diverged"]
        assert found.latest is not None
        budget = self._budget(problem, found.latest, running).assign(method=method.id)
        counts = training.drop_duplicates("seed", keep="last").set_index("seed")
        for name in ("samples", "labels"):
            budget[name] = counts.loc[budget["seed"], name].to_numpy()
        budget["iteration"] = last.loc[budget["seed"]].to_numpy()
        return [training, budget]

    def _budget(
        self,
        problem: Problem,
        rewards: Float[Tensor, "replicate h s a"],
        seeds: Sequence[int],
    ) -> pd.DataFrame:
        """Return the rows of policies that are optimal for rewards, at one KL weight after the other."""
        frames = []
        own, truth = control_of(problem), problem.true_reward
        for weight in sorted(self.kl_weights, reverse=True):
            policies = optimal_for_steps(replace(own, kl_weight=weight), rewards)
            frames.append(rows_of(own, truth, rewards, policies, seeds).assign(kl_weight=weight))
        table = pd.concat(frames).sort_values("seed", kind="stable")
        return table.assign(path="budget", status="ok", samples=0.0, labels=0.0)


class Points(Observer):
    """What is measured of the policies of a run at recorded iterations.

    Parameters
    ----------
    problem
        The problem.
    learns_reward
        Whether the upper variable is the learned reward; the one that the policy implies otherwise.
    seeds
        Seeds of the replicates.
    grid
        Iterations to record.

    Attributes
    ----------
    latest
        Reward at the last recorded iteration, of the replicates that were running.
    status
        By seed, of those that stopped.
    """

    def __init__(
        self, problem: Problem, learns_reward: bool, seeds: Sequence[int], grid: frozenset[int]
    ) -> None:
        self._problem, self._learns_reward, self._grid = problem, learns_reward, grid
        self._control = control_of(problem)
        self._seeds = np.asarray(seeds)
        self._rows: list[pd.DataFrame] = []
        self.latest: Float[Tensor, "replicate h s a"] | None = None
        self.status: dict[int, str] = {}

    def observe(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> None:
        """Measure the replicates ``active`` at an iteration of the grid."""
        if iteration in self._grid and len(active):
            self.record(iteration, state, counts, active)

    def record(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> None:
        """Measure the replicates ``active``."""
        policies = self._problem.policy_model.table(state.lower[active])
        self.latest = self._reward(state.upper[active], policies)
        self._rows.append(
            rows_of(
                self._control,
                self._problem.true_reward,
                self.latest,
                policies,
                self._seeds[active.numpy()],
            ).assign(
                iteration=iteration,
                samples=float(counts.samples),
                labels=float(counts.labels),
                status="ok",
            )
        )

    def mark(
        self, iteration: int, counts: SampleCounts, stopped: Int[Tensor, " n"], status: str
    ) -> None:
        """Keep a row without measurements that says why replicates stopped."""
        names = self._seeds[stopped.numpy()]
        self.status |= dict.fromkeys(names.tolist(), status)
        row: dict[str, Any] = dict.fromkeys(MEASURED, np.nan)
        row |= {"iteration": iteration, "samples": float(counts.samples)}
        row |= {"labels": float(counts.labels), "status": status}
        self._rows.append(pd.DataFrame({"seed": names, **row}))

    def table(self) -> pd.DataFrame:
        """Return the rows of the run, by seed and iteration."""
        table = pd.concat(self._rows, ignore_index=True)
        table = table.sort_values(["seed", "iteration"], kind="stable")
        return table.assign(path="training", kl_weight=self._problem.kl_weight)

    def _reward(
        self, upper: Float[Tensor, "replicate upper"], policies: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the learned reward of every step, or what a policy implies."""
        if not self._learns_reward:
            return implied_reward(self._control, policies)
        return self._problem.reward_model.table(upper)[:, None].expand_as(policies)


def rows_of(
    control: SoftControl,
    true_reward: Float[Tensor, "s a"],
    rewards: Float[Tensor, "replicate h s a"],
    policies: Float[Tensor, "replicate h s a"],
    seeds: Sequence[int] | NDArray[Any],
) -> pd.DataFrame:
    """Return what is measured of policies: one row per seed, returns less those of ``pi_ref``."""
    truth = true_reward.expand_as(policies)
    kl = divergence(control, policies)
    gained = _gained(control, truth, policies)
    columns = {
        "kl": kl,
        "distance": kl.sqrt(),
        "true_return": gained,
        "learned_return": _gained(control, rewards, policies),
        "regularised_return": gained - control.kl_weight * kl,
    }
    return pd.DataFrame(
        {"seed": list(seeds), **{name: each.numpy() for name, each in columns.items()}}
    )


def _gained(
    control: SoftControl,
    step_reward: Float[Tensor, "replicate h s a"],
    policies: Float[Tensor, "replicate h s a"],
) -> Float[Tensor, " replicate"]:
    """Return by how much the return of a policy exceeds that of ``pi_ref``."""
    reference = control.log_reference.expand_as(policies)
    return step_return(control, step_reward, policies) - step_return(
        control, step_reward, reference
    )


def gain_of(problem: Problem) -> float:
    """Return what the best policy for the true reward has more than ``pi_ref``, without a KL term."""
    control = control_of(problem)
    reference = control.log_reference[None]
    truth = problem.true_reward.expand_as(reference)
    return optimal_return(problem) - float(step_return(control, truth, reference))


def summarised(table: pd.DataFrame, attainable: float, rival: str) -> pd.DataFrame:
    """Return the rows with what is the same on all of a path: its peak, what is lost, the delay."""
    curves = {
        place: rows.loc[rows["status"] == "ok", ["distance", "true_return"]].to_numpy()
        for place, rows in table.groupby(["seed", "method", "path"], sort=False)
    }
    found = {}
    for (seed, method, path), curve in curves.items():
        where, peak = peak_of(curve)
        end = curve[curve[:, 0].argmax(), 1] if len(curve) else np.nan
        other = curves.get((seed, rival, path), curve[:0])
        found[seed, method, path] = {
            "peak": peak,
            "peak_distance": where,
            "lost": (peak - end) / attainable,
            "delay": delay_of(curve, other),
            "attainable": attainable,
        }
    places = pd.MultiIndex.from_frame(table[["seed", "method", "path"]])
    columns = pd.DataFrame.from_dict(found, orient="index").loc[places].reset_index(drop=True)
    joined = pd.concat([table.reset_index(drop=True), columns], axis=1)
    order = ["seed", "method", "path", "iteration", "kl_weight", *MEASURED, "samples", "labels"]
    return joined[[*order, *columns.columns, "status"]]


def peak_of(curve: NDArray[np.float64], within: float = np.inf) -> tuple[float, float]:
    """Return distance and true return where the latter is largest, the reference policy included.

    Parameters
    ----------
    curve
        Rows of a distance and a true return, shape (point, 2).
    within
        Largest distance that is looked at.
    """
    points = np.vstack([np.zeros((1, 2)), curve[curve[:, 0] <= within]])
    where, peak = points[points[:, 1].argmax()]
    return float(where), float(peak)


def delay_of(curve: NDArray[np.float64], rival: NDArray[np.float64]) -> float:
    """Return by how much farther than a rival a curve peaks, up to the largest distance that both reach.

    NaN without a curve, and where the first point of one is beyond all of the other.
    """
    if not len(curve) or not len(rival):
        return np.nan
    within = min(curve[:, 0].max(), rival[:, 0].max())
    if max(curve[:, 0].min(), rival[:, 0].min()) > within:
        return np.nan
    return peak_of(curve, within)[0] - peak_of(rival, within)[0]
