"""What a measurement is: settings, and one method that turns a problem into a tidy table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from theory_check.errors import InvalidArgumentError
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


@dataclass(frozen=True)
class Need:
    """Something that a measurement needs of a problem.

    Attributes
    ----------
    what
        In words.
    met
        Whether a problem has it.
    offered
        What a problem that has not offers in its place, in words.
    remedy
        What to do about one that has not.
    """

    what: str
    met: Callable[[Any], bool]
    offered: Callable[[Any], str]
    remedy: str


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
    needs
        What it needs of a problem beside the oracles of its solvers; the first is asked first.
    least_seeds
        Replicates that it needs at least.
    units
        Of the columns of its table that ``measurements/units.py`` does not know anyway.
    """

    kind: ClassVar[str]
    own_methods: ClassVar[tuple[Any, ...]] = ()
    needs: ClassVar[tuple[Need, ...]] = ()
    least_seeds: ClassVar[int] = 1
    units: ClassVar[Mapping[str, str]] = MappingProxyType({})

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
        """Return the solvers among its settings, and the classes of those that it configures itself."""
        settings = [getattr(value, "solver", value) for value in vars(self).values()]
        return tuple(value for value in settings if hasattr(value, "step"))

    def needed(self) -> tuple[Need, ...]:
        """Return what it needs of a problem with its settings: what the class declares."""
        return self.needs

    def require_problem(self, argument: str, problem: object, name: str) -> None:
        """Refuse a problem that has not what this measurement needs.

        Parameters
        ----------
        argument
            What the error names.
        problem, name
            The problem, and what it is called.

        Raises
        ------
        InvalidArgumentError
            Naming the measurement, what it needs and what the problem offers.
        """
        for need in self.needed():
            if not need.met(problem):
                raise InvalidArgumentError(
                    argument,
                    f"measurement {self.kind!r}, which needs {need.what}, with problem {name!r}, "
                    f"{need.offered(problem)}",
                    need.remedy,
                )

    def require_seeds(self, argument: str, seeds: int) -> None:
        """Refuse fewer replicates than this measurement needs."""
        if seeds < self.least_seeds:
            raise InvalidArgumentError(
                argument,
                f"{seeds}, with measurement {self.kind!r}",
                f"pass at least {self.least_seeds}",
            )

    def step_sizes(self) -> StepSizes:
        """Return the steps it takes; audits hold them against measured curvatures."""
        return StepSizes()

    def relative_cost(self) -> float:
        """Return how long this measurement takes relative to others; longest run first."""
        return 1.0
