"""What is measured along a run, with the exact oracle, outside the solver and its clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.bilevel import BilevelOracle, BilevelTruth, Solver, SolverState, Surrogate
from theory_check.errors import require_positive_integer, require_table
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.recording.accuracy import RunningMeans
from theory_check.recording.blocks import StationarityBlocks

COLUMNS = MappingProxyType(
    {
        "seed": "seed of the replicate",
        "iteration": "outer iteration t = 1 .. T; the row describes x_t, the point at which the "
        "t-th hypergradient estimate is formed",
        "env_steps": "environment steps drawn by then",
        "trajectories": "rollouts drawn by then, compared ones included",
        "labels": "preference labels drawn by then",
        "samples": "trajectories plus labels drawn by then: what a complexity claim counts",
        "exact_calls": "exact quantities asked for by then, by methods that are defined with them",
        "hyperobjective": "Phi(phi_t), nats (section 1)",
        "optimality_gap": "Phi(phi_t) - Phi*, nats; NaN where Phi* is neither declared nor certified",
        "stationarity": "|grad Phi(phi_t)|^2, squared norm (section 2)",
        "ergodic_stationarity": "mean of stationarity over iterations 1 .. t, squared norm "
        "(section 5, outer-ergodic)",
        "half_stationarity": "mean of stationarity over iterations t/2 < s <= t, squared norm "
        "(section 5.1)",
        "hypergradient_error": "|estimate - grad Phi|^2, squared norm",
        "penalty_bias": "|grad Phi_sigma - grad Phi|^2, squared norm (section 3)",
        "inner_error": "|E[estimate | inner iterates] - grad Phi_sigma|^2, squared norm",
        "sampling_error": "|estimate - E[estimate | inner iterates]|^2, squared norm",
        "lower_gap": "J* - J(lambda_t), reward units (section 2)",
        "lower_gap_penalised": "h_sigma(lambda'_t) - min h_sigma, reward units (section 3)",
        "reward_error": "mean square of r_phi - r* over states and actions, after projecting out "
        "every reward change that no comparison can see (section 1); NaN where a sparse kernel has more "
        "than 5792 pairs of state and action, whose projection would be too large",
        "policy_regret": "J* - J(lambda_t) under the true reward, reward units",
        "true_return": "E_pi[sum_h gamma^h r*] of pi_{lambda_t}, without a KL term, reward units",
        "min_policy_probability": "smallest action probability of pi_{lambda_t}",
        "status": "'ok', 'diverged' or 'budget exhausted'",
    }
)


@dataclass(frozen=True, eq=False)
class ErrorSplit:
    """The error of a hypergradient estimate as a sum of three vectors.

    All are NaN for a solver without an estimate.

    Attributes
    ----------
    penalty_bias
        ``∇Phi_sigma - ∇Phi``, shape (replicate, upper), or that of the surrogate that a solver declares;
        zero for those that estimate ``∇Phi`` itself, NaN where there is no surrogate.
    inner_error
        ``E[estimate | inner iterates] - ∇Phi_sigma``, shape (replicate, upper); NaN likewise.
    sampling_error
        ``estimate - E[estimate | inner iterates]``, shape (replicate, upper).
    hypergradient_error
        ``estimate - ∇Phi``, shape (replicate, upper): the sum of the three where there is a surrogate.
    """

    penalty_bias: Float[Tensor, "replicate upper"]
    inner_error: Float[Tensor, "replicate upper"]
    sampling_error: Float[Tensor, "replicate upper"]
    hypergradient_error: Float[Tensor, "replicate upper"]


def recording_grid(iterations: int, points_per_decade: int = 10) -> frozenset[int]:
    """Return log-spaced iterations in 1 .. ``iterations``, the first and the last among them."""
    require_positive_integer("iterations", iterations)
    require_positive_integer("points_per_decade", points_per_decade)
    points = 1 + int(np.ceil(points_per_decade * np.log10(iterations)))
    if points > 10 * iterations:  # nearer to each other than 1 everywhere
        return frozenset(range(1, iterations + 1))
    require_table("points_per_decade", points_per_decade, points)
    return frozenset(np.geomspace(1, iterations, max(points, 2)).round().astype(int).tolist())


class Recorder:
    """Measures a solver's states and keeps the rows.

    Parameters
    ----------
    truth
        What is exactly known of the problem.
    information
        The bilevel interface with exact expectations, for the models the solver uses.
    solver
        The solver whose states are observed.
    seeds
        Seeds of the replicates.
    grid
        Iterations to record in full.
    ergodic
        Whether to evaluate the hypergradient at every iteration for ``ergodic_stationarity``
        and ``half_stationarity``; NaN otherwise.
    """

    def __init__(
        self,
        truth: BilevelTruth,
        information: BilevelOracle,
        solver: Solver,
        seeds: Sequence[int],
        grid: frozenset[int],
        *,
        ergodic: bool = True,
    ) -> None:
        self._truth = truth
        self._information = information
        self._solver = solver
        self._seeds = np.array(seeds)
        self._grid = grid
        self._ergodic = ergodic
        self._means = RunningMeans(len(seeds))
        self._block = StationarityBlocks(truth, len(seeds))
        self._optimum = truth.optimal_hyperobjective
        self._rows: list[pd.DataFrame] = []
        self._last_recorded = 0

    def observe(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> None:
        """Look at the replicates ``active`` after iteration ``iteration``, once per iteration.

        A full row is kept for the iterations of the grid.
        """
        if not len(active):
            return
        if self._ergodic:
            self._block.keep(state.upper, active)
            if self._block.full:
                self._add_block()
        if iteration in self._grid:
            self.record(iteration, state, counts, active)

    def record(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> None:
        """Keep a full row for an iteration already observed, unless there is one."""
        if len(active) and iteration > self._last_recorded:
            self._add_block()
            self._rows.append(self._measure(iteration, _select(state, active), counts, active))
            self._last_recorded = iteration

    def mark(
        self, iteration: int, counts: SampleCounts, stopped: Int[Tensor, " n"], status: str
    ) -> None:
        """Keep a row without measurements that says why replicates stopped."""
        if not len(stopped):
            return
        row: dict[str, Any] = dict.fromkeys(COLUMNS, np.nan)
        row |= _counters(iteration, counts) | {"status": status}
        self._rows.append(pd.DataFrame({**row, "seed": self._seeds[stopped.numpy()]}))

    def table(self) -> pd.DataFrame:
        """Return the rows so far, sorted by seed and iteration, in the order of ``COLUMNS``."""
        self._add_block()
        if not self._rows:
            return pd.DataFrame(columns=list(COLUMNS))
        frame = pd.concat(self._rows, ignore_index=True)
        frame = frame[list(COLUMNS)].sort_values(["seed", "iteration"], kind="stable")
        return frame.reset_index(drop=True)

    def split_error(self, state: SolverState) -> ErrorSplit:
        """Split the error of ``state.estimate``; all replicates of ``state`` must be finite."""
        return self._split(state, self._truth.hypergradient(state.upper))

    def _split(self, state: SolverState, gradient: Tensor) -> ErrorSplit:
        surrogate = self._surrogate_gradient(state, gradient)
        expected = self._solver.hypergradient_estimate(self._information, state)
        if expected is None:
            unknown = torch.full_like(gradient, torch.nan)
            return ErrorSplit(unknown, unknown, unknown, unknown)
        return ErrorSplit(
            penalty_bias=surrogate - gradient,
            inner_error=expected - surrogate,
            sampling_error=state.estimate - expected,
            hypergradient_error=state.estimate - gradient,
        )

    def _add_block(self) -> None:
        """Add the iterations that were kept to the running means."""
        for values in self._block.evaluate():
            self._means.add(values)

    def _surrogate_gradient(self, state: SolverState, gradient: Tensor) -> Tensor:
        """Return what is estimated; NaN without a surrogate, and where it is not certified."""
        solver = self._solver
        if isinstance(solver, Surrogate):
            return solver.surrogate_gradient(self._truth, state)
        if solver.penalty is None:
            return torch.full_like(gradient, torch.nan)
        return self._truth.surrogate_gradient(state.upper, solver.penalty)

    def _measure(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> pd.DataFrame:
        gradient = self._truth.hypergradient(state.upper)
        split = self._split(state, gradient)
        value = self._truth.hyperobjective(state.upper)
        columns: dict[str, Any] = dict.fromkeys(COLUMNS, np.nan)
        columns |= _counters(iteration, counts) | {"status": "ok"}
        columns |= self._truth.diagnostics(
            state.upper, state.lower, state.lower_penalised, self._solver.penalty
        )
        columns |= {
            "seed": self._seeds[active.numpy()],
            "hyperobjective": value,
            "optimality_gap": value - self._optimum,
            "stationarity": _squared_norm(gradient),
            "hypergradient_error": _squared_norm(split.hypergradient_error),
            "penalty_bias": _squared_norm(split.penalty_bias),
            "inner_error": _squared_norm(split.inner_error),
            "sampling_error": _squared_norm(split.sampling_error),
        }
        if self._ergodic:
            columns["ergodic_stationarity"] = self._means.ergodic()[active.numpy()]
            columns["half_stationarity"] = self._means.half()[active.numpy()]
        return pd.DataFrame(
            {
                name: entry.cpu().numpy() if isinstance(entry, Tensor) else entry
                for name, entry in columns.items()
            }
        )


def _squared_norm(vectors: Float[Tensor, "replicate upper"]) -> Float[Tensor, " replicate"]:
    return vectors.square().sum(-1)


def _counters(iteration: int, counts: SampleCounts) -> dict[str, Any]:
    return {
        "iteration": iteration,
        "env_steps": counts.env_steps,
        "trajectories": counts.trajectories,
        "labels": counts.labels,
        "samples": counts.samples,
        "exact_calls": counts.exact_calls,
    }


def _select(state: SolverState, replicates: Int[Tensor, " active"]) -> SolverState:
    """Return ``state`` restricted to some replicates; solvers may keep more tensors than shown."""
    record: Any = state
    tensors = {
        field.name: value
        for field in fields(record)
        if isinstance(value := getattr(record, field.name), Tensor)
    }
    chosen = {name: value[replicates] for name, value in tensors.items()}
    selected: SolverState = replace(record, **chosen)
    return selected
