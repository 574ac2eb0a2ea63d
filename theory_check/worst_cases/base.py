"""What a worst case is: a quantity of a problem, which way is worse, and what a claim says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.stats import qmc
from torch import Tensor

from theory_check.claims.base import Claim
from theory_check.claims.bias import PENALTY_BIAS
from theory_check.claims.rates import PowerRate
from theory_check.oracles.exact import ExactOracle
from theory_check.problems import Problem


def power_rate(claim: Claim, name: str) -> PowerRate:
    """Return the power law of a claim that is called ``name``: what a prediction is read from."""
    (rate,) = (each for each in claim.rates if each.name == name)
    assert isinstance(rate, PowerRate)
    return rate


@dataclass(frozen=True)
class Evaluation:
    """A quantity of one problem.

    Attributes
    ----------
    value
        The quantity; NaN where something it rests on is not certified.
    kept
        Whether what the claim predicts holds on this problem, as far as this evaluation sees.
    details
        Numbers behind the value, by name: single ones or series.
    """

    value: float
    kept: bool
    details: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class WorstCase:
    """A quantity whose worst instance is searched.

    Attributes
    ----------
    id
        Name on the command line: that of the claim, or the claim's with a suffix.
    claim
        Id of the claim that it is about.
    quantity
        What is measured, in the symbols of ``docs/theory.md``, with its range.
    unit
        Its unit.
    worse
        What a larger value means.
    predicted
        What the claim says, and when it counts as kept.
    families
        Names of the search spaces that make sense for it (``spaces.py``).
    measure
        The quantity by the exact oracle; larger is worse. It depends on the problem alone.
    confirm
        The same quantity by a second route, which shares as little with the first as it can. It may
        see further than ``measure`` and decides whether the claim is kept.
    tolerance
        Largest difference of the two routes, relative to ``max(1, value)``, at which they agree.
    """

    id: str
    claim: str
    quantity: str
    unit: str
    worse: str
    predicted: str
    families: tuple[str, ...]
    measure: Callable[[Problem], Evaluation]
    confirm: Callable[[Problem], Evaluation]
    tolerance: float

    def agrees(self, first: Evaluation, second: Evaluation) -> bool:
        """Return whether the two routes agree; what is not finite agrees with nothing."""
        allowed = self.tolerance * max(1.0, abs(first.value))
        return abs(first.value - second.value) <= allowed


def ball_points(number: int, parameters: int) -> Float[Tensor, "point d"]:
    """Return fixed points that fill the unit ball evenly: those of a Halton sequence that lie in it.

    The same for every problem with that many parameters, so that a quantity is a function of the
    problem; the first points of a larger number are those of a smaller one. Nothing is random, and
    there are no gaps into which a search could put a spike, as long as they are many. With features of
    norm at most 1 the rewards at these points are between -1 and 1.
    """
    sequence = qmc.Halton(parameters, scramble=False)
    sequence.fast_forward(1)  # the first one is a corner of the cube
    found = np.empty((0, parameters))
    while len(found) < number:
        drawn = 2 * sequence.random(number) - 1
        found = np.concatenate([found, drawn[np.linalg.norm(drawn, axis=1) <= 1]])
    return torch.from_numpy(found[:number])


def local_slopes(
    x: Sequence[float], y: Sequence[float], *, reciprocal: bool = False
) -> tuple[float, ...]:
    """Return ``d log y / d log x`` between neighbours, in ``1/x`` when ``reciprocal``.

    NaN where a value is not positive and finite.
    """
    across, up = _logarithms(x, y, reciprocal)
    return tuple((np.diff(up) / np.diff(across)).tolist())


def _logarithms(
    x: Sequence[float], y: Sequence[float], reciprocal: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.asarray(y, dtype=np.float64)
    sound = np.isfinite(values) & (values > 0)
    logarithm = np.log(np.asarray(x, dtype=np.float64))
    return -logarithm if reciprocal else logarithm, np.log(np.where(sound, values, np.nan))


RATE = power_rate(PENALTY_BIAS, "gradient")

# Phi_sigma - Phi is differenced, so that the error, step² / 6 times a third derivative, is a share of
# the bias itself: some 1e-5 at beta = 0.05. Rounding is 1e-16 / sigma over the step.
STEP = 1e-4


def gradient_bias(exact: ExactOracle, points: Tensor, sigmas: Sequence[float]) -> tuple[float, ...]:
    """Return the largest ``‖∇Phi_sigma - ∇Phi‖`` over the points, one for each sigma.

    NaN where an inner problem is not certified.
    """
    gradient = exact.hypergradient(points)
    reward = exact.reward_model.table(points)
    found = []
    for sigma in sigmas:
        solution = exact.solve_penalised(reward, sigma)
        penalised = exact.penalty_gradient_at(points, solution.log_policy, sigma)
        bias = (penalised - gradient).norm(dim=-1)
        found.append(torch.where(solution.certified, bias, torch.nan).max().item())
    return tuple(found)


def gradient_bias_from_values(
    exact: ExactOracle, points: Tensor, sigmas: Sequence[float]
) -> tuple[float, ...]:
    """Return the same by central differences of ``Phi_sigma - Phi``, without any gradient.

    Raises
    ------
    CertificationError
        If an inner gradient norm could not be brought to its tolerance.
    """
    shifts = STEP * torch.eye(points.shape[1], dtype=points.dtype)
    ahead, behind = points[:, None] + shifts, points[:, None] - shifts

    def gap(phi: Tensor, sigma: float) -> Tensor:
        return exact.penalised_objective(phi, sigma) - exact.hyperobjective(phi)

    return tuple(
        ((gap(ahead, sigma) - gap(behind, sigma)) / (2 * STEP)).norm(dim=-1).max().item()
        for sigma in sigmas
    )


def proportional(slope: float) -> bool:
    """Return whether a local exponent of the bias in sigma agrees with the claim or beats it."""
    return slope >= RATE.exponent - RATE.resolution
