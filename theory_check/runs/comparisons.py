"""The comparisons of ``experiments/comparisons/``: the same problems for every method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from theory_check.catalogue import Catalogue, installed
from theory_check.errors import (
    InvalidArgumentError,
    nearest,
    shortened,
)
from theory_check.measurements.comparison import Comparison
from theory_check.runs.spec import Cell, Experiment, load_experiment
from theory_check.solvers.method import Method

FOLDER = "experiments/comparisons"
"""Folder of the files in a root."""

AXIS = "method"
"""Axis of the grid that is chosen here and not in the files."""


def load_comparisons(
    chosen: Sequence[str], catalogue: Catalogue | None = None
) -> dict[str, Experiment]:
    """Return every comparison by the stem of its file, for the chosen methods.

    Parameters
    ----------
    chosen
        Ids of methods.
    catalogue
        As in :func:`~theory_check.runs.load_experiment`.

    A file leaves out the methods that it lists as ``without``, which its problems cannot run, and as
    ``too_slow``, and is left out where no other is chosen.

    Raises
    ------
    InvalidArgumentError
        When there is none, one is not valid or measures something else.
    """
    catalogue = installed() if catalogue is None else catalogue
    if not catalogue.comparisons:
        raise InvalidArgumentError(
            "comparisons", "a catalogue without any", f"add a file, such as {FOLDER}/small.toml"
        )
    loaded = {
        name: load_experiment(path, catalogue, {AXIS: list(chosen)})
        for name, path in catalogue.comparisons.items()
    }
    loaded = {name: experiment for name, experiment in loaded.items() if experiment.full}
    if not loaded:
        raise InvalidArgumentError(
            "solvers", shortened(list(chosen)), "add one that some comparison does not leave out"
        )
    for experiment in loaded.values():
        settings_of(experiment.full[0])
    return loaded


def settings_of(cell: Cell) -> Comparison:
    """Return the measurement of a cell of a comparison.

    Raises
    ------
    InvalidArgumentError
        When the cell measures something else.
    """
    if not isinstance(cell.measurement, Comparison):
        raise InvalidArgumentError(
            f"{FOLDER}/{cell.experiment}.toml: measurement",
            shortened(cell.measurement.kind),
            f"only {Comparison.kind!r} is compared; move the file to another folder",
        )
    return cell.measurement


def chosen_methods(names: Sequence[str], known: Mapping[str, Method]) -> list[str]:
    """Return the ids that some names stand for: ids, or names of solvers with several methods.

    Parameters
    ----------
    names
        An id stands for itself, the ``name`` of a solver for all of its methods; nothing for all.
    known
        The methods by id.

    Raises
    ------
    InvalidArgumentError
        For a name that is neither.
    """
    if not names:
        return list(known)
    families: dict[str, list[str]] = {}
    for name, method in known.items():
        families.setdefault(method.solver.name, []).append(name)
    wanted: set[str] = set()
    for name in names:
        if name not in known and name not in families:
            raise InvalidArgumentError(
                "solvers", shortened(name), nearest(name, {*known, *families})
            )
        wanted.update([name] if name in known else families[name])
    return [name for name in known if name in wanted]


def chosen_cells(
    experiments: Iterable[Experiment], names: Sequence[str], quick: bool = False
) -> list[Cell]:
    """Return the cells on some problems.

    Parameters
    ----------
    experiments
        All comparisons.
    names
        A label, or what it starts with before a hyphen: ``garnet`` stands for ``garnet`` and for
        ``garnet-misspecified``; nothing for all.
    quick
        Whether the cells of ``--quick`` are meant.

    Raises
    ------
    InvalidArgumentError
        For a name that no problem has, or none of the small version.
    """
    loaded = list(experiments)
    cells = [cell for experiment in loaded for cell in experiment.cells(quick)]
    full = {cell.label for experiment in loaded for cell in experiment.full}
    for name in names:
        if not any(_stands_for(name, label) for label in full):
            known = {*full, *(label.partition("-")[0] for label in full)}
            raise InvalidArgumentError("problems", shortened(name), nearest(name, known))
        if not any(_stands_for(name, cell.label) for cell in cells):
            raise InvalidArgumentError(
                "problems", f"{name!r}, which has no small version", "ask for the full one"
            )
    if not names:
        return cells
    return [cell for cell in cells if any(_stands_for(name, cell.label) for name in names)]


def _stands_for(name: str, label: str) -> bool:
    return label == name or label.startswith(f"{name}-")
