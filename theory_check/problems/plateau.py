"""Plateau: one instance per target, on which descent has to cross a slope of the size of the target.

``h`` is Huber's function, ``L z²/2`` up to ``|z| = s/L`` and a slope ``s = sqrt(2 epsilon)`` beyond. The
start lies ``Delta`` above the minimum, so that ``‖∇Phi‖² = 2 epsilon`` until x1 has gone ``Delta/s``,
which takes at least ``Delta / (2 epsilon eta)`` steps of size ``eta`` (``docs/theory.md`` section 6.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.errors import InvalidArgumentError, require_positive
from theory_check.kernels.hard_instance import Landscape
from theory_check.problems.gradient_noise import require_noise
from theory_check.problems.hard_instance import HardInstance


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class PlateauProblem(HardInstance):
    """The instance for one target; see the module.

    Attributes
    ----------
    epsilon
        The target: accuracies are squared norms.
    drop
        ``Delta = Phi(x_0) - min Phi``.
    curvature
        ``L`` of Huber's function.
    """

    epsilon: float
    drop: float
    curvature: float

    @property
    def steepness(self) -> float:
        """``s``: the slope of the plateau, ``s² = 2 epsilon``."""
        return math.sqrt(2 * self.epsilon)

    @property
    def landscape(self) -> Landscape:
        """``h'`` is ``L z`` between -s and s."""
        return Landscape(
            self.slope,
            self.bend,
            self.stiffness,
            falling=False,
            height=self.curvature,
            shape=self.steepness,
        )

    @property
    def end_curvature(self) -> float:
        """``h'' = L`` at the foot of the slope."""
        return self.curvature

    @property
    def optimal_hyperobjective(self) -> float:
        """``min Phi = 0``, at x = 0."""
        return 0.0

    @property
    def start(self) -> Float[Tensor, " upper"]:
        """``x1 = Delta/s + s/(2 L)``, where ``h = Delta``, and ``x2 = 0``."""
        first = self.drop / self.steepness + self.steepness / (2 * self.curvature)
        return torch.tensor([first, 0.0], dtype=torch.float64)

    def instance_for(self, epsilon: float) -> PlateauProblem:
        """Return the instance of the same class for another target."""
        return _checked(replace(self, epsilon=epsilon))

    def height(self, z: Float[Tensor, " replicate"]) -> Float[Tensor, " replicate"]:
        """Return ``h``."""
        size, edge = z.abs(), self.steepness / self.curvature
        return torch.where(
            size <= edge, self.curvature * z.square() / 2, self.steepness * (size - edge / 2)
        )

    def proximal_point(
        self, z: Float[Tensor, " replicate"], sigma: float
    ) -> Float[Tensor, " replicate"]:
        """Return the proximal point: z over ``1 + sigma L`` near the minimum, else z less ``sigma s``."""
        near = z / (1 + sigma * self.curvature)
        step = sigma * self.steepness
        return torch.where(
            near.abs() <= self.steepness / self.curvature, near, z - step * torch.sign(z)
        )

    def flow_height(self, times: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Return Phi along the flow: linear in t down to ``s²/(2 L)``, then exponential."""
        rate = self.steepness**2
        foot = rate / (2 * self.curvature)
        arrival = (self.drop - foot) / rate
        beyond = np.maximum(times - arrival, 0.0)
        height: NDArray[np.float64] = np.where(
            times < arrival,
            self.drop - rate * times,
            foot * np.exp(-2 * self.curvature * beyond),
        )
        return height

    def largest_curvature(self) -> float:
        """Return L."""
        return self.curvature


def plateau(
    *,
    epsilon: float = 0.01,
    drop: float = 1.0,
    curvature: float = 1.0,
    slope: float = 8.0,
    bend: float = 0.5,
    stiffness: float = 1.0,
    noise: float = 1.0,
) -> PlateauProblem:
    """Build the plateau of one target.

    Parameters
    ----------
    epsilon
        The target, a squared norm; measurements with targets of their own take the instance of each.
    drop
        ``Delta``: how far the start lies above the minimum; at least ``epsilon / L``, or there
        would be no slope.
    curvature
        ``L``: curvature of Phi at the foot of the slope.
    slope, bend
        ``a`` and ``k`` of ``f``.
    stiffness
        ``m``: curvature of Phi in x2.
    noise
        Standard deviation of one sample of a gradient component, at least 0.
    """
    require_noise(noise)
    for argument, value in (
        ("epsilon", epsilon),
        ("drop", drop),
        ("curvature", curvature),
        ("slope", slope),
        ("bend", bend),
        ("stiffness", stiffness),
    ):
        require_positive(argument, value)
    return _checked(
        PlateauProblem(
            name="plateau",
            upper_parameters=2,
            lower_parameters=2,
            noise=float(noise),
            slope=float(slope),
            bend=float(bend),
            stiffness=float(stiffness),
            epsilon=float(epsilon),
            drop=float(drop),
            curvature=float(curvature),
        )
    )


def _checked(problem: PlateauProblem) -> PlateauProblem:
    require_positive("epsilon", problem.epsilon)
    # h at the edge of the slope is s²/(2 L) = epsilon/L.
    if problem.drop < problem.epsilon / problem.curvature:
        raise InvalidArgumentError(
            "drop",
            problem.drop,
            f"pass at least epsilon / curvature = {problem.epsilon / problem.curvature:g}",
        )
    return problem
