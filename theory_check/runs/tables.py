"""From the store back to one tidy table per experiment, for Python or as files."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from theory_check.catalogue import Catalogue, installed
from theory_check.catalogue.catalogue import experiment_file
from theory_check.errors import (
    InvalidArgumentError,
    StoreError,
    require_flag,
    require_instance,
    shortened,
)
from theory_check.files import as_path
from theory_check.measurements.units import units_of
from theory_check.recording.recorder import COLUMNS
from theory_check.runs.holdings import StoredResult, of_other_source, results_in_words
from theory_check.runs.identity import version_of
from theory_check.runs.problem_axes import PROBLEM, is_of_problems
from theory_check.runs.spec import Experiment, load_experiment
from theory_check.runs.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from theory_check.runs.problem_axes import PROBLEM, is_of_problems
from theory_check.runs.spec import Cell

OTHER_SOURCE = "other_source"
"""Key of ``attrs`` of a table under which it says which of its results are of other source."""


def load_table(
    experiment: str | Path | Experiment,
    store: str | Path | Store = "results",
    *,
    quick: bool = False,
    any_source: bool = False,
    catalogue: Catalogue | None = None,
) -> pd.DataFrame:
    """Return the results of an experiment as one table.

    Parameters
    ----------
    experiment
        Name of an experiment, a path, or what :func:`~theory_check.runs.load_experiment` returned.
    store
        The store, or its directory.
    quick
        Whether the cells of ``--quick`` are meant.
    any_source
        Whether a cell without a result is read from the latest one that other source, or another
        version, computed of the same specification. What was read so is said in
        ``table.attrs["other_source"]``, which is absent where there is nothing to say.
    catalogue
        What there is; all that is installed when absent.

    Returns
    -------
    pandas.DataFrame
        The tables of the measurement, in the order of the file, with columns put after ``seed``:
        ``problem``, the label; ``instance``, its number where problems are families, without a value
        on fixed ones; and one per grid axis.

    Raises
    ------
    StoreError
        When a cell has no result.
    """
    require_flag("quick", quick)
    require_flag("any_source", any_source)
    if catalogue is None:
        catalogue = installed()
    require_instance("catalogue", catalogue, Catalogue, "pass Catalogue.installed()")
    if not isinstance(experiment, Experiment):
        experiment = load_experiment(experiment_file(experiment, catalogue), catalogue)
    if not isinstance(store, Store):
        store = Store(store)
    cells = experiment.cells(quick)
    instead: Mapping[str, StoredResult] = {}
    if any_source:
        instead = of_other_source(store, cells)
    return load_cells(cells, store, quick=quick, instead=instead)


def load_cells(
    cells: Sequence[Cell],
    store: str | Path | Store,
    *,
    quick: bool = False,
    instead: Mapping[str, StoredResult] | None = None,
) -> pd.DataFrame:
    """Return the results of some cells of one experiment, as :func:`load_table` does of all.

    ``instead`` are results of other source, by the key of the cell, that are read in place of its own.

    Raises
    ------
    StoreError
        When a cell has no result.
    """
    if not isinstance(store, Store):
        store = Store(store)
    instead = {} if instead is None else instead
    frames = [_frame(cell, store, instead) for cell in cells]
    lacking = [cell for cell, frame in zip(cells, frames, strict=True) if frame is None]
    if lacking:
        name = cells[0].experiment
        other = results_in_words(lacking, of_other_source(store, lacking))
        raise StoreError(
            f"{name}: {len(lacking)} of {len(cells)} cells have no result "
            f"in {store.path}; run them with: theory-check run {name}"
            f"{' --quick' if quick else ''} --store {store.path}"
            + (f"; there are {other}, which any_source=True reads" if other else "")
        )
    return _joined(cells, frames, instead)


def _joined(
    cells: Sequence[Cell],
    frames: Sequence[pd.DataFrame | None],
    instead: Mapping[str, StoredResult],
) -> pd.DataFrame:
    """Return the frames of all cells of an experiment as one table."""
    import pandas as pd

    present = [frame for frame in frames if frame is not None]
    table = pd.concat(present, ignore_index=True)
    if any(cell.instance is not None for cell in cells):
        numbers = pd.Series([cell.instance for cell in cells], dtype="Int64")
        rows = np.repeat(np.arange(len(cells)), [len(frame) for frame in present])
        table.insert(2, "instance", numbers[rows].array)
    if text := results_in_words(cells, instead):
        table.attrs[OTHER_SOURCE] = text
    return table


def _frame(cell: Cell, store: Store, instead: Mapping[str, StoredResult]) -> pd.DataFrame | None:
    table = store.read(instead[cell.key].key if cell.key in instead else cell.key)
    if table is None:
        return None
    frame: pd.DataFrame = table.to_pandas()
    frame.insert(1, "problem", cell.label)
    for position, (axis, value) in enumerate(cell.axes, start=2):
        if axis not in frame.columns:
            frame.insert(position, axis, value)
        elif not (frame[axis] == value).all():
            raise StoreError(
                f"{cell}: the measurement's own column {axis!r} contradicts the grid; "
                "it has to hold the value of the setting, or be left out"
            )
    return frame


def every_experiment(catalogue: Catalogue) -> dict[str, Experiment]:
    """Return all experiments of a catalogue by name, comparisons of all methods as ``comparisons/NAME``.

    Raises
    ------
    InvalidArgumentError
        When a file is not valid.
    """
    # Here, since it is what compares methods, and a reader of one table needs none of it.
    from theory_check.runs.comparisons import load_comparisons

    found = {name: load_experiment(path, catalogue) for name, path in catalogue.experiments.items()}
    if catalogue.methods and catalogue.comparisons:
        compared = load_comparisons(list(catalogue.methods), catalogue)
        found |= {f"comparisons/{name}": each for name, each in compared.items()}
    return found


MANIFEST = "manifest.json"
"""Name of the file that says what an exported folder holds."""


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes
    ----------
    tables
        Names of the experiments.
    incomplete
        Of the others, why.
    """

    tables: tuple[str, ...]
    incomplete: Mapping[str, str]


def export_tables(
    directory: str | Path,
    store: str | Path | Store = "results",
    *,
    quick: bool = False,
    any_source: bool = False,
    overwrite: bool = False,
    catalogue: Catalogue | None = None,
) -> Export:
    """Write the tables of all experiments that are complete as CSV and Parquet, with a manifest.

    Parameters
    ----------
    directory
        Folder for ``NAME.csv``, ``NAME.parquet`` and ``manifest.json``; created where there is none.
    store, quick, any_source, catalogue
        As in :func:`load_table`.
    overwrite
        Whether the folder may hold something; files of these names are replaced, no others.

    Returns
    -------
    Export
        What was written. The manifest says of each table the experiment, its measurement and what that
        says of its rows, the number of rows, each column with its type, its unit and, where it is
        stated, its meaning; the digests of the source files; and of incomplete experiments what they
        lack.

    Raises
    ------
    InvalidArgumentError
        For a folder that is not empty, or an experiment file that is not valid; before any work.
    StoreError
        When no experiment is complete, or the folder cannot be written.
    """
    for argument, flag in (("quick", quick), ("any_source", any_source), ("overwrite", overwrite)):
        require_flag(argument, flag)
    folder = as_path("directory", directory, "pass the path of a folder")
    _require_free(folder, overwrite)
    catalogue = installed() if catalogue is None else catalogue
    require_instance("catalogue", catalogue, Catalogue, "pass Catalogue.installed()")
    if not isinstance(store, Store):
        store = Store(store)
    experiments = every_experiment(catalogue)
    instead: Mapping[str, StoredResult] = {}
    if any_source:
        cells = [cell for each in experiments.values() for cell in each.cells(quick)]
        instead = of_other_source(store, cells)
    records: list[dict[str, object]] = []
    incomplete: dict[str, str] = {}
    for name, experiment in experiments.items():
        cells = list(experiment.cells(quick))
        frames = [_frame(cell, store, instead) for cell in cells]
        lacking = [cell for cell, frame in zip(cells, frames, strict=True) if frame is None]
        if lacking or not cells:
            failed = sum(store.read_error(cell.key) is not None for cell in lacking)
            incomplete[name] = (
                f"{len(lacking)} of {len(cells)} cells have no result"
                + (f", {failed} of them failed" if failed else "")
                if cells
                else "it has no cells in this version"
            )
            continue
        table = _joined(cells, frames, instead)
        _write_table(folder, name, table)
        records.append(_record(name, experiment, cells, table, instead))
    if not records:
        raise StoreError(
            f"store: no experiment is complete in {store.path}; run some with: theory-check run NAME"
            f"{' --quick' if quick else ''} --store {store.path}"
        )
    manifest = {
        "format": "theory-check export 1",
        "version": version_of("theory-check"),
        "small_version": quick,
        "tables": records,
        "incomplete": incomplete,
    }
    _write(folder / MANIFEST, json.dumps(manifest, indent=2).encode())
    return Export(tuple(str(each["experiment"]) for each in records), incomplete)


def _require_free(folder: Path, overwrite: bool) -> None:
    if os.path.lexists(folder) and not folder.is_dir():
        raise InvalidArgumentError(
            "directory", shortened(str(folder)), "pass a folder, or a new name"
        )
    try:
        held = sorted(os.listdir(folder)) if folder.is_dir() else []
    except OSError as error:
        raise StoreError(f"cannot read {folder} ({error.strerror})") from error
    if held and not overwrite:
        raise InvalidArgumentError(
            "directory",
            f"{shortened(str(folder))}, which holds {held[0]}",
            "pass an empty or new folder, or --overwrite (overwrite=True)",
        )


def _record(
    name: str,
    experiment: Experiment,
    cells: Sequence[Cell],
    table: pd.DataFrame,
    instead: Mapping[str, StoredResult],
) -> dict[str, object]:
    """Return what the manifest says of a table."""
    measurement = type(cells[0].measurement)
    sources = {
        file: digest
        for cell in cells
        for file, digest in (
            instead[cell.key].sources if cell.key in instead else cell.sources
        ).items()
    }
    meanings = column_meanings(cells)
    units = units_of(measurement.units, [axis for axis, _ in cells[0].axes])
    return {
        "experiment": name,
        "description": experiment.description,
        "measurement": measurement.kind,
        "measured": inspect.getdoc(measurement) or "",
        "files": [f"{name}.csv", f"{name}.parquet"],
        "results": len(cells),
        "rows": len(table),
        "columns": [
            {
                "name": column,
                "type": str(kind),
                "unit": units.get(str(column), ""),
                "meaning": meanings.get(str(column), ""),
            }
            for column, kind in table.dtypes.items()
        ],
        "other_source": table.attrs.get(OTHER_SOURCE, ""),
        "sources": dict(sorted(sources.items())),
    }


def column_meanings(cells: Sequence[Cell]) -> dict[str, str]:
    """Return the meaning of columns by name, of those whose meaning is stated."""
    measurement = type(cells[0].measurement)
    # Other measurements use some of the names for something else.
    traced = "theory_check.recording.recorder" in (inspect.getdoc(measurement) or "")
    return {
        **{axis: _axis_meaning(axis) for axis, _ in cells[0].axes},
        **(COLUMNS if traced else {}),
        "seed": COLUMNS["seed"],
        "problem": "label of the problem in the experiment file",
        "instance": "number of the random instance, where the label stands for a family",
    }


def _axis_meaning(axis: str) -> str:
    if is_of_problems(axis):
        return f"parameter {axis.removeprefix(f'{PROBLEM}.')} of the problem"
    return f"setting {axis} of the measurement"


def _write_table(folder: Path, name: str, table: pd.DataFrame) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), buffer)
    _write(folder / f"{name}.parquet", buffer.getvalue().to_pybytes())
    _write(folder / f"{name}.csv", table.to_csv(index=False).encode())


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise StoreError(f"cannot write {path} ({error.strerror}); pass another folder") from error
