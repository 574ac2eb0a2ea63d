"""Combinations of ``Phi_sigma`` at several sigmas, whose errors are of a higher order.

``docs/theory.md`` section 3.6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from jaxtyping import Float
from torch import Tensor

_WEIGHTS: Mapping[str, Mapping[int, float]] = {
    "forward": {1: 1.0},
    "central": {1: 1 / 2, -1: 1 / 2},
    "fourth": {1: 2 / 3, -1: 2 / 3, 2: -1 / 6, -2: -1 / 6},
}
"""Weights of what is combined at multiples of sigma."""

Combination = Literal["forward", "central", "fourth"]
"""``Phi_sigma`` alone, the mean of both signs, or four of them without an error of second order."""


def penalties(sigma: float, difference: Combination) -> tuple[float, ...]:
    """Return the penalty parameters whose levels a combination takes."""
    return tuple(multiple * sigma for multiple in _WEIGHTS[difference])


def combined(
    at: Callable[[float], Float[Tensor, "*shape"]], sigma: float, difference: Combination
) -> Float[Tensor, "*shape"]:
    """Return the combination of values or gradients.

    Parameters
    ----------
    at
        What is combined, as a function of the penalty parameter, such as ``∇Phi_sigma`` at a point.
    sigma
        Penalty parameter, > 0.
    difference
        Which combination; the mean of both signs is that of ``difference = "central"`` of a solver.
    """
    first, *others = (
        weight * at(penalty)
        for penalty, weight in zip(
            penalties(sigma, difference), _WEIGHTS[difference].values(), strict=True
        )
    )
    return sum(others, start=first)
