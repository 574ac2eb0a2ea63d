"""Compiled loops of a penalty method as oracles offer them, whatever problem they are of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import InnerPath, PenaltyLoop


@runtime_checkable
class CompiledLoops(Protocol):
    """What :class:`~theory_check.bilevel.PenaltyShortcut` says, for one oracle."""

    def descent(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        loop: PenaltyLoop,
        path: InnerPath | None,
    ) -> tuple[Float[Tensor, "replicate lower"], Float[Tensor, "replicate lower"]] | None:
        """Return y and y' after all inner steps; None where the operations have to say why not."""
        ...

    def estimate(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        loop: PenaltyLoop,
    ) -> Float[Tensor, "replicate upper"] | None:
        """Return the estimate of the hypergradient; None as above."""
        ...


class OffersPenaltyLoops(ABC):
    """An oracle that is a :class:`~theory_check.bilevel.PenaltyShortcut` where it has compiled loops."""

    @property
    @abstractmethod
    def _penalty_loops(self) -> CompiledLoops | None:
        """None where there are none, and of a derived oracle, which may answer otherwise."""

    def penalty_descent(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        loop: PenaltyLoop,
        path: InnerPath | None,
    ) -> tuple[Float[Tensor, "replicate lower"], Float[Tensor, "replicate lower"]] | None:
        """Return both lower variables after all inner steps, where there is a compiled loop."""
        loops = self._penalty_loops
        return None if loops is None else loops.descent(upper, lower, penalised, loop, path)

    def penalty_estimate(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        loop: PenaltyLoop,
    ) -> Float[Tensor, "replicate upper"] | None:
        """Return the estimate of the hypergradient, where there is a compiled way to it."""
        loops = self._penalty_loops
        return None if loops is None else loops.estimate(upper, lower, penalised, loop)
