"""How far the penalised hyperobjective and its gradient are from the true ones, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from theory_check.errors import InvalidArgumentError, require_positive
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.solutions.lower_solutions import lower_solutions, status_of
from theory_check.oracles.starts import initial_reward
from theory_check.problems import Problem
from theory_check.runs.measurements.base import Measurement, Progress


@dataclass(frozen=True)
class PenaltyBias(Measurement):
    """``‖∇Phi_sigma - ∇Phi‖`` and ``|Phi_sigma - Phi|`` at random reward parameters.

    Both are those of the problem's own policy class (``docs/theory.md`` section 3.5): a class that does
    not contain the tabular optimum has another ``Phi``. Nothing is sampled but the points: initial
    parameters of the reward class from normal noise of standard deviation ``point_scale``, one a
    seed. Rows have columns ``seed, sigma, gradient_bias`` (norm), ``value_bias`` (nats), ``status``
    (``"not certified"`` where a lower level was not solved to its tolerance).

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
        phi = initial_reward(seeds, exact.reward_model, self.point_scale)
        solutions = lower_solutions(exact, seeds, phi)
        gradient = solutions.hypergradient()
        value = solutions.hyperobjective()
        frames = []
        for done, sigma in enumerate(self.sigmas, start=1):
            penalised = solutions.penalised(sigma)
            frames.append(
                pd.DataFrame(
                    {
                        "seed": list(seeds),
                        "sigma": sigma,
                        "gradient_bias": (penalised.gradient - gradient).norm(dim=-1).numpy(),
                        "value_bias": (penalised.value - value).abs().numpy(),
                        "status": status_of(penalised),
                    }
                )
            )
            progress(done, len(self.sigmas))
        return pd.concat(frames, ignore_index=True)
