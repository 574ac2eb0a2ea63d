"""What solvers may see of a hard instance: as of other closed forms, with whole loops in one call."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import InnerPath, PenaltyLoop
from theory_check.oracles.closed_form import ClosedFormInstruments, SampledClosedFormOracle
from theory_check.oracles.estimates.hard_loops import HardLoops


class SampledHardOracle(SampledClosedFormOracle):
    """The sampled oracle of a closed form; a :class:`~theory_check.bilevel.PenaltyShortcut`.

    Parameters are those of :class:`~theory_check.oracles.closed_form.SampledClosedFormOracle`.
    """

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

    @cached_property
    def _penalty_loops(self) -> HardLoops | None:
        """None for a derived oracle, which may answer some operation otherwise."""
        if type(self) is not SampledHardOracle:
            return None
        return HardLoops.of(self.problem, self._counter, self._draws)


class HardInstruments(ClosedFormInstruments):
    """Oracles of a hard instance; see :class:`~theory_check.oracles.instruments.Instruments`."""

    sampled_kind: ClassVar[type[SampledClosedFormOracle]] = SampledHardOracle
