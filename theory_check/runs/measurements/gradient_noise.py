"""The variance of the penalty hypergradient estimate at exact inner solutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Coupling
from theory_check.errors import (
    InvalidArgumentError,
    require_positive,
    require_positive_integer,
)
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.sampled import SampledOracle
from theory_check.oracles.solutions.lower_solutions import lower_solutions, status_of
from theory_check.oracles.solutions.parametrised import PenalisedPoint
from theory_check.oracles.starts import initial_reward
from theory_check.problems import Problem
from theory_check.runs.measurements.base import Measurement, Progress
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.states import PenaltyState


@dataclass(frozen=True)
class GradientNoise(Measurement):
    """``E‖estimate - E estimate‖²`` against sigma at fixed n, and against n at fixed sigma.

    The inner variables sit at their exact solutions within the problem's policy class, so that all
    error is sampling error; as many pairs as trajectories are drawn (B = n). Each seed has its own
    ``phi`` and its own streams, and averages ``draws`` estimates. Rows have columns ``seed, sweep``
    (``"sigma"`` or ``"trajectories"``), ``sigma, trajectories, sampling_error`` (squared norm),
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
    coupling
        As in :class:`theory_check.solvers.PenaltyBilevel`.
    point_scale
        Standard deviation of the points ``phi``.
    """

    kind: ClassVar[str] = "gradient-noise"

    sigmas: tuple[float, ...]
    trajectories: tuple[int, ...]
    fixed_sigma: float
    fixed_trajectories: int
    draws: int
    coupling: Coupling = "independent"
    point_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        for argument in ("sigmas", "trajectories"):
            if not getattr(self, argument):
                raise InvalidArgumentError(argument, "an empty list", "pass at least one value")
        for index, sigma in enumerate(self.sigmas):
            require_positive(f"sigmas[{index}]", sigma)
        for index, number in enumerate(self.trajectories):
            require_positive_integer(f"trajectories[{index}]", number)
        require_positive("fixed_sigma", self.fixed_sigma)
        require_positive_integer("fixed_trajectories", self.fixed_trajectories)
        require_positive_integer("draws", self.draws)
        require_positive("point_scale", self.point_scale)

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed, sweep and setting."""
        exact = ExactOracle(problem)
        oracle = SampledOracle(problem, seeds, comparisons=exact.comparisons)
        information = ExactInformation(problem, comparisons=exact.comparisons)
        phi = initial_reward(seeds, exact.reward_model, self.point_scale)
        solutions = lower_solutions(exact, seeds, phi)
        solved = {sigma: solutions.penalised(sigma) for sigma in {*self.sigmas, self.fixed_sigma}}
        settings = [("sigma", sigma, self.fixed_trajectories) for sigma in self.sigmas]
        settings += [("trajectories", self.fixed_sigma, number) for number in self.trajectories]
        frames = []
        for done, (sweep, sigma, number) in enumerate(settings, start=1):
            state = _state(phi, solutions.lower, solved[sigma])
            frames.append(
                pd.DataFrame(
                    {
                        "seed": list(seeds),
                        "sweep": sweep,
                        "sigma": sigma,
                        "trajectories": number,
                        "sampling_error": self._errors(oracle, information, state, sigma, number),
                        "status": status_of(solved[sigma]),
                    }
                )
            )
            progress(done, len(settings))
        return pd.concat(frames, ignore_index=True)

    def relative_cost(self) -> float:
        """Return the number of estimates, each about as dear as an inner step of a run."""
        return float(self.draws * (len(self.sigmas) + len(self.trajectories)))

    def _errors(
        self,
        oracle: SampledOracle,
        information: ExactInformation,
        state: PenaltyState,
        sigma: float,
        number: int,
    ) -> np.ndarray:
        """Mean squared error of each seed's estimates, shape (replicate,)."""
        solver = PenaltyBilevel(
            sigma=sigma,
            inner_steps=1,
            inner_step_size=1.0,
            step_size=1.0,
            trajectories=number,
            pairs=number,
            coupling=self.coupling,
        )
        expected = solver.hypergradient_estimate(information, state)
        total = torch.zeros_like(expected[:, 0])
        for _ in range(self.draws):
            estimate = solver.hypergradient_estimate(oracle, state)
            total += (estimate - expected).square().sum(-1)
        return (total / self.draws).numpy()


def _state(
    phi: Float[Tensor, "replicate upper"],
    lower: Float[Tensor, "replicate lower"],
    penalised: PenalisedPoint,
) -> PenaltyState:
    """Return the state of the solver with both inner loops finished."""
    return PenaltyState(
        upper=phi,
        next_upper=phi,
        lower=lower,
        lower_penalised=penalised.lower,
        estimate=torch.zeros_like(phi),
    )
