"""``Phi*``: declared where a closed form exists, otherwise computed and certified, otherwise absent."""

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
from theory_check.models import LinearReward
from theory_check.oracles.comparisons.upper import PairSums
from theory_check.oracles.exact import ExactOracle
from theory_check.problems import Problem
from theory_check.problems.stored import problem_identity

GRADIENT_TOLERANCE = 1e-7
CURVATURE_TOLERANCE = 1e-6
SCALES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
STARTS_PER_SCALE = 8
POLISHED = 8
LARGEST_SEARCH = 100
EQUAL_VALUES = 1e-9
AGREEMENT = 1e-6

_KNOWN: dict[tuple[object, ...] | None, float] = {}
"""What searches found in this process: the cells of one problem have objects of their own."""


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
        phi = flat.reshape(shape)
        return float(_values(exact, phi).sum()), _gradients(exact, phi).ravel()

    together = optimize.minimize(
        total, points.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 400, "gtol": 1e-9}
    )
    reached = together.x.reshape(shape)
    values = _values(exact, reached)
    # Among equal values the nearer points first: far ones are often limits at infinity.
    order = np.lexsort((np.linalg.norm(reached, axis=1), np.round(values / AGREEMENT)))
    polished = [_polish(exact, reached[index]) for index in order[:POLISHED]]
    lowest = min(value for value, _ in polished)
    # Among equal values the best determined one: the others may lie on their way to infinity.
    curvature, value, phi = max(
        (
            (_smallest_curvature(exact, phi), value, phi)
            for value, phi in polished
            if value <= lowest + EQUAL_VALUES
        ),
        key=lambda found: found[0],
    )
    gradient_norm = float(np.linalg.norm(_gradients(exact, phi[None])))
    return Optimum(
        value=value,
        phi=torch.from_numpy(phi),
        gradient_norm=gradient_norm,
        curvature=curvature,
        certified=gradient_norm <= GRADIENT_TOLERANCE and curvature >= CURVATURE_TOLERANCE,
        starts=len(points),
        agreeing=int((np.abs(values - value) < AGREEMENT).sum()),
    )


def optimal_hyperobjective(exact: ExactOracle) -> float:
    """Return ``Phi*``: declared, else computed and certified, else NaN.

    NaN says that no optimum is known to exist: the best value seen is then a bound on the infimum,
    and a gap to it would be a statement about the search. It also stands where the search would take
    minutes (more than 100 classes of trajectories, or none enumerated), where :func:`find_optimum` can be
    called, and for classes that are not linear, whose optima are manifolds that no curvature certifies.
    """
    if exact.searches_own_class:  # what the problem declares is about its own class only
        declared = _declared(exact.problem)
        if declared is not None:
            return declared
    return _searched(exact)


def _declared(problem: Problem) -> float | None:
    try:
        return problem.optimal_hyperobjective
    except UndeclaredTruthError:
        return None


def _searched(exact: ExactOracle) -> float:
    """Return the value of a certified optimum, NaN where there is none or no search is made."""
    upper = exact.upper
    if (
        not isinstance(upper, PairSums)
        or upper.comparisons.space.number_of_classes > LARGEST_SEARCH
    ):
        return math.nan
    if not isinstance(exact.reward_model, LinearReward):
        return math.nan
    identity = _identity(exact.problem, exact.reward_model)
    if identity in _KNOWN:
        return _KNOWN[identity]
    optimum = find_optimum(exact)
    value = optimum.value if optimum.certified else math.nan
    if identity is not None:
        _KNOWN[identity] = value
    return value


def _identity(problem: Problem, reward: LinearReward) -> tuple[object, ...] | None:
    """Return what the search depends on; None where a derived class may bring more."""
    identity = problem_identity(problem)
    if identity is None or type(reward) is not LinearReward:
        return None
    return *identity, reward.features.cpu().contiguous().numpy().tobytes()


def _starting_points(exact: ExactOracle, starts_per_scale: int, seed: int) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    dimension = exact.reward_model.parameters
    scales = np.repeat(SCALES, starts_per_scale)
    points: NDArray[np.float64] = generator.standard_normal((scales.size, dimension))
    points *= scales[:, None]
    if exact.problem.realisable and exact.problem.parameters == dimension:
        points[0] = exact.problem.true_parameters.numpy()
    return points


def _polish(exact: ExactOracle, start: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    def value_and_gradient(phi: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        return float(_values(exact, phi[None])[0]), _gradients(exact, phi[None])[0]

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
    moves = step * np.eye(phi.size)
    columns = (_gradients(exact, phi + moves) - _gradients(exact, phi - moves)) / (2 * step)
    hessian = 0.5 * (columns + columns.T)
    unit = torch.eye(phi.size, dtype=torch.float64, device=exact.true_reward.device)
    effect = exact.space.class_returns(exact.reward_model.table(unit)).T.cpu().numpy()
    effect = effect - effect.mean(0, keepdims=True)
    _, sizes, directions = np.linalg.svd(effect, full_matrices=False)
    visible = directions[sizes > 1e-10 * max(sizes.max(initial=0.0), 1e-300)]
    if not len(visible):  # no comparison sees any parameter: Phi is constant
        return math.inf
    return float(np.linalg.eigvalsh(visible @ hessian @ visible.T).min())


def _values(exact: ExactOracle, phi: NDArray[np.float64]) -> NDArray[np.float64]:
    found = exact.hyperobjective(torch.from_numpy(phi).to(exact.true_reward.device))
    return np.asarray(found.cpu().numpy(), dtype=np.float64)


def _gradients(exact: ExactOracle, phi: NDArray[np.float64]) -> NDArray[np.float64]:
    found = exact.hypergradient(torch.from_numpy(phi).to(exact.true_reward.device))
    return np.asarray(found.cpu().numpy(), dtype=np.float64)
