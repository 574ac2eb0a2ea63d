"""Axes of a grid that vary the problems of an experiment file, and no setting of its measurement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from theory_check.catalogue import Catalogue
from theory_check.errors import InvalidArgumentError
from theory_check.runs.problem_table import (
    OwnProblem,
    StatedProblem,
    named_table,
    sizes_in_words,
    stated_problem,
)

PROBLEM = "problem"
"""Table of the grid whose keys are parameters of the problems' families."""


def is_of_problems(axis: str) -> bool:
    """Return whether an axis of a grid, dotted, varies the problems."""
    return axis == PROBLEM or axis.startswith(f"{PROBLEM}.")


def changes_of(axes: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the parameters that the axes of a cell change, by name."""
    return {axis.removeprefix(f"{PROBLEM}."): value for axis, value in axes if is_of_problems(axis)}


@dataclass(frozen=True)
class FileProblems:
    """The problems of an experiment file by label, each with whatever the grid makes of it.

    Attributes
    ----------
    tables
        What the file says of each: a table, or the name of one.
    catalogue
        The families and classes that are known.
    """

    tables: Mapping[str, Mapping[str, object] | str]
    catalogue: Catalogue
    _stated: dict[tuple[str, str], StatedProblem] = field(default_factory=dict, init=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of the file."""
        return tuple(self.tables)

    def of(self, label: str, changes: Mapping[str, Any], where: str) -> StatedProblem:
        """Return a problem with some of its parameters changed, built once.

        Parameters
        ----------
        label
            Which.
        changes
            Parameters of its family; they take the place of those in its table.
        where
            Dotted key of the grid's table, for errors.

        Raises
        ------
        InvalidArgumentError
            For anything that cannot be built; where a changed parameter is at fault it names the grid.
        """
        key = label, repr(sorted(changes.items()))
        if key not in self._stated:
            self._stated[key] = self._built(label, changes, where)
        return self._stated[key]

    def _built(self, label: str, changes: Mapping[str, Any], where: str) -> StatedProblem:
        table, place = named_table(self.tables[label], label, self.catalogue), f"problems.{label}"
        try:
            stated = stated_problem({**table, **changes}, place, self.catalogue)
        except InvalidArgumentError as error:
            name = error.argument.removeprefix(f"{place}.")
            if name not in changes:
                raise
            raise InvalidArgumentError(
                f"{where}.{name}", error.received, f"{error.remedy} (of problem {label!r})"
            ) from error
        if stated.starts is None or not changes:
            return stated
        fixed = {name: value for name, value in table.items() if name not in changes}
        return replace(stated, sizes=sizes_in_words(fixed))


@dataclass(frozen=True)
class OneProblem:
    """A problem of one's own in place of those of a file; it is what it is, and nothing varies it."""

    own: OwnProblem

    @property
    def labels(self) -> tuple[str, ...]:
        """The only label."""
        return (self.own.label,)

    def of(self, label: str, changes: Mapping[str, Any], where: str) -> StatedProblem:
        """Return it, or refuse to change it."""
        if changes:
            raise InvalidArgumentError(
                PROBLEM,
                f"{label}, in a file whose grid varies {' and '.join(changes)} of its problems",
                "run it on the problems of the file, or judge another claim",
            )
        return self.own.stated
