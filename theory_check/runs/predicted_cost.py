"""What an accuracy costs the penalty method on plateau and valley, from closed forms.

With exact inner loops the hypergradient error of ``docs/theory.md`` section 6.4 is that of a linear
recursion in x2: bias ``b(sigma)`` and, per coordinate, noise of variance ``4/(sigma² n) + 2/B``
(independent batches) or ``2/B`` (shared), which a step ``eta`` turns into ``eta m v / (2 - eta m)`` of
``‖∇Phi‖²``; where h is curved at the end of the descent, x1 adds as much with its curvature for m. The
descent in x1 is that of the gradient flow. The cost tends to a limit as eta falls, which is what is
returned.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from theory_check.bilevel import Coupling
from theory_check.problems.hard_instance import HardInstance

FLOW_TIMES = np.geomspace(1e-2, 1e2, 3000)
"""Flow times that are looked at, in units of ``(Phi(x_0) - inf Phi) / epsilon``; 0.3 % apart."""


SIGMAS = np.geomspace(1e-2, 1e2, 300)
"""Sigmas that are looked at, in units of the one whose bias is the target; 3 % apart."""


def predicted_samples(
    problem: HardInstance, epsilon: float, coupling: Coupling, accuracy: Literal["half", "ergodic"]
) -> float:
    """Return the fewest samples, over T, sigma and n = B, with one inner step an iteration.

    Parameters
    ----------
    problem
        The instance for ``epsilon``.
    epsilon
        The accuracy asked for, a squared norm.
    coupling
        Of the batches: an iteration draws ``2 (2 n + B)`` samples with independent ones, ``2 (n + B)``
        with shared ones.
    accuracy
        Over which iterations it is a mean.
    """
    times, slope = _along_flow(problem, epsilon, accuracy)
    left = epsilon - slope
    curvature = problem.stiffness + problem.end_curvature
    variance = curvature * problem.noise**2 / 2
    if coupling == "shared":
        # Noise is free of sigma, so the bias may be made as small as one likes. The errors of the shared
        # iterates do not cancel in c'(x2) u²/2: a² c'² / n more, with c' = 1/2 at x2 = 0.
        bent = problem.stiffness * problem.slope**2 / 4 * problem.noise**2 / 2
        costs = 2 * 2 * times * (2 * variance + bent) / np.where(left > 0, left, np.nan)
        return float(np.nanmin(costs))
    # The bias is at most sigma a²/4; smaller sigmas than these cost more than they gain.
    sigmas = 4 * np.sqrt(epsilon) / problem.slope**2 * SIGMAS
    room = left[:, None] - np.array([bias(problem, sigma) for sigma in sigmas]) ** 2
    costs = times[:, None] * (4 / sigmas**2 + 2) / np.where(room > 0, room, np.nan)
    return float(2 * 3 * variance * np.nanmin(costs))


def bias(problem: HardInstance, sigma: float) -> float:
    """Return the size of ``∇Phi_sigma - ∇Phi`` in x2 at ``x2 = 0``."""
    at = torch.zeros(1, 2, dtype=torch.float64)
    return float(problem.surrogate_gradient(at, sigma)[0, 1].abs())


def _along_flow(
    problem: HardInstance, epsilon: float, accuracy: Literal["half", "ergodic"]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return flow times, and the accuracy that the flow itself has after each."""
    height = problem.flow_height(np.zeros(1))[0]
    times = height / epsilon * FLOW_TIMES
    before = times / 2 if accuracy == "half" else np.zeros_like(times)
    fallen = problem.flow_height(before) - problem.flow_height(times)
    return times, fallen / (times - before)
