"""``Phi*``: declared where a closed form exists, otherwise computed and certified."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor

from theory_check.errors import UndeclaredTruthError
from theory_check.oracles.exact import ExactOracle

GRADIENT_TOLERANCE = 1e-7
STARTS = 24


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best stationary point a multi-start search found.

    Attributes
    ----------
    value
        ``Phi`` there, nats.
    phi
        Parameters, shape (d,).
    gradient_norm
        Exact ``‖∇Phi‖`` there.
    certified
        Whether that norm is at most 1e-7.
    starts
        Number of starting points.
    agreeing
        How many starts ended within 1e-8 of ``value``.
    """

    value: float
    phi: Float[Tensor, " d"]
    gradient_norm: float
    certified: bool
    starts: int
    agreeing: int


def find_optimum(exact: ExactOracle, *, starts: int = STARTS, seed: int = 0) -> Optimum:
    """Minimise ``Phi`` by BFGS from random starts (and from the true parameters, where known).

    The certificate is local (a small exact gradient); ``agreeing`` says how many starts found the
    same value, which is the evidence that it is global.

    Parameters
    ----------
    exact
        The exact oracle.
    starts
        Number of starting points, standard normal at scales 0.3, 1 and 3.
    seed
        Seed of the starting points.
    """
    generator = np.random.default_rng(seed)
    dimension = exact.reward_model.parameters
    points = generator.standard_normal((starts, dimension))
    points *= np.resize([0.3, 1.0, 3.0], starts)[:, None]
    if exact.problem.realisable and exact.problem.parameters == dimension:
        points[0] = exact.problem.true_parameters.numpy()

    def value_and_gradient(phi: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        point = torch.from_numpy(phi)[None]
        return exact.hyperobjective(point).item(), exact.hypergradient(point)[0].numpy()

    found = [
        optimize.minimize(
            value_and_gradient,
            start,
            jac=True,
            method="BFGS",
            options={"gtol": GRADIENT_TOLERANCE / 10, "maxiter": 500},
        )
        for start in points
    ]
    norms = [float(np.linalg.norm(result.jac)) for result in found]
    stationary = [index for index, norm in enumerate(norms) if norm <= GRADIENT_TOLERANCE]
    candidates = stationary or list(range(starts))
    best = min(candidates, key=lambda index: found[index].fun)
    value = float(found[best].fun)
    return Optimum(
        value=value,
        phi=torch.from_numpy(found[best].x),
        gradient_norm=norms[best],
        certified=bool(stationary) and value <= min(result.fun for result in found) + 1e-8,
        starts=starts,
        agreeing=sum(abs(result.fun - value) < 1e-8 for result in found),
    )


def optimal_hyperobjective(exact: ExactOracle) -> float:
    """Return ``Phi*``: declared, else computed and certified, else NaN.

    NaN means that no start reached a small gradient at the lowest value seen, so that the best
    value seen would be a bound and not the optimum.
    """
    try:
        return exact.problem.optimal_hyperobjective
    except UndeclaredTruthError:
        optimum = find_optimum(exact)
        return optimum.value if optimum.certified else math.nan
