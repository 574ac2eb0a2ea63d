"""What an accuracy costs the penalty method on plateau and valley, from closed forms.

Near the end of the descent the method with one inner step is a linear recursion in x, in ``u = y - x``
and in ``v = (y' - y)/sigma`` (``docs/theory.md`` section 6.4), whose stationary covariance solves a
Lyapunov equation; the descent in x1 is that of the gradient flow. The cost is the least over the
flow time, the outer step, sigma and n = B, at the inner step that the method is held to.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_lyapunov

from theory_check.bilevel import Coupling, Difference, combined
from theory_check.problems.hard_instance import HardInstance

FLOW_TIMES = np.geomspace(1e-2, 1e2, 3000)
"""Flow times that are looked at, in units of ``(Phi(x_0) - inf Phi) / epsilon``; 0.3 % apart."""


SIGMAS = np.geomspace(1e-2, 1e2, 300)
"""Sigmas that are looked at, in units of the one whose bias is the target; 3 % apart."""


STEPS = np.geomspace(1e-3, 1.0, 60)
"""Outer steps that are looked at, in units of the inverse curvature of Phi."""


LARGEST_CENTRAL = 0.99
"""Sigma at most, over ``1/(a k)``, beyond which ``g - sigma f`` has no minimiser at ``x2 = 0``."""


RESOLVED = 1e-9
"""A recursion whose largest eigenvalue is nearer 1 has no stationary covariance to speak of."""


def predicted_samples(
    problem: HardInstance,
    epsilon: float,
    coupling: Coupling,
    accuracy: Literal["half", "ergodic"],
    inner_step: float,
    difference: Difference = "forward",
) -> float:
    """Return the fewest samples, over T, the outer step, sigma and n = B, with one inner step each.

    Parameters
    ----------
    problem
        The instance for ``epsilon``.
    epsilon
        The accuracy asked for, a squared norm.
    coupling
        Of the batches: an iteration draws ``2 (2 n + B)`` samples with independent ones, ``2 (n + B)``
        with shared ones, and ``2 B`` more of a central difference.
    accuracy
        Over which iterations it is a mean.
    inner_step
        Step of the inner loops.
    difference
        Of which two penalised levels.
    """
    draws = 2 * ((1 if coupling == "shared" else 2) + (2 if difference == "central" else 1))
    times, slope = _along_flow(problem, epsilon, accuracy)
    left = epsilon - slope
    steps = STEPS / max(problem.stiffness, problem.end_curvature)
    if coupling == "shared":
        # The noise of a shared batch is free of sigma, so the bias may be made as small as one likes.
        noise = np.array(
            [lasting_noise(problem, step, inner_step, None, difference) for step in steps]
        )
        return float(draws * np.nanmin(noise / steps) * np.nanmin(_per_room(times, left)))
    # The bias is at most sigma a²/4, or about sigma² a³ k/2; smaller sigmas than these cost more than
    # they gain.
    if difference == "forward":
        sigmas = 4 * np.sqrt(epsilon) / problem.slope**2 * SIGMAS
    else:
        sigmas = np.sqrt(2 * np.sqrt(epsilon) / (problem.slope**3 * problem.bend)) * SIGMAS
        sigmas = sigmas[sigmas < LARGEST_CENTRAL / (problem.slope * problem.bend)]
    room = left[:, None] - np.array([bias(problem, sigma, difference) for sigma in sigmas]) ** 2
    # Variances add: one part is free of sigma, one falls like 1/sigma².
    ends = [
        np.array([lasting_noise(problem, step, inner_step, sigma, difference) for step in steps])
        for sigma in (sigmas[0], sigmas[-1])
    ]
    divided = (ends[0] - ends[1]) / (sigmas[0] ** -2 - sigmas[-1] ** -2)
    free = ends[0] - divided * sigmas[0] ** -2
    noise = (free[:, None] + divided[:, None] / sigmas**2) / steps[:, None]
    costs = np.nanmin(noise, axis=0) * _per_room(times[:, None], room)
    return float(draws * np.nanmin(costs))


def lasting_noise(
    problem: HardInstance,
    step: float,
    inner_step: float,
    sigma: float | None,
    difference: Difference = "forward",
) -> float:
    """Return ``n E‖∇Phi‖²`` at the end of the descent, for n = B and one inner step an iteration.

    Parameters
    ----------
    problem
        Plateau or valley; on the latter x1 has no end, and no noise that counts.
    step, inner_step
        ``eta`` and ``alpha``.
    sigma
        Of independent batches; None for shared ones, whose noise does not depend on it.
    difference
        Of which two penalised levels.

    Returns
    -------
    float
        NaN where the recursion is unstable.
    """
    a, k, m, e = problem.slope, problem.bend, problem.stiffness, problem.end_curvature
    drift = a / 2  # a c'/c at x2 = 0, where c = 1 and c' = 1/2
    # Coordinate by coordinate: how v and the estimate depend on (x, u, v).
    errors = _errors(inner_step, sigma, difference)
    second = _gradient_noise(
        (-drift, a * k, 1.0), (m + drift, -(a * k + drift), -1.0), step, inner_step, *errors
    )
    first = _gradient_noise((e, e, 1.0), (0.0, 0.0, -1.0), step, inner_step, *errors) if e else 0.0
    return float(problem.noise**2 * (m**2 * second + e**2 * first))


def _errors(
    inner_step: float, sigma: float | None, difference: Difference
) -> tuple[NDArray[np.float64], float]:
    """Return how samples of variance 1 enter (x, u, v) in an inner step, and that of the estimate.

    Columns: errors of g at y, of g at y', of f at y' and, of a central difference, of f at y. There ``u``
    is that of the mean of y and y', and ``v = (y' - y)/(2 sigma)``. Shared batches have the same error of
    g at both, which their difference cancels.
    """
    errors = np.zeros((3, 4))
    apart = 0.0 if sigma is None else 1 / sigma
    if difference == "forward":
        errors[1, 0] = -inner_step
        errors[2] = -inner_step * np.array([-apart, apart, 1.0, 0.0])
        return errors, 1 + 2 * apart**2
    errors[1, :2] = -inner_step * np.array([1.0, 0.0] if sigma is None else [0.5, 0.5])
    errors[2] = -inner_step * np.array([-apart / 2, apart / 2, 0.5, 0.5])
    return errors, 1 / 2 + apart**2 / 2


def _gradient_noise(
    pull: tuple[float, float, float],
    estimate: tuple[float, float, float],
    step: float,
    inner_step: float,
    errors: NDArray[np.float64],
    fresh: float,
) -> float:
    """Return the variance of x for one sample of variance 1 in each batch.

    The inner step takes ``u`` to ``(1 - alpha) u`` and ``v`` to ``v - alpha pull . (x, u, v)``, with
    errors; then x falls by ``step`` times ``estimate . (x, u, v)``, whose own errors have the variance
    ``fresh``, and u rises by as much.
    """
    inner = np.eye(3)
    inner[1, 1] -= inner_step
    inner[2] -= inner_step * np.array(pull)
    outer = np.eye(3) + step * np.outer([-1.0, 1.0, 0.0], estimate)
    moved = step**2 * fresh * np.outer([-1.0, 1.0, 0.0], [-1.0, 1.0, 0.0])
    matrix = outer @ inner
    if np.abs(np.linalg.eigvals(matrix)).max() > 1 - RESOLVED:
        return float("nan")
    added = outer @ errors
    return float(solve_discrete_lyapunov(matrix, added @ added.T + moved)[0, 0])


def _per_room(times: NDArray[np.float64], room: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``times / room``, NaN where nothing is left for the noise."""
    quotient: NDArray[np.float64] = times / np.where(room > 0, room, np.nan)
    return quotient


def bias(problem: HardInstance, sigma: float, difference: Difference = "forward") -> float:
    """Return the size of the bias at ``x2 = 0``: of ``∇Phi_sigma``, or of its mean over both signs."""
    at = partial(problem.surrogate_gradient, torch.zeros(1, 2, dtype=torch.float64))
    return abs(float(combined(at, sigma, difference)[0, 1]))


def _along_flow(
    problem: HardInstance, epsilon: float, accuracy: Literal["half", "ergodic"]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return flow times, and the accuracy that the flow itself has after each."""
    height = problem.flow_height(np.zeros(1))[0]
    times = height / epsilon * FLOW_TIMES
    before = times / 2 if accuracy == "half" else np.zeros_like(times)
    fallen = problem.flow_height(before) - problem.flow_height(times)
    return times, fallen / (times - before)
