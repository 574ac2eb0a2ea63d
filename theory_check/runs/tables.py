"""From the store back to one tidy table per experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from theory_check.catalogue import Catalogue, installed
from theory_check.errors import StoreError, require_flag
from theory_check.runs.locations import experiment_file
from theory_check.runs.spec import Experiment, load_experiment
from theory_check.runs.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from theory_check.runs.spec import Cell


def load_table(
    experiment: str | Path | Experiment,
    store: str | Path | Store,
    *,
    quick: bool = False,
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
    catalogue
        The experiments and components that there are; all that is installed when absent.

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
    if not isinstance(experiment, Experiment):
        catalogue = installed() if catalogue is None else catalogue
        experiment = load_experiment(experiment_file(experiment, catalogue), catalogue)
    return load_cells(experiment.cells(quick), store, quick=quick)


def load_cells(
    cells: Sequence[Cell], store: str | Path | Store, *, quick: bool = False
) -> pd.DataFrame:
    """Return the results of some cells of one experiment, as :func:`load_table` does of all.

    Raises
    ------
    StoreError
        When a cell has no result.
    """
    import pandas as pd

    if not isinstance(store, Store):
        store = Store(store)
    frames = [_frame(cell, store) for cell in cells]
    present = [frame for frame in frames if frame is not None]
    if len(present) < len(cells):
        name = cells[0].experiment
        raise StoreError(
            f"{name}: {len(cells) - len(present)} of {len(cells)} cells have no result "
            f"in {store.path}; run them with: theory-check run {name}"
            f"{' --quick' if quick else ''} --store {store.path}"
        )
    table = pd.concat(present, ignore_index=True)
    if any(cell.instance is not None for cell in cells):
        numbers = pd.Series([cell.instance for cell in cells], dtype="Int64")
        rows = np.repeat(np.arange(len(cells)), [len(frame) for frame in present])
        table.insert(2, "instance", numbers[rows].array)
    return table


def _frame(cell: Cell, store: Store) -> pd.DataFrame | None:
    table = store.read(cell.key)
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
