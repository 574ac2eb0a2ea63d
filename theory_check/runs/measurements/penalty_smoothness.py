"""The Lipschitz constant of the penalised hypergradient, from exact gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import InvalidArgumentError, require_positive, require_positive_integer
from theory_check.oracles.counts import stream_entropy
from theory_check.oracles.exact import ExactOracle
from theory_check.problems import Problem
from theory_check.runs.measurements.base import Measurement, Progress

# Central differences err by step² / 6 times a third derivative of the gradient, and by the error of
# the gradient over the step: rounding, 1e-16 / sigma, or at worst the inner tolerance, 1e-11 / sigma.
# At sigma = 1e-3 that is 2e-7 of truncation, and between 1e-10 and 1e-5 of the rest.
DIFFERENCE_STEP = 1e-3


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

    sigmas: tuple[float, ...]
    points: int = 16
    point_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if not self.sigmas:
            raise InvalidArgumentError("sigmas", "an empty list", "pass at least one value")
        for index, sigma in enumerate(self.sigmas):
            require_positive(f"sigmas[{index}]", sigma)
        require_positive_integer("points", self.points)
        require_positive("point_scale", self.point_scale)

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and sigma."""
        exact = ExactOracle(problem)
        phi = random_points(seeds, self.points, problem.parameters, self.point_scale)
        frames = []
        for done, sigma in enumerate(self.sigmas, start=1):
            hessian, certified = penalised_hessian(exact, phi.flatten(0, 1), sigma)
            norms = torch.linalg.matrix_norm(hessian, ord=2).reshape(phi.shape[:2])
            sound = certified.reshape(phi.shape[:2]).all(-1).numpy()
            frames.append(
                pd.DataFrame(
                    {
                        "seed": list(seeds),
                        "sigma": sigma,
                        "lipschitz_constant": norms.amax(-1).numpy(),
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
    drawn = [
        np.random.default_rng(stream_entropy("points of smoothness", seed)).standard_normal(
            (points, parameters)
        )
        for seed in seeds
    ]
    return torch.from_numpy(scale * np.stack(drawn))


def penalised_hessian(
    exact: ExactOracle, phi: Float[Tensor, "point d"], sigma: float, step: float = DIFFERENCE_STEP
) -> tuple[Float[Tensor, "point d d"], Float[Tensor, " point"]]:
    """Return ``∇²Phi_sigma`` by central differences, and whether every gradient was certified."""
    points, parameters = phi.shape
    shifts = step * torch.eye(parameters, dtype=phi.dtype)
    stencil = torch.stack([phi[:, None] + shifts, phi[:, None] - shifts]).reshape(-1, parameters)
    solution = exact.solve_penalised(exact.reward_model.table(stencil), sigma)
    gradient = exact.penalty_gradient_at(stencil, solution.log_policy, sigma)
    ahead, behind = gradient.reshape(2, points, parameters, parameters)
    hessian = (ahead - behind) / (2 * step)
    certified = solution.certified.reshape(2, points, parameters).all(-1).all(0)
    return (hessian + hessian.mT) / 2, certified
