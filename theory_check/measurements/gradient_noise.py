"""The variance of the penalty hypergradient estimate at exact inner solutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.bilevel import BilevelOracle, Coupling, Difference, LowerGradients
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.base import Measurement, Need, StepSizes
from theory_check.measurements.needs import PREFERENCES
from theory_check.measurements.units import Units, columns
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.instruments import instruments_for
from theory_check.oracles.optima.lower_solutions import lower_solutions, status_of
from theory_check.oracles.sampled import SampledOracle
from theory_check.oracles.starts import initial_reward
from theory_check.problems import Problem
from theory_check.recording import Progress
from theory_check.recording.run import Observer, iterate
from theory_check.settings import Positive, PositiveInteger
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.states import PenaltyState


@dataclass(frozen=True)
class GradientNoise(Measurement):
    """``E‖estimate - E estimate‖²`` against sigma at fixed n, and against n at fixed sigma.

    The inner variables sit at their exact solutions within the problem's policy class, so that all
    error is sampling error; as many pairs as trajectories are drawn (B = n). Each seed has its own
    ``phi`` and its own streams, and averages ``draws`` estimates. Rows have columns ``seed, sweep``
    (``"sigma"`` or ``"trajectories"``), ``sigma, trajectories, sampling_error`` (squared norm), of a
    central difference ``forward_error`` (the same of the forward one, from as many draws of its own),
    ``status`` (``"not certified"`` where a lower level was not solved to its tolerance).

    Parameters
    ----------
    sigmas
        Penalty parameters of the first sweep.
    trajectories
        Batch sizes of the second sweep.
    fixed_sigma, fixed_trajectories
        Where the other sweep stands still.
    draws
        Estimates averaged per seed and setting.
    coupling, difference
        As in :class:`theory_check.solvers.PenaltyBilevel`.
    point_scale
        Standard deviation of the points ``phi``.
    """

    kind: ClassVar[str] = "gradient-noise"
    units: ClassVar[Units] = columns(
        text="sweep", trajectories="trajectories", squared="sampling_error forward_error"
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES,)

    sigmas: tuple[Positive, ...]
    trajectories: tuple[PositiveInteger, ...]
    fixed_sigma: Positive
    fixed_trajectories: PositiveInteger
    draws: PositiveInteger
    coupling: Coupling = "independent"
    difference: Difference = "forward"
    point_scale: Positive = 1.0

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed, sweep and setting."""
        exact = ExactOracle(problem)
        oracle = SampledOracle(problem, seeds, comparisons=exact.comparisons)
        information = ExactInformation(problem, comparisons=exact.comparisons)
        phi = initial_reward(seeds, exact.reward_model, self.point_scale)
        solutions = lower_solutions(exact, seeds, phi)
        central = self.difference == "central"
        signs = (1, -1) if central else (1,)
        known = {*self.sigmas, self.fixed_sigma}
        solved = {
            sign * sigma: solutions.penalised(sign * sigma) for sigma in known for sign in signs
        }
        settings = [("sigma", sigma, self.fixed_trajectories) for sigma in self.sigmas]
        settings += [("trajectories", self.fixed_sigma, number) for number in self.trajectories]
        frames = []
        for done, (sweep, sigma, number) in enumerate(settings, start=1):
            above = solved[sigma].lower
            below = solved[-sigma].lower if central else solutions.lower
            solver = self._solver(sigma, number)
            errors = self._errors(oracle, information, solver, _state(phi, below, above))
            columns: dict[str, Any] = {
                "seed": list(seeds),
                "sweep": sweep,
                "sigma": sigma,
                "trajectories": number,
                "sampling_error": errors,
            }
            if central:
                forward = replace(solver, difference="forward")
                columns["forward_error"] = self._errors(
                    oracle, information, forward, _state(phi, solutions.lower, above)
                )
            columns["status"] = status_of([solved[sign * sigma] for sign in signs])
            frames.append(pd.DataFrame(columns))
            progress(done, len(settings))
        return pd.concat(frames, ignore_index=True)

    def relative_cost(self) -> float:
        """Return the number of estimates, each about as dear as an inner step of a run."""
        sides = 2 if self.difference == "central" else 1
        return float(sides * self.draws * (len(self.sigmas) + len(self.trajectories)))

    def _solver(self, sigma: float, number: int) -> PenaltyBilevel:
        return PenaltyBilevel(
            sigma=sigma,
            inner_steps=1,
            inner_step_size=1.0,
            step_size=1.0,
            trajectories=number,
            pairs=number,
            coupling=self.coupling,
            difference=self.difference,
        )

    def _errors(
        self,
        oracle: SampledOracle,
        information: ExactInformation,
        solver: PenaltyBilevel,
        state: PenaltyState,
    ) -> np.ndarray:
        """Mean squared error of each seed's estimates, shape (replicate,)."""
        expected = solver.hypergradient_estimate(information, state)
        total = torch.zeros_like(expected[:, 0])
        for _ in range(self.draws):
            estimate = solver.hypergradient_estimate(oracle, state)
            total += (estimate - expected).square().sum(-1)
        return (total / self.draws).numpy()


def _state(
    phi: Float[Tensor, "replicate upper"],
    lower: Float[Tensor, "replicate lower"],
    penalised: Float[Tensor, "replicate lower"],
) -> PenaltyState:
    """Return the state of the solver with both inner loops finished."""
    return PenaltyState(
        upper=phi,
        next_upper=phi,
        lower=lower,
        lower_penalised=penalised,
        estimate=torch.zeros_like(phi),
    )


@dataclass(frozen=True)
class NoiseAlongRuns(Measurement):
    """``n ‖estimate - E[estimate | inner iterates]‖²`` and ``‖lambda' - lambda‖ / sigma`` late in runs.

    The penalty solver runs with sampled gradients; its estimate has one shared batch of ``n``
    trajectories and ``n`` pairs. Over the second half of the iterations, when the inner loops carry
    their own noise, the squared distance of every estimate to its exact conditional mean is averaged:
    without bias, the conditional variance at the states of the run (``docs/theory.md`` sections 4.4
    and 4.5). The distance of the iterates is that of their log-policies, free of the gauge of the logits.

    Rows have columns ``seed, sigma, scaled_variance`` (``n`` times the mean squared norm),
    ``distance_ratio`` (root mean square over iterations), ``variance_growth`` and ``distance_growth``
    (the two over those of the same seed at the largest sigma), ``status`` (``"diverged"`` where the
    run did).

    Parameters
    ----------
    sigmas
        Penalty parameters, one run each.
    trajectories
        ``n``; so few that the noise of the inner loops is not small against sigma.
    iterations
        Outer iterations T, at least 2.
    inner_steps, inner_step_size, step_size
        As in :class:`theory_check.solvers.PenaltyBilevel`.
    inner_coupling
        How the two inner loops draw: ``"shared"`` is the method; ``"independent"`` leaves the estimate
        coupled and the iterates not.
    initial_scale
        Standard deviation of the initial reward parameters.
    """

    kind: ClassVar[str] = "noise-along-runs"
    units: ClassVar[Units] = columns(
        squared="scaled_variance", one="distance_ratio variance_growth distance_growth"
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES,)

    sigmas: tuple[Positive, ...]
    trajectories: PositiveInteger
    iterations: PositiveInteger
    inner_steps: PositiveInteger
    inner_step_size: Positive
    step_size: Positive
    inner_coupling: Coupling = "shared"
    initial_scale: Positive = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        super().__post_init__()
        if self.iterations < 2:
            raise InvalidArgumentError("iterations", self.iterations, "pass at least 2")

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and sigma."""
        frames = []
        for done, sigma in enumerate(self.sigmas, start=1):
            frames.append(self._run(problem, seeds, sigma))
            progress(done, len(self.sigmas))
        table = pd.concat(frames, ignore_index=True)
        first = table[table["sigma"] == max(self.sigmas)].set_index("seed")
        for name, column in (("variance", "scaled_variance"), ("distance", "distance_ratio")):
            growth = table[column] / table["seed"].map(first[column])
            table.insert(table.shape[1] - 1, f"{name}_growth", growth)
        return table

    def step_sizes(self) -> StepSizes:
        """Return the steps of the solver."""
        return StepSizes(outer=self.step_size, inner=self.inner_step_size)

    def relative_cost(self) -> float:
        """Return the number of inner steps."""
        return float(len(self.sigmas) * self.iterations * (self.inner_steps + 1))

    def _solver(self, sigma: float) -> PenaltyBilevel:
        return PenaltyBilevel(
            sigma=sigma,
            inner_steps=self.inner_steps,
            inner_step_size=self.inner_step_size,
            step_size=self.step_size,
            trajectories=self.trajectories,
            pairs=self.trajectories,
            coupling="shared",
        )

    def _run(self, problem: Problem, seeds: Sequence[int], sigma: float) -> pd.DataFrame:
        solver = self._solver(sigma)
        tools = instruments_for(problem, seeds)
        late = _LateNoise(
            solver, ExactInformation(problem), len(seeds), first=self.iterations // 2 + 1
        )
        upper = tools.initial_upper(seeds, self.initial_scale)
        iterate(
            solver,
            InnerLoopsCoupled(tools.sampled, self.inner_coupling),
            solver.init(upper, tools.initial_lower(seeds)),
            self.iterations,
            late,
            lambda: tools.sampled.counts,
        )
        counted = self.iterations - self.iterations // 2
        return pd.DataFrame(
            {
                "seed": list(seeds),
                "sigma": sigma,
                "scaled_variance": self.trajectories * late.noise / counted,
                "distance_ratio": np.sqrt(late.distance / counted) / sigma,
                "status": late.status,
            }
        )


class InnerLoopsCoupled:
    """Another oracle, whose two inner loops draw as they are told; estimates are left as they are."""

    def __init__(self, oracle: BilevelOracle, coupling: Coupling) -> None:
        self._oracle, self._coupling = oracle, coupling

    def lower_gradients(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        samples: int,
        coupling: Coupling,
    ) -> LowerGradients:
        """Return ``∂_y g`` at y and y', from batches coupled as told here."""
        return self._oracle.lower_gradients(upper, lower, penalised, samples, self._coupling)

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._oracle, operation)


class _LateNoise(Observer):
    """Sums over late iterations, shape (replicate,); NaN for replicates that diverged."""

    def __init__(
        self, solver: PenaltyBilevel, information: ExactInformation, replicates: int, first: int
    ) -> None:
        self._solver, self._information, self._first = solver, information, first
        self.noise, self.distance = np.zeros(replicates), np.zeros(replicates)
        self.status = ["ok"] * replicates

    def observe(
        self, iteration: int, state: Any, counts: SampleCounts, active: Int[Tensor, " active"]
    ) -> None:
        if iteration < self._first or not len(active):
            return
        seen = PenaltyState(
            **{
                name: getattr(state, name)[active]
                for name in ("upper", "next_upper", "lower", "lower_penalised", "estimate")
            }
        )
        expected = self._solver.hypergradient_estimate(self._information, seen)
        table = self._information.policy_model.table
        apart = table(seen.lower_penalised) - table(seen.lower)
        rows = active.numpy()
        self.noise[rows] += (seen.estimate - expected).square().sum(-1).numpy()
        self.distance[rows] += apart.flatten(1).square().sum(-1).numpy()

    def mark(
        self, iteration: int, counts: SampleCounts, stopped: Int[Tensor, " n"], status: str
    ) -> None:
        for replicate in stopped.tolist():
            self.status[replicate] = status
            self.noise[replicate] = self.distance[replicate] = torch.nan
