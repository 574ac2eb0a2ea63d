"""What is measured along a run, with the exact oracle, outside the solver and its clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.bilevel import Solver, SolverState
from theory_check.errors import require_positive_integer
from theory_check.oracles import soft_control
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.optimum import optimal_hyperobjective
from theory_check.oracles.sampled import SampleCounts
from theory_check.recording.columns import COLUMNS


@dataclass(frozen=True, eq=False)
class ErrorSplit:
    """The error of a hypergradient estimate as a sum of three vectors.

    Attributes
    ----------
    penalty_bias
        ``∇Phi_sigma - ∇Phi``, shape (replicate, upper); zero for solvers without a penalty.
    inner_error
        ``E[estimate | inner iterates] - ∇Phi_sigma``, shape (replicate, upper).
    sampling_error
        ``estimate - E[estimate | inner iterates]``, shape (replicate, upper).
    hypergradient_error
        ``estimate - ∇Phi``, shape (replicate, upper): the sum of the three.
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
    return frozenset(np.geomspace(1, iterations, max(points, 2)).round().astype(int).tolist())


class Recorder:
    """Measures a solver's states and keeps the rows.

    Parameters
    ----------
    exact
        Exact oracle of the problem.
    information
        The bilevel interface with exact expectations, for the models the solver uses.
    solver
        The solver whose states are observed.
    seeds
        Seeds of the replicates.
    grid
        Iterations to record in full.
    ergodic
        Whether to evaluate the hypergradient at every iteration for ``ergodic_stationarity``;
        NaN otherwise.
    """

    def __init__(
        self,
        exact: ExactOracle,
        information: ExactInformation,
        solver: Solver,
        seeds: Sequence[int],
        grid: frozenset[int],
        *,
        ergodic: bool = True,
    ) -> None:
        self._exact = exact
        self._information = information
        self._solver = solver
        self._seeds = np.array(seeds)
        self._grid = grid
        self._ergodic = ergodic
        self._stationarity_sum = np.zeros(len(seeds))
        self._optimum = optimal_hyperobjective(exact)
        self._true_optimal = soft_control.optimal_log_policy(
            exact.dynamics, exact.true_reward[None]
        )
        self._comparable = comparable_rewards(exact)
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
            gradient = self._exact.hypergradient(state.upper[active])
            self._stationarity_sum[active.numpy()] += gradient.square().sum(-1).cpu().numpy()
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
        if not self._rows:
            return pd.DataFrame(columns=list(COLUMNS))
        frame = pd.concat(self._rows, ignore_index=True)
        frame = frame[list(COLUMNS)].sort_values(["seed", "iteration"], kind="stable")
        return frame.reset_index(drop=True)

    def split_error(self, state: SolverState) -> ErrorSplit:
        """Split the error of ``state.estimate``; all replicates of ``state`` must be finite."""
        gradient = self._exact.hypergradient(state.upper)
        surrogate = self._surrogate_gradient(state, gradient)
        expected = self._solver.hypergradient_estimate(self._information, state)
        return ErrorSplit(
            penalty_bias=surrogate - gradient,
            inner_error=expected - surrogate,
            sampling_error=state.estimate - expected,
            hypergradient_error=state.estimate - gradient,
        )

    def _surrogate_gradient(self, state: SolverState, gradient: Tensor) -> Tensor:
        """``∇Phi_sigma``; NaN for replicates whose inner problem is not certified."""
        sigma = self._solver.penalty
        if sigma is None:
            return gradient
        reward = self._exact.reward_model.table(state.upper)
        solution = self._exact.solve_penalised(reward, sigma)
        surrogate = self._exact.penalty_gradient_at(state.upper, solution.log_policy, sigma)
        return torch.where(solution.certified[:, None], surrogate, torch.nan)

    def _measure(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> pd.DataFrame:
        exact = self._exact
        split = self.split_error(state)
        reward = exact.reward_model.table(state.upper)
        log_policy = self._information.policy_model.table(state.lower)
        optimal = soft_control.optimal_log_policy(exact.dynamics, reward)
        value = exact.evaluate_upper(reward, optimal).value
        columns: dict[str, Any] = _counters(iteration, counts) | {"status": "ok"}
        columns |= {
            "seed": self._seeds[active.numpy()],
            "hyperobjective": value,
            "optimality_gap": value - self._optimum,
            "stationarity": _squared_norm(exact.hypergradient(state.upper)),
            "hypergradient_error": _squared_norm(split.hypergradient_error),
            "penalty_bias": _squared_norm(split.penalty_bias),
            "inner_error": _squared_norm(split.inner_error),
            "sampling_error": _squared_norm(split.sampling_error),
            "lower_gap": soft_control.lower_gap(exact.dynamics, log_policy, optimal),
            "lower_gap_penalised": self._penalised_gap(state, reward),
            "reward_error": self._reward_error(reward),
            "policy_regret": soft_control.lower_gap(
                exact.dynamics, log_policy, self._true_optimal.expand_as(log_policy)
            ),
            "min_policy_probability": log_policy.flatten(1).amin(-1).exp(),
            "ergodic_stationarity": np.nan,
        }
        if self._ergodic:
            columns["ergodic_stationarity"] = self._stationarity_sum[active.numpy()] / iteration
        return pd.DataFrame(
            {
                name: entry.cpu().numpy() if isinstance(entry, Tensor) else entry
                for name, entry in columns.items()
            }
        )

    def _penalised_gap(self, state: SolverState, reward: Tensor) -> Tensor:
        sigma = self._solver.penalty
        if sigma is None or state.lower_penalised is None:
            return torch.full((reward.shape[0],), torch.nan, dtype=reward.dtype)
        solution = self._exact.solve_penalised(reward, sigma)
        level = self._exact.penalised_level(reward, sigma)
        here = self._information.policy_model.table(state.lower_penalised)
        gap = level.value(here) - level.value(solution.log_policy)
        return torch.where(solution.certified, gap, torch.nan)

    def _reward_error(self, reward: Tensor) -> Tensor:
        difference = (reward - self._exact.true_reward).flatten(1) @ self._comparable
        error: Tensor = difference.square().mean(-1)
        return error


def comparable_rewards(exact: ExactOracle) -> Float[Tensor, "pair pair"]:
    """Return the projection onto reward changes that some comparison can see.

    Comparisons see a reward only through differences of returns, so the gauge is the null space of
    the centred matrix of discounted visits (``docs/theory.md`` section 1).
    """
    visits = exact.space.classes
    centred = visits - visits.mean(0, keepdim=True)
    projection: Tensor = torch.linalg.pinv(centred) @ centred
    return projection


def _squared_norm(vectors: Float[Tensor, "replicate upper"]) -> Float[Tensor, " replicate"]:
    return vectors.square().sum(-1)


def _counters(iteration: int, counts: SampleCounts) -> dict[str, Any]:
    return {
        "iteration": iteration,
        "env_steps": counts.env_steps,
        "trajectories": counts.trajectories,
        "labels": counts.labels,
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
