"""What a measurement is: settings, and one method that turns a problem into a tidy table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from theory_check.recording import Progress
from theory_check.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from theory_check.problems import Problem


@dataclass(frozen=True)
class StepSizes:
    """Step sizes of what a measurement runs.

    Attributes
    ----------
    outer, inner
        ``eta`` and ``alpha`` of ``docs/theory.md`` section 4.1; None where no such step is taken.
    """

    outer: float | None = None
    inner: float | None = None


def steps_of(solver: object) -> StepSizes:
    """Return the steps of a solver, by the names that solvers give them."""
    return StepSizes(
        outer=getattr(solver, "step_size", None), inner=getattr(solver, "inner_step_size", None)
    )


class Measurement(Settings, ABC):
    """Base of all measurements; a concrete one is a frozen dataclass of its settings.

    The settings are the fields, with their defaults and with annotations that say which values they
    take (:mod:`theory_check.settings`); a rule across fields stands in ``__post_init__``. The results of
    a measurement depend on its settings, the problem and the seeds, and on nothing else: that is what
    the store assumes when it reuses a cell.

    Attributes
    ----------
    kind
        Name of the measurement in experiment files.
    own_methods
        Methods that its settings may name beside those of the catalogue.
    """

    kind: ClassVar[str]
    own_methods: ClassVar[tuple[Any, ...]] = ()

    @abstractmethod
    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Measure on one problem, all seeds in one batched program.

        Parameters
        ----------
        problem
            The problem of the cell.
        seeds
            One replicate each.
        progress
            Called as ``progress(done, total)`` from time to time.

        Returns
        -------
        pandas.DataFrame
            Tidy, first column ``seed``, at least one row for every seed.
        """

    def solvers(self) -> tuple[Any, ...]:
        """Return the solvers among its settings, and the classes of those that its methods configure."""
        settings = [getattr(value, "solver", value) for value in vars(self).values()]
        return tuple(value for value in settings if hasattr(value, "step"))

    def step_sizes(self) -> StepSizes:
        """Return the steps it takes; audits hold them against measured curvatures."""
        return StepSizes()

    def relative_cost(self) -> float:
        """Return how long this measurement takes relative to others; longest run first."""
        return 1.0
