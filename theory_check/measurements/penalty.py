"""How far the penalised hyperobjective and its gradient are from the true ones, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Combination, combined, penalties
from theory_check.measurements.base import Measurement, Need
from theory_check.measurements.needs import PREFERENCES
from theory_check.measurements.units import Units, columns
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.optima.lower_solutions import (
    PenalisedPoint,
    lower_solutions,
    status_of,
)
from theory_check.oracles.optima.penalised_curvature import penalised_hessian
from theory_check.oracles.solutions.curvature import spectral_norm
from theory_check.oracles.starts import initial_reward
from theory_check.problems import Problem
from theory_check.randomness import standard_normals
from theory_check.recording import Progress
from theory_check.settings import Positive, PositiveInteger


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
    difference
        ``"forward"``: ``Phi_sigma`` itself; ``"central"``: the mean of ``Phi_sigma`` and ``Phi_-sigma``;
        ``"fourth"``: the combination of four levels without an error of second order
        (``docs/theory.md`` section 3.6).
    """

    kind: ClassVar[str] = "penalty-bias"
    units: ClassVar[Units] = columns(norm="gradient_bias", nats="value_bias")
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES,)

    sigmas: tuple[Positive, ...]
    point_scale: Positive = 1.0
    difference: Combination = "forward"

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and sigma."""
        exact = ExactOracle(problem)
        phi = initial_reward(seeds, exact.reward_model, self.point_scale)
        solutions = lower_solutions(exact, seeds, phi)
        gradient = solutions.hypergradient()
        value = solutions.hyperobjective()
        frames = []
        for done, sigma in enumerate(self.sigmas, start=1):
            points = {at: solutions.penalised(at) for at in penalties(sigma, self.difference)}
            found, found_value = self._combined(points, sigma)
            frames.append(
                pd.DataFrame(
                    {
                        "seed": list(seeds),
                        "sigma": sigma,
                        "gradient_bias": (found - gradient).norm(dim=-1).numpy(),
                        "value_bias": (found_value - value).abs().numpy(),
                        "status": status_of(list(points.values())),
                    }
                )
            )
            progress(done, len(self.sigmas))
        return pd.concat(frames, ignore_index=True)

    def _combined(
        self, points: Mapping[float, PenalisedPoint], sigma: float
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, " replicate"]]:
        """Return the combination of gradients and that of values, from the points of its penalties."""
        gradient = combined(lambda at: points[at].gradient, sigma, self.difference)
        return gradient, combined(lambda at: points[at].value, sigma, self.difference)


@dataclass(frozen=True)
class PenaltySmoothness(Measurement):
    """``max ‖∇²Phi_sigma(phi)‖`` over random points: a lower estimate of the Lipschitz constant.

    The Hessian is the symmetric part of central differences of the exact penalised gradient
    (``docs/theory.md`` section 3.2), its norm the spectral one. Each seed draws its own points, the
    same for every sigma. Rows have columns ``seed, sigma, lipschitz_constant`` (nats per squared
    unit of ``phi``), ``status`` (``"not certified"`` where an inner problem was not solved to
    gradient norm 1e-11).

    Parameters
    ----------
    sigmas
        Penalty parameters.
    points
        Random points per seed.
    point_scale
        Standard deviation of the points.
    """

    kind: ClassVar[str] = "penalty-smoothness"
    units: ClassVar[Units] = columns(smoothness="lipschitz_constant")
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES,)

    sigmas: tuple[Positive, ...]
    points: PositiveInteger = 16
    point_scale: Positive = 1.0

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and sigma."""
        exact = ExactOracle(problem)
        phi = random_points(seeds, self.points, problem.parameters, self.point_scale)
        frames = []
        for done, sigma in enumerate(self.sigmas, start=1):
            norms = spectral_norm(penalised_hessian(exact, phi.flatten(0, 1), sigma))
            largest = norms.reshape(phi.shape[:2]).amax(-1)
            sound = torch.isfinite(largest).numpy()
            frames.append(
                pd.DataFrame(
                    {
                        "seed": list(seeds),
                        "sigma": sigma,
                        "lipschitz_constant": largest.numpy(),
                        "status": ["ok" if yes else "not certified" for yes in sound],
                    }
                )
            )
            progress(done, len(self.sigmas))
        return pd.concat(frames, ignore_index=True)


def random_points(
    seeds: Sequence[int], points: int, parameters: int, scale: float
) -> Float[Tensor, "replicate point d"]:
    """Draw normal points of standard deviation ``scale``, each seed from its own stream."""
    drawn = standard_normals("points of smoothness", seeds, (points, parameters))
    return torch.from_numpy(scale * np.stack(drawn))
