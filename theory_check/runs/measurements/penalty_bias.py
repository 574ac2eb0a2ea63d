"""How far the penalised hyperobjective and its gradient are from the true ones, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from theory_check.errors import InvalidArgumentError, require_positive
from theory_check.oracles import soft_control
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.starts import initial_upper
from theory_check.problems import Problem
from theory_check.runs.measurements.base import Measurement, Progress


@dataclass(frozen=True)
class PenaltyBias(Measurement):
    """``‖∇Phi_sigma - ∇Phi‖`` and ``|Phi_sigma - Phi|`` at random reward parameters.

    Nothing is sampled but the points: one standard normal ``phi`` (times ``point_scale``) a seed.
    Rows have columns ``seed, sigma, gradient_bias`` (norm), ``value_bias`` (nats), ``status``
    (``"not certified"`` where the inner problem was not solved to gradient norm 1e-11).

    Parameters
    ----------
    sigmas
        Penalty parameters.
    point_scale
        Standard deviation of the points.
    """

    kind: ClassVar[str] = "penalty-bias"

    sigmas: tuple[float, ...]
    point_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if not self.sigmas:
            raise InvalidArgumentError("sigmas", "an empty list", "pass at least one value")
        for index, sigma in enumerate(self.sigmas):
            require_positive(f"sigmas[{index}]", sigma)
        require_positive("point_scale", self.point_scale)

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and sigma."""
        exact = ExactOracle(problem)
        phi = initial_upper(seeds, exact.reward_model.parameters, self.point_scale)
        reward = exact.reward_model.table(phi)
        gradient = exact.hypergradient(phi)
        value = exact.hyperobjective(phi)
        optimal = soft_control.optimal_log_policy(exact.dynamics, reward)
        frames = []
        for done, sigma in enumerate(self.sigmas, start=1):
            solution = exact.solve_penalised(reward, sigma)
            surrogate = exact.penalty_gradient_at(phi, solution.log_policy, sigma)
            gap = soft_control.lower_gap(exact.dynamics, solution.log_policy, optimal)
            penalised = exact.evaluate_upper(reward, solution.log_policy).value + gap / sigma
            certified = solution.certified.numpy()
            frames.append(
                pd.DataFrame(
                    {
                        "seed": list(seeds),
                        "sigma": sigma,
                        "gradient_bias": (surrogate - gradient).norm(dim=-1).numpy(),
                        "value_bias": (penalised - value).abs().numpy(),
                        "status": ["ok" if yes else "not certified" for yes in certified],
                    }
                )
            )
            progress(done, len(self.sigmas))
        return pd.concat(frames, ignore_index=True)
