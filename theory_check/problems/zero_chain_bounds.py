"""Constants of the zero chain, and what follows from them (``docs/theory.md`` section 6.5)."""

from __future__ import annotations

import math

VALUE_BOUND, GRADIENT_BOUND, CURVATURE_BOUND = 6.2, 56.0, 1200.0
"""Of ``B``, of the norm of ``∇B`` and of those of the Hessians of ``B`` and ``F - B``: 6.121, 55.61 and
1171.1 are the largest values that were found (``docs/theory.md`` section 6.5)."""

CUT_OFF_BOUND, CUT_OFF_SLOPE, CUT_OFF_BEND = 1.131, 2.461, 9.26
"""Of ``u w(u)``, and of its first two derivatives, in size."""

SCALE = 1 / CURVATURE_BOUND
"""c: makes f, which is quadratic in nothing, as smooth as g."""

CHAIN_CURVATURE = 152.0
"""Of the Hessian of F: 134.03 is the largest that was found."""

GAP_BOUND = 12.0
"""``F(0) - inf F <= 12 T``; the constant itself is 11.24, and 2.07 less than that times 12 T / 11.24."""


def hidden_gradient_bound(length: float) -> float:
    """Return a bound of ``‖∇R‖``."""
    value = VALUE_BOUND * SCALE * length**2
    in_z = (CUT_OFF_BOUND * length + value) * GRADIENT_BOUND * SCALE * length
    return math.hypot(in_z, value * CUT_OFF_SLOPE)


def least_curvature(kappa: float, length: float) -> float:
    """Return a lower bound of the eigenvalues of ``∇²_yy g`` in z, the minimum over v taken out.

    ``(1 - b psi'') q² - 2 psi' (∇b.u) q >= -(psi' ∇b.u)² / (1 - b psi'')``.
    """
    value = VALUE_BOUND * SCALE * length**2
    in_v = 1 - value * CUT_OFF_BEND / length
    if in_v <= 0:
        return -math.inf
    bent = (CUT_OFF_BOUND * length + value) * CURVATURE_BOUND * SCALE
    coupled = (GRADIENT_BOUND * SCALE * length) ** 2 * (CUT_OFF_SLOPE**2 / in_v - 1)
    return 1 / kappa - bent - coupled
