"""The table of an experiment by a name that a reader has: its own, a claim's, or what a claim selects."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from theory_check.catalogue import Catalogue, installed
from theory_check.catalogue.catalogue import experiment_file
from theory_check.errors import InvalidArgumentError, nearest, require_instance, require_text
from theory_check.measurements.units import units_of
from theory_check.runs.spec import load_experiment
from theory_check.runs.store import Store
from theory_check.runs.tables import column_meanings, load_table

if TYPE_CHECKING:
    import pandas as pd

    from theory_check.claims.base import Claim

UNITS, COLUMNS, MEASURED = "units", "columns", "measured"
EXPERIMENT, DESCRIPTION, CLAIMS = "experiment", "description", "claims"
"""Keys of the attributes of a table that was loaded."""


def load(
    name: str,
    store: str | Path | Store = "results",
    *,
    quick: bool = False,
    any_source: bool = False,
    catalogue: Catalogue | None = None,
) -> pd.DataFrame:
    """Return the tidy table of a stored experiment, which says what its columns are.

    Parameters
    ----------
    name
        Of an experiment, such as ``"schedule-3"``; of a claim, for the experiment that is its evidence;
        or of what claims select in a table, such as the schedule ``"total-3"``: then of the claim with
        the shortest name that should hold and selects it.
    store, quick, any_source, catalogue
        As in :func:`~theory_check.runs.tables.load_table`.

    Returns
    -------
    pandas.DataFrame
        As from ``load_table``, with attributes: ``"units"`` the unit of each column, ``"1"`` for pure
        numbers and ``"text"`` for words (``theory_check.measurements.units.MEANING``); ``"columns"`` the
        meaning of those that are described one by one; ``"measured"`` what the measurement says of its
        rows and of all columns; ``"experiment"`` and ``"description"``; ``"claims"`` the ids of the
        claims that are judged on it.

    Raises
    ------
    InvalidArgumentError
        For a name that stands for nothing, with the nearest that does.
    StoreError
        When a cell has no result.
    """
    require_text("name", name)
    catalogue = installed() if catalogue is None else catalogue
    require_instance("catalogue", catalogue, Catalogue, "pass Catalogue.installed()")
    found = experiment_of(name, catalogue)
    experiment = load_experiment(experiment_file(found, catalogue), catalogue)
    table = load_table(experiment, store, quick=quick, any_source=any_source, catalogue=catalogue)
    cells = experiment.cells(quick)
    measurement = type(cells[0].measurement)
    names = [str(column) for column in table.columns]
    for key, stated in (
        (UNITS, units_of(measurement.units, [axis for axis, _ in cells[0].axes])),
        (COLUMNS, column_meanings(cells)),
    ):
        table.attrs[key] = {name: stated[name] for name in names if name in stated}
    table.attrs[MEASURED] = inspect.getdoc(measurement) or ""
    table.attrs[EXPERIMENT] = found
    table.attrs[DESCRIPTION] = experiment.description
    table.attrs[CLAIMS] = [
        claim.id for claim in catalogue.claims.values() if claim.experiment == found
    ]
    return table


def experiment_of(name: str, catalogue: Catalogue) -> str:
    """Return the experiment that a name stands for; raises as :func:`load`."""
    if name in catalogue.experiments:
        return name
    if name in catalogue.claims:
        return str(catalogue.claims[name].experiment)
    claims: list[Claim] = list(catalogue.claims.values())
    about = [
        claim
        for claim in claims
        if claim.expected == "holds"
        and any(name in map(str, rate.where.values()) for rate in claim.rates)
    ]
    if about:
        return min(about, key=lambda claim: (len(claim.id), claim.id)).experiment
    selected = {
        value
        for claim in claims
        for rate in claim.rates
        for value in rate.where.values()
        if isinstance(value, str)
    }
    known = [*catalogue.experiments, *catalogue.claims, *sorted(selected)]
    raise InvalidArgumentError("name", repr(name), nearest(name, known))
