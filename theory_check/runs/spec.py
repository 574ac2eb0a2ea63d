"""Experiment files: read, validated in full before any work, and cut into cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from theory_check.catalogue import Catalogue, Root, installed
from theory_check.errors import (
    InvalidArgumentError,
    magnitude,
    require_choice,
    require_flag,
    require_instance,
    shortened,
)
from theory_check.files import as_path
from theory_check.measurements.base import Measurement
from theory_check.problems.spec import ProblemSpec
from theory_check.randomness import first_seed, require_replicates
from theory_check.runs.build import Components, Table, build, field_parameters, parsed, with_axes
from theory_check.runs.grid import (
    axis_labels,
    flattened,
    merged,
    require_axes_once,
    require_axis,
    with_entry,
)
from theory_check.runs.identity import cell_key, sources_of
from theory_check.runs.problem_axes import (
    PROBLEM,
    FileProblems,
    OneProblem,
    changes_of,
    is_of_problems,
)
from theory_check.runs.problem_table import OwnProblem

MOST_CELLS = 10**5
"""Combinations of a grid."""

Axes = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Cell:
    """The unit of work and of storage: one problem and one measurement, all seeds.

    Attributes
    ----------
    experiment, label, axes
        Where the cell belongs: stem of the file, label of the problem, and the grid's columns
        and values. They enter :attr:`key` through ``first_seed`` only.
    measurement
        The measurement, with its settings.
    problem
        What builds the problem.
    seeds
        Number of replicates.
    first_seed
        The seeds are the ``seeds`` integers from here on: a block of the experiment and the label,
        see :func:`theory_check.randomness.first_seed`.
    instance, sizes
        Number of the instance and what the file says of its family, where the label stands for a
        family.
    studies
        The roots, beside the package, that its components may come from.
    """

    experiment: str
    label: str
    axes: Axes
    measurement: Measurement
    problem: ProblemSpec
    seeds: int
    first_seed: int = 0
    instance: int | None = None
    sizes: str = ""
    studies: tuple[Root, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel behind the studies, whose modules cannot be imported before they have arrived."""
        return _arrived, (self.studies, type(self), dict(self.__dict__))

    @property
    def replicates(self) -> range:
        """The seeds."""
        return range(self.first_seed, self.first_seed + self.seeds)

    @cached_property
    def sources(self) -> dict[str, str]:
        """Digests of the source files that compute it, as they are when it is first asked for."""
        return sources_of(self)

    @cached_property
    def key(self) -> str:
        """Name under which the result is stored."""
        return cell_key(self)

    def __str__(self) -> str:
        axes = "".join(f" {name}={value}" for name, value in self.axes)
        instance = "" if self.instance is None else f" instance={self.instance}"
        return f"{self.experiment}/{self.label}{instance}{axes}"


def _arrived(studies: tuple[Root, ...], kind: type[Cell], state: dict[str, Any]) -> Cell:
    cell = object.__new__(kind)
    cell.__dict__.update(state)
    return cell


@dataclass(frozen=True)
class Experiment:
    """A validated experiment file.

    Attributes
    ----------
    name
        Stem of the file.
    description
        One sentence.
    full, quick
        The cells, and those of ``--quick``.
    path
        The file.
    """

    name: str
    description: str
    full: tuple[Cell, ...]
    quick: tuple[Cell, ...]
    path: Path

    def cells(self, quick: bool = False) -> tuple[Cell, ...]:
        """Return the cells of the quick or of the full version."""
        require_flag("quick", quick)
        return self.quick if quick else self.full


@dataclass(frozen=True)
class _Quick:
    """The table ``[quick]``: what ``--quick`` changes."""

    seeds: int | None = None
    instances: int | None = None
    problems: tuple[str, ...] | None = None
    settings: dict[str, object] = field(default_factory=dict)
    grid: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seeds is not None:
            require_replicates("seeds", self.seeds)
        if self.instances is not None and self.instances < 2:
            raise InvalidArgumentError("instances", self.instances, "pass an integer of at least 2")


@dataclass(frozen=True)
class _File:
    """The top level of an experiment file."""

    measurement: str
    description: str
    seeds: int
    problems: dict[str, dict[str, object] | str] | tuple[str, ...]
    settings: dict[str, object] = field(default_factory=dict)
    grid: dict[str, object] = field(default_factory=dict)
    quick: _Quick = field(default_factory=_Quick)
    without: tuple[str, ...] = ()  # methods that its problems cannot run
    too_slow: tuple[str, ...] = ()  # methods left out for their time

    def __post_init__(self) -> None:
        require_replicates("seeds", self.seeds)
        if not self.problems:
            raise InvalidArgumentError(
                "problems", "none", "list names of problems, or add [problems.LABEL]"
            )
        if len(self.labelled) < len(self.problems):
            raise InvalidArgumentError("problems", shortened(self.problems), "list every name once")
        for label in self.quick.problems or ():
            require_choice("quick.problems", label, self.labelled)

    @property
    def labelled(self) -> Mapping[str, Mapping[str, object] | str]:
        """Problems by label, each a table or the name of one; a listed name is its own label."""
        found = self.problems
        return found if isinstance(found, Mapping) else {each: each for each in found}


def load_experiment(
    path: str | Path,
    catalogue: Catalogue | None = None,
    axes: Mapping[str, list[object]] | None = None,
    problem: OwnProblem | None = None,
) -> Experiment:
    """Read and validate an experiment file.

    Parameters
    ----------
    path
        The TOML file; its format is described in ``docs/architecture.md``.
    catalogue
        The components it may name; all that is installed when absent.
    axes
        Axes of the grid beside those of the file, in both versions.
    problem
        The only problem of both versions, in place of those that the file states.

    Raises
    ------
    InvalidArgumentError
        For an axis that the file has as well, or anything in the file that cannot be run; the
        message names the file, the dotted key and, for a name that is not known, the nearest that
        is.
    """
    file = as_path("path", path, "pass the path of a TOML file")
    catalogue = installed() if catalogue is None else catalogue
    require_instance("catalogue", catalogue, Catalogue, "pass Catalogue.shipped(), or leave it out")
    if axes is not None:
        require_instance("axes", axes, Mapping, "pass a mapping from an axis to its values")
    if problem is not None:
        require_instance("problem", problem, OwnProblem, "pass what given_problem returns")
    try:
        return _validated(file, with_axes(parsed(file), axes or {}), catalogue, problem)
    except RecursionError as error:
        raise InvalidArgumentError(
            str(file), "values nested too deep", "nest lists and tables less"
        ) from error
    except InvalidArgumentError as error:
        argument = f"{file}: {error.argument}"
        raise InvalidArgumentError(argument, error.received, error.remedy) from error


def _validated(
    path: Path, content: Table, catalogue: Catalogue, own: OwnProblem | None
) -> Experiment:
    file: _File = build(_File, content, "", Components())
    require_choice("measurement", file.measurement, catalogue.measurements)
    problems = FileProblems(file.labelled, catalogue) if own is None else OneProblem(own)

    def cells(changes: _Quick) -> Iterator[Cell]:
        seeds = file.seeds if changes.seeds is None else changes.seeds
        labels = problems.labels if own or changes.problems is None else changes.problems
        varied_in = "quick.grid" if PROBLEM in changes.grid else "grid"
        for axes, measurement in _measurements(file, changes, catalogue):
            for label in labels:
                stated = problems.of(label, changes_of(axes), f"{varied_in}.{PROBLEM}")
                replicates = stated.require_fit(label, measurement, seeds)
                for instance, spec in stated.numbered(changes.instances):
                    yield Cell(
                        path.stem,
                        label,
                        axes,
                        measurement,
                        spec,
                        seeds=replicates,
                        first_seed=first_seed(path.stem, label, instance),
                        studies=catalogue.studies,
                        instance=instance,
                        sizes=stated.sizes,
                    )

    full, quick = tuple(cells(_Quick())), tuple(cells(file.quick))
    return Experiment(path.stem, file.description, full, quick, path)


def _measurements(
    file: _File, quick: _Quick, catalogue: Catalogue
) -> Iterator[tuple[Axes, Measurement]]:
    """Yield the measurement of every combination of the grid, with its columns."""
    cls = catalogue.measurements[file.measurement]
    components = Components(
        catalogue.solvers,
        {**catalogue.methods, **{method.id: method for method in cls.own_methods}},
    )
    for key, listed in (("without", file.without), ("too_slow", file.too_slow)):
        for name in listed:
            require_choice(key, name, components.named)
    parameters = field_parameters(cls)
    settings = merged(file.settings, quick.settings)
    for place, table in (("grid", file.grid), ("quick.grid", quick.grid)):
        require_axes_once(table, place)
    grid = flattened(file.grid) | flattened(quick.grid)
    cells = math.prod(len(values) for values in grid.values() if isinstance(values, list))
    if cells > MOST_CELLS:
        raise InvalidArgumentError(
            "grid",
            f"{magnitude(cells)} combinations",
            f"list fewer values: at most {MOST_CELLS} combinations can be run",
        )
    # Where each overridden setting was written, so that an error points there.
    origins = {f"settings.{key}": f"quick.settings.{key}" for key in flattened(quick.settings)}
    for axis, values in grid.items():
        where = f"quick.grid.{axis}" if axis in flattened(quick.grid) else f"grid.{axis}"
        if is_of_problems(axis):
            require_axis(axis, values, where, {}, {PROBLEM: None})
            continue
        origins[f"settings.{axis}"] = where
        require_axis(axis, values, where, settings, parameters)
    columns = {axis: axis_labels(values) for axis, values in grid.items()}
    for picks in itertools.product(*(range(len(values)) for values in grid.values())):
        chosen = settings
        for (axis, values), pick in zip(grid.items(), picks, strict=True):
            if is_of_problems(axis):
                continue
            chosen = with_entry(chosen, axis.split("."), values[pick])
        if chosen.get("method") in (*file.without, *file.too_slow):
            continue
        try:
            measurement = build(cls, chosen, "settings", components)
        except InvalidArgumentError as error:
            raise _at_origin(error, origins) from error
        axes = tuple((axis, columns[axis][pick]) for axis, pick in zip(grid, picks, strict=True))
        yield axes, measurement


def _at_origin(error: InvalidArgumentError, origins: Mapping[str, str]) -> InvalidArgumentError:
    """Return ``error`` naming the key as it stands in the file."""
    for place in sorted(origins, key=len, reverse=True):
        if error.argument == place or error.argument.startswith((f"{place}.", f"{place}[")):
            argument = origins[place] + error.argument.removeprefix(place)
            return InvalidArgumentError(argument, error.received, error.remedy)
    return error
