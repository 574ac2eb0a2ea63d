"""``Phi*``: declared where a closed form exists, otherwise computed and certified, otherwise absent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor

from theory_check.errors import UndeclaredTruthError
from theory_check.oracles.exact import ExactOracle
from theory_check.problems import Problem

GRADIENT_TOLERANCE = 1e-7
CURVATURE_TOLERANCE = 1e-6
SCALES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
STARTS_PER_SCALE = 8
POLISHED = 8

_COMPUTED: WeakKeyDictionary[Problem, float] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Optimum:
    """The lowest point that a multi-start search of ``Phi`` reached.

    Attributes
    ----------
    value
        ``Phi`` there, nats.
    phi
        Parameters, shape (d,).
    gradient_norm
        Exact ``‖∇Phi‖`` there.
    curvature
        Smallest eigenvalue of the Hessian of ``Phi`` there, over directions that comparisons can
        see (central differences of the exact hypergradient).
    certified
        Whether the gradient norm is at most 1e-7 and the curvature at least 1e-6. A small gradient
        alone proves nothing: with ``cross_entropy`` the lowest values are often approached as
        ``‖phi‖`` grows without bound, where gradient and curvature vanish together and no optimum
        exists.
    starts
        Number of starting points.
    agreeing
        How many starts ended within 1e-6 of ``value``: the evidence that it is global.
    """

    value: float
    phi: Float[Tensor, " d"]
    gradient_norm: float
    curvature: float
    certified: bool
    starts: int
    agreeing: int


def find_optimum(
    exact: ExactOracle, *, starts_per_scale: int = STARTS_PER_SCALE, seed: int = 0
) -> Optimum:
    """Minimise ``Phi`` from normal starts at scales 0.3 to 100 (and from the true parameters).

    All starts descend together by L-BFGS on the sum of their values; the lowest ones are then
    polished one by one by BFGS.

    Parameters
    ----------
    exact
        The exact oracle.
    starts_per_scale
        Starting points at each of the six scales.
    seed
        Seed of the starting points.
    """
    points = _starting_points(exact, starts_per_scale, seed)
    shape = points.shape

    def total(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        phi = torch.from_numpy(flat.reshape(shape))
        return exact.hyperobjective(phi).sum().item(), exact.hypergradient(phi).numpy().ravel()

    together = optimize.minimize(
        total, points.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 400, "gtol": 1e-9}
    )
    reached = together.x.reshape(shape)
    values = exact.hyperobjective(torch.from_numpy(reached)).numpy()
    polished = [_polish(exact, reached[index]) for index in np.argsort(values)[:POLISHED]]
    value, phi = min(polished, key=lambda found: found[0])
    gradient_norm = exact.hypergradient(torch.from_numpy(phi)).norm().item()
    curvature = _smallest_curvature(exact, phi)
    return Optimum(
        value=value,
        phi=torch.from_numpy(phi),
        gradient_norm=gradient_norm,
        curvature=curvature,
        certified=gradient_norm <= GRADIENT_TOLERANCE and curvature >= CURVATURE_TOLERANCE,
        starts=len(points),
        agreeing=int((np.abs(values - value) < 1e-6).sum()),
    )


def optimal_hyperobjective(exact: ExactOracle) -> float:
    """Return ``Phi*``: declared, else computed and certified, else NaN.

    NaN says that no optimum is known to exist: the best value seen is then a bound on the infimum,
    and a gap to it would be a statement about the search.
    """
    problem = exact.problem
    try:
        return problem.optimal_hyperobjective
    except UndeclaredTruthError:
        if problem not in _COMPUTED:
            optimum = find_optimum(exact)
            _COMPUTED[problem] = optimum.value if optimum.certified else math.nan
        return _COMPUTED[problem]


def _starting_points(
    exact: ExactOracle, starts_per_scale: int, seed: int
) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    dimension = exact.reward_model.parameters
    scales = np.repeat(SCALES, starts_per_scale)
    points = generator.standard_normal((scales.size, dimension)) * scales[:, None]
    if exact.problem.realisable and exact.problem.parameters == dimension:
        points[0] = exact.problem.true_parameters.numpy()
    return points


def _polish(
    exact: ExactOracle, start: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    def value_and_gradient(phi: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        point = torch.from_numpy(phi)
        return exact.hyperobjective(point).item(), exact.hypergradient(point).numpy()

    found = optimize.minimize(
        value_and_gradient,
        start,
        jac=True,
        method="BFGS",
        options={"gtol": GRADIENT_TOLERANCE / 10, "maxiter": 500},
    )
    return float(found.fun), np.asarray(found.x, dtype=np.float64)


def _smallest_curvature(exact: ExactOracle, phi: NDArray[np.float64]) -> float:
    """Smallest Hessian eigenvalue over directions in which some return difference changes.

    Step 1e-4: central differences of a gradient exact to 1e-15 then err by about 1e-8 from
    truncation and 1e-11 from rounding, well under the tolerance.
    """
    step = 1e-4
    moves = step * torch.eye(phi.size, dtype=torch.float64)
    point = torch.from_numpy(phi)
    columns = (exact.hypergradient(point + moves) - exact.hypergradient(point - moves)) / (2 * step)
    hessian = 0.5 * (columns + columns.T)
    effect = exact.space.class_returns(exact.reward_model.table(moves / step)).T
    effect = effect - effect.mean(0, keepdim=True)
    _, sizes, directions = torch.linalg.svd(effect, full_matrices=False)
    visible = directions[sizes > 1e-10 * sizes.max()]
    return float(torch.linalg.eigvalsh(visible @ hessian @ visible.T).min())
