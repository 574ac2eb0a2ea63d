"""Growth of the Lipschitz constant of the penalised hypergradient with 1/sigma."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from theory_check.claims.bias import PENALTY_SMOOTHNESS
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.optima.penalised_curvature import (
    penalised_curvature_from_values,
    penalised_hessian,
)
from theory_check.oracles.solutions.curvature import (
    DIFFERENCE_STEP,
    spectral_norm,
    spectral_norm_of_hessian,
)
from theory_check.problems import Problem
from theory_check.worst_cases.base import (
    Evaluation,
    WorstCase,
    ball_points,
    local_slopes,
    power_rate,
)

SIGMAS = (0.3, 0.001)
# At beta = 0.05 curvatures have spikes some 0.1 wide: fewer points leave gaps, which a search finds.
POINTS = 32
# The second route looks between the ends, and judges the claim below them.
BETWEEN = tuple(np.geomspace(*SIGMAS, 11).tolist())
JUDGED_SIGMAS = (1e-4, 1e-5)
MORE_POINTS = 128
# Values are differenced over this length: an error of order step⁴ in the curvature, some 1e-4 of
# it at beta = 0.05, and rounding of 1e-16 / sigma over step², 1e-8 at sigma = 1e-3.
VALUE_STEP = 2e-3

RATE = power_rate(PENALTY_SMOOTHNESS, "1/sigma")


def _measure(problem: Problem) -> Evaluation:
    exact = ExactOracle(problem)
    points = ball_points(POINTS, problem.parameters)
    norms = [_lipschitz(exact, points, sigma) for sigma in SIGMAS]
    (exponent,) = local_slopes(SIGMAS, norms, reciprocal=True)
    return Evaluation(
        value=exponent,
        kept=_bounded(exponent),
        details={
            "kl_weight": problem.kl_weight,
            "sigma": SIGMAS,
            "lipschitz_constant": tuple(norms),
        },
    )


def _confirm(problem: Problem) -> Evaluation:
    """Curvature from values at more points; the exponents between, smaller sigma, the limit itself."""
    exact = ExactOracle(problem)
    few = ball_points(POINTS, problem.parameters)
    many = ball_points(MORE_POINTS, problem.parameters)
    from_values = [_from_values(exact, many, sigma) for sigma in SIGMAS]
    between = [_lipschitz(exact, few, sigma) for sigma in BETWEEN]
    slopes = local_slopes(BETWEEN, between, reciprocal=True)
    below = [_lipschitz(exact, few, sigma) for sigma in JUDGED_SIGMAS]
    (slope_below,) = local_slopes(JUDGED_SIGMAS, below, reciprocal=True)
    limit = spectral_norm_of_hessian(lambda phi, _: exact.hypergradient(phi), few).max().item()
    (exponent,) = local_slopes(SIGMAS, from_values, reciprocal=True)
    return Evaluation(
        value=exponent,
        kept=_bounded(slope_below),
        details={
            "sigma": BETWEEN,
            "lipschitz_constant": tuple(between),
            "local_slopes": slopes,
            "largest_local_slope": max(slopes),
            "slope_1e-5_to_1e-4": slope_below,
            "lipschitz_constant_at_1e-5": below[-1],
            "limit_of_lipschitz_constant": limit,
        },
    )


def _bounded(slope: float) -> bool:
    return slope <= RATE.exponent + RATE.resolution


def _lipschitz(exact: ExactOracle, points: Tensor, sigma: float) -> float:
    return spectral_norm(penalised_hessian(exact, points, sigma)).max().item()


def _from_values(exact: ExactOracle, points: Tensor, sigma: float) -> float:
    """Return the largest curvature of ``Phi_sigma`` in the directions in which gradients see it."""
    rough = penalised_hessian(exact, points, sigma, step=DIFFERENCE_STEP / 2)
    if not bool(torch.isfinite(rough).all()):
        return float("nan")
    values, vectors = torch.linalg.eigh(rough)
    steepest = values.abs().argmax(-1)
    directions = vectors.gather(2, steepest[:, None, None].expand(-1, points.shape[1], 1))[..., 0]
    curvature = penalised_curvature_from_values(exact, points, directions, sigma, VALUE_STEP)
    return curvature.abs().max().item()


WORST_CASE = WorstCase(
    id="penalty-smoothness",
    claim=PENALTY_SMOOTHNESS.id,
    quantity=(
        f"exponent of the largest ‖∇²Phi_sigma‖ at {POINTS} points of the unit ball in 1/sigma, from "
        f"sigma = {SIGMAS[0]:g} to {SIGMAS[-1]:g}"
    ),
    unit="exponent",
    worse="the Lipschitz constant of ∇Phi_sigma grows faster as sigma falls",
    predicted=(
        f"{RATE.exponent:g} as sigma -> 0; kept if the local exponent between sigma = 1e-4 and 1e-5 is "
        f"at most {RATE.exponent + RATE.resolution:g}"
    ),
    families=("bandit", "garnet", "tabular"),
    measure=_measure,
    confirm=_confirm,
    # Between more points a larger curvature may lie; what only a few points see is rejected.
    tolerance=0.02,
)
