"""A power law that flattens into a constant: ``y = C x**p + F``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares


@dataclass(frozen=True)
class FloorModel:
    """A fitted sum of a power law and a constant.

    Attributes
    ----------
    coefficients
        Of the design's columns, shape (columns,): logarithm of the prefactor, exponent, ...
    level
        The constant, in the units of y.
    log_curve
        Natural logarithm of the fitted curve, shape (m,).
    share
        Part of the fitted curve that the constant makes up, shape (m,).
    jacobian
        Derivatives of ``log_curve``, shape (m, columns + 1), the last by ``log F``.
    """

    coefficients: Float[np.ndarray, " columns"]
    level: float
    log_curve: Float[np.ndarray, " m"]
    share: Float[np.ndarray, " m"]
    jacobian: Float[np.ndarray, "m parameters"]


def _evaluate(
    parameters: Float[np.ndarray, " parameters"],
    design: Float[np.ndarray, "m columns"],
    offset: Float[np.ndarray, " m"],
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"], Float[np.ndarray, "m parameters"]]:
    """Return log curve, share of the constant, and derivatives by (coefficients, log F)."""
    power = design @ parameters[:-1] + offset
    log_curve = np.logaddexp(power, parameters[-1])
    share = np.exp(parameters[-1] - log_curve)
    jacobian = np.column_stack([(1 - share)[:, None] * design, share])
    return log_curve, share, jacobian


def fit_floor(
    log_average: Float[np.ndarray, " m"],
    design: Float[np.ndarray, "m columns"],
    offset: Float[np.ndarray, " m"],
    decay_sign: float,
) -> FloorModel | None:
    """Fit the sum by nonlinear least squares on the logarithm.

    Parameters
    ----------
    log_average
        Natural logarithm of the curve, shape (m,), ordered towards the limit.
    design
        Columns (1, log x, ...), shape (m, columns).
    offset
        Known part of the power law's logarithm, shape (m,).
    decay_sign
        Sign of the slope in log x that decays towards the limit.

    Returns
    -------
    FloorModel or None
        ``None`` where the fit does not decay, does not converge, or leaves no point above the
        constant.
    """
    half = max(2, log_average.size // 2)
    # In units of the curve and of x in which both are near 1: the optimiser's steps depend on them.
    unit, middle = float(log_average.mean()), float(design[:, 1].mean())
    observed, asked = log_average - unit, design
    design = design.copy()
    design[:, 1] -= middle
    head = np.linalg.lstsq(design[:half, :2], (observed - offset)[:half], rcond=None)[0]
    start = np.zeros(design.shape[1] + 1)
    start[:2] = head
    start[-1] = float(observed.min()) - 0.1
    found = least_squares(
        lambda at: _evaluate(at, design, offset)[0] - observed,
        start,
        jac=lambda at: _evaluate(at, design, offset)[2],
        x_scale="jac",
        max_nfev=200,
    )
    parameters = found.x.copy()
    parameters[0] += unit - middle * parameters[1]
    parameters[-1] += unit
    log_curve, share, jacobian = _evaluate(parameters, asked, offset)
    # A constant above half of the first point leaves no stretch where the power law dominates.
    if not found.success or found.x[1] * decay_sign <= 0 or share[0] > 0.5:
        return None
    return FloorModel(parameters[:-1], float(np.exp(parameters[-1])), log_curve, share, jacobian)
