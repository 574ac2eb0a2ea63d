"""Faster ways to the same numbers, which an oracle may offer beside the operations of its capabilities.

A shortcut is no capability: no solver needs it. What it returns is what the operations return that it
stands for, to rounding, from the same samples, counted alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel.capabilities import Coupling
from theory_check.bilevel.solver import Difference, InnerPath


@dataclass(frozen=True, eq=False)
class PenaltyLoop:
    """What an iteration of a penalty method with two inner loops does.

    Attributes
    ----------
    sigma
        The penalty parameter.
    steps, step_size
        Inner steps on both lower variables, and their size.
    trajectories, pairs
        Samples of every gradient of the lower level, and of the upper one.
    coupling
        As of :class:`~theory_check.bilevel.PairedLowerOracle`.
    difference
        Of which two levels: y belongs to ``g``, or to ``g - sigma f``.
    """

    # Any: numbers, or columns and arrays where several settings run side by side.
    sigma: Any
    steps: int
    step_size: Any
    trajectories: Any
    pairs: Any
    coupling: Coupling
    difference: Difference = "forward"


class PenaltyShortcut(Protocol):
    """Whole loops of a penalty method in one call."""

    def penalty_descent(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        loop: PenaltyLoop,
        path: InnerPath | None,
    ) -> tuple[Float[Tensor, "replicate lower"], Float[Tensor, "replicate lower"]] | None:
        """Return ``y`` and ``y'`` after all inner steps.

        In each a lower gradient is drawn first, then an upper one at ``y'`` and, of a central
        difference, at ``y``.

        ``path`` takes both before every step where it is not None.

        None, with nothing drawn or counted, where it does not apply: the operations do, and raise what
        there is to raise.
        """
        ...

    def penalty_estimate(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        loop: PenaltyLoop,
    ) -> Float[Tensor, "replicate upper"] | None:
        """Return the estimate of the hypergradient, upper gradients first; None as above."""
        ...


class LowerShortcut(Protocol):
    """Whole inner loops with one lower variable in one call."""

    # Any: numbers, or columns and arrays where several settings run side by side.
    def lower_descent(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        *,
        steps: int,
        step_size: Any,
        samples: Any,
        path: list[Float[Tensor, "replicate lower"]] | None = None,
    ) -> Float[Tensor, "replicate lower"] | None:
        """Return ``y`` after all inner steps on ``g(x, .)``; None, with nothing drawn, as above.

        ``path`` takes ``y`` before every step where it is not None.
        """
        ...


class DataShortcut(Protocol):
    """Whole descents of the loss of the implied upper variable on a data set, in one call."""

    def implicit_data_descent(
        self,
        lower: Float[Tensor, "replicate lower"],
        data: Float[Tensor, "replicate winner loser"],
        *,
        steps: int,
        step_size: float,
    ) -> Float[Tensor, "replicate lower"] | None:
        """Return ``y`` after all steps; None where the operations have to take them."""
        ...


def data_shortcut(oracle: Any) -> DataShortcut | None:
    """Return the oracle as a shortcut, None where its own class is none."""
    own = hasattr(type(oracle), "implicit_data_descent")
    found: DataShortcut | None = oracle if own else None
    return found


def lower_shortcut(oracle: Any) -> LowerShortcut | None:
    """Return the oracle as a shortcut, None where its own class is none."""
    found: LowerShortcut | None = oracle if hasattr(type(oracle), "lower_descent") else None
    return found


def penalty_shortcut(oracle: Any) -> PenaltyShortcut | None:
    """Return the oracle as a shortcut, None where its own class is none.

    Who passes on what another oracle has, by ``__getattr__``, may answer some operation otherwise: the
    shortcuts of the other one are not its own.
    """
    own = all(hasattr(type(oracle), name) for name in ("penalty_descent", "penalty_estimate"))
    found: PenaltyShortcut | None = oracle if own else None
    return found
