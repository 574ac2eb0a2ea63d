"""Schedules: how the settings of the penalty method depend on the accuracy asked for.

Source: ``docs/theory.md`` section 5.3. The exponents are the theory's, the constants the
experimenter's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Any

from theory_check.bilevel import Coupling, Difference
from theory_check.errors import (
    require_choice,
    require_instance,
    require_target,
)
from theory_check.provenance import Provenance
from theory_check.settings import Positive, Settings, one_of
from theory_check.solvers.method import whole
from theory_check.solvers.penalty_bilevel import PenaltyBilevel


@dataclass(frozen=True)
class ScheduleConstants(Settings):
    """Prefactors of a schedule, all finite and greater than 0.

    Attributes
    ----------
    sigma
        Of the penalty parameter.
    iterations
        Of the number of outer iterations T.
    inner_steps
        Of K, in front of ``log(1/epsilon)``.
    trajectories, pairs
        Of the batch sizes n and B.
    step_size
        Of the outer step size.
    inner_step_size
        The inner step size itself, which depends on no accuracy.
    """

    sigma: Positive
    iterations: Positive
    inner_steps: Positive
    trajectories: Positive
    pairs: Positive
    step_size: Positive
    inner_step_size: Positive


@dataclass(frozen=True)
class Schedule:
    """Settings of :class:`~theory_check.solvers.penalty_bilevel.PenaltyBilevel` against epsilon.

    A setting is its constant times ``epsilon`` to the exponent given here; K is
    ``ceil(constant * log(1/epsilon))``, natural logarithm.

    Attributes
    ----------
    id
        Name, in experiment files and in claims.
    source
        Where the schedule comes from.
    provenance
        ``"R"`` reconstructed, ``"S"`` from a secondary source, ``"V"`` of a theorem that could be read,
        ``"D"`` derived in this project.
    coupling
        Of the batches at the two lower variables.
    sigma, iterations, step_size, batch
        Exponents of sigma, T, the outer step size, and n = B.
    difference
        Of which two penalised levels.
    """

    id: str
    source: str
    provenance: Provenance
    coupling: Coupling
    sigma: float
    iterations: float
    step_size: float
    batch: float
    difference: Difference = "forward"

    @property
    def sample_exponent(self) -> float:
        """The p of ``samples = O~(epsilon**-p)``: T times n, without the logarithm of K."""
        return -(self.iterations + self.batch)

    def configure(self, epsilon: float, constants: ScheduleConstants) -> tuple[int, PenaltyBilevel]:
        """Return the number of outer iterations T and the solver for a target accuracy.

        Parameters
        ----------
        epsilon
            Bound asked for on the ergodic mean of ``‖∇Phi‖²`` (squared norm), in (0, 1).
        constants
            The prefactors.

        Raises
        ------
        InvalidArgumentError
            If ``epsilon`` is not in (0, 1).
        """
        require_target("epsilon", epsilon)
        remedy = "pass ScheduleConstants(...)"
        require_instance("constants", constants, ScheduleConstants, remedy)
        batch = epsilon**self.batch
        solver = PenaltyBilevel(
            sigma=constants.sigma * epsilon**self.sigma,
            inner_steps=whole(constants.inner_steps * math.log(1 / epsilon)),
            inner_step_size=constants.inner_step_size,
            step_size=constants.step_size * epsilon**self.step_size,
            trajectories=whole(constants.trajectories * batch),
            pairs=whole(constants.pairs * batch),
            coupling=self.coupling,
            difference=self.difference,
        )
        return whole(constants.iterations * epsilon**self.iterations), solver


_TOTAL_3 = Schedule(
    id="total-3",
    source="arXiv 2503.17644, headline; schedule of arXiv 2509.02937, Theorem 3.1 at p = 1",
    provenance="S",
    coupling="independent",
    sigma=0.5,
    iterations=-1.0,
    step_size=0.0,
    batch=-2.0,
)
_TOTAL_7_2 = replace(
    _TOTAL_3,
    id="total-7/2",
    source="arXiv 2410.15610, headline; schedule reconstructed from 2309.01753",
    provenance="R",
    iterations=-1.5,
    step_size=0.5,
)
_TOTAL_2 = replace(
    _TOTAL_3,
    id="total-2",
    source="docs/theory.md section 5.3",
    provenance="D",
    coupling="shared",
    batch=-1.0,
)
_TOTAL_5_2 = replace(
    _TOTAL_3,
    id="total-5/2",
    source="arXiv 2509.02937, Theorem 3.1 at p = 2, for strongly convex lower levels",
    provenance="V",
    sigma=0.25,
    batch=-1.5,
    difference="central",
)
_TOTAL_2_CENTRAL = replace(
    _TOTAL_2,
    id="total-2-central",
    sigma=0.25,
    difference="central",
)
_SMALL_BATCH = replace(
    _TOTAL_2,
    id="control-small-batch",
    source="docs/theory.md section 6.3",
    coupling="independent",
)
_FIXED_SIGMA = replace(
    _TOTAL_2,
    id="control-fixed-sigma",
    source="docs/theory.md section 6.3",
    sigma=0.0,
)


def _mistaken(schedule: Schedule, name: str, **exponents: Any) -> Schedule:
    """Return ``schedule`` with other exponents, as a control."""
    source = "docs/theory.md section 6.4"
    return replace(schedule, id=name, source=source, provenance="D", **exponents)


_FORBIDDEN = (
    _mistaken(_TOTAL_3, "control-batch-3/2", batch=-1.5),
    _mistaken(_TOTAL_3, "control-sigma-1/4", sigma=0.25),
    _mistaken(_TOTAL_3, "control-few-iterations", iterations=-0.5),
    _mistaken(_TOTAL_2, "control-shared-batch-1/2", batch=-0.5),
    _mistaken(_TOTAL_7_2, "control-short-7/2", iterations=-1.0),
    _mistaken(_TOTAL_5_2, "control-forward-5/2", difference="forward"),
    _mistaken(_TOTAL_5_2, "control-central-batch-1", batch=-1.0),
    _mistaken(_TOTAL_2_CENTRAL, "control-forward-2", difference="forward"),
)
_WASTEFUL = (
    _mistaken(_TOTAL_3, "wasteful-4", batch=-3.0),
    _mistaken(_TOTAL_3, "wasteful-7/2", batch=-2.5),
)

SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        schedule.id: schedule
        for schedule in (_TOTAL_7_2, _TOTAL_3, _TOTAL_5_2, _TOTAL_2, _TOTAL_2_CENTRAL)
    }
)
"""The schedules of ``docs/theory.md`` section 5.3 by id."""

CONTROL_SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {schedule.id: schedule for schedule in (_SMALL_BATCH, _FIXED_SIGMA, *_FORBIDDEN, *_WASTEFUL)}
)
"""Negative controls by id, never to be advised: schedules of which one exponent is too small to reach
every accuracy, and wasteful ones, which draw more than any target needs."""


ScheduleName = Annotated[str, one_of((*SCHEDULES, *CONTROL_SCHEDULES))]
"""The id of a schedule, as a setting."""


def get_schedule(name: str) -> Schedule:
    """Return the schedule called ``name``, or refuse with the nearest known name."""
    known = {**SCHEDULES, **CONTROL_SCHEDULES}
    require_choice("schedule", name, known)
    return known[name]
