"""What solvers may see of a hard instance: as of other closed forms, with whole loops in one call."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from theory_check.oracles.closed_form import ClosedFormInstruments, SampledClosedFormOracle
from theory_check.oracles.compiled_loops import OffersPenaltyLoops
from theory_check.oracles.estimates.hard_loops import HardLoops


class SampledHardOracle(OffersPenaltyLoops, SampledClosedFormOracle):
    """The sampled oracle of a closed form; a :class:`~theory_check.bilevel.PenaltyShortcut`.

    Parameters are those of :class:`~theory_check.oracles.closed_form.SampledClosedFormOracle`.
    """

    @cached_property
    def _penalty_loops(self) -> HardLoops | None:
        """None for a derived oracle, which may answer some operation otherwise."""
        if type(self) is not SampledHardOracle:
            return None
        return HardLoops.of(self.problem, self._counter, self._draws)


class HardInstruments(ClosedFormInstruments):
    """Oracles of a hard instance; see :class:`~theory_check.oracles.instruments.Instruments`."""

    sampled_kind: ClassVar[type[SampledClosedFormOracle]] = SampledHardOracle
