"""Planted tables of the four-term bound."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd

SEEDS = 16
RHO = 0.5
CONSTANTS = {"optimisation": 0.5, "bias": 0.02, "sampling": 4.0, "inner": 1e-5}
EXPONENTS = {
    "optimisation 1/T": 1.0,
    "bias sigma": 2.0,
    "sampling 1/sigma": 2.0,
    "sampling 1/n": 1.0,
    "inner 1/sigma": 2.0,
}


def planted_bound(
    *,
    coupled: bool,
    exponents: Mapping[str, float] | None = None,
    constants: Mapping[str, float] | None = None,
    extra: float = 0.0,
    deviation: float = 0.1,
    seed: int = 0,
) -> pd.DataFrame:
    """Return one problem's table over a design in which the first three terms dominate somewhere.

    Parameters
    ----------
    coupled
        Whether the sampling term is c/n; its predicted exponent of 1/sigma is then 0.
    exponents, constants
        What differs from :data:`EXPONENTS` and :data:`CONSTANTS`. A term with another exponent
        keeps its value at the median level of the factor.
    extra
        A constant that the bound does not have.
    deviation
        Of lognormal noise of mean one.
    """
    iterations, sigmas, steps = (30, 60, 120, 240, 480), (1.5, 0.75, 0.3, 0.12), (1, 3, 6)
    batches = (200.0, 2000.0, 1e10) if coupled else (3e3, 3e4, 1e10)
    points = np.array(list(product(iterations, sigmas, batches, steps)))
    t, sigma, n, k = points.T
    law = EXPONENTS | ({"sampling 1/sigma": 0.0} if coupled else {})
    power = law | dict(exponents or {})
    size = CONSTANTS | dict(constants or {})

    def tilted(name: str, factor: np.ndarray) -> np.ndarray:
        centre = np.median(factor)
        sign = 1.0 if name == "bias sigma" else -1.0
        tilt: np.ndarray = factor ** (sign * law[name]) * (factor / centre) ** (
            sign * (power[name] - law[name])
        )
        return tilt

    error = (
        size["optimisation"] * tilted("optimisation 1/T", t)
        + size["bias"] * tilted("bias sigma", sigma)
        + size["sampling"] * tilted("sampling 1/sigma", sigma) * tilted("sampling 1/n", n)
        + size["inner"] * RHO**k * tilted("inner 1/sigma", sigma)
        + extra
    )
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((SEEDS, error.size))
    errors = error * np.exp(deviation * noise - deviation**2 / 2)
    return pd.concat(
        pd.DataFrame(
            {
                "problem": "planted",
                "seed": replicate,
                "iterations": t.astype(int),
                "sigma": sigma,
                "trajectories": n.astype(int),
                "inner_steps": k.astype(int),
                "ergodic_stationarity": row,
                "penalty_bias": 0.1 * sigma**2,
                "sampling_error": 4 / n / (1.0 if coupled else sigma**2),
                "inner_error": 1 / t,
                "status": "ok",
            }
        )
        for replicate, row in enumerate(errors)
    )
