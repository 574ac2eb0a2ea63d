"""Keep what a sweep expects cells to take where they were never run: seconds per relative cost.

python docs/record_seconds.py results
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path

from theory_check.catalogue import Catalogue
from theory_check.runs import Cell, Store
from theory_check.runs.holdings import measured_seconds
from theory_check.runs.progress import USUAL
from theory_check.runs.tables import every_experiment

DIGITS = 2


def usual(cells: Iterable[tuple[Cell, float]]) -> dict[str, float]:
    """Return seconds per relative cost by experiment, from what cells of each took."""
    taken: dict[str, tuple[float, float]] = {}
    for cell, seconds in cells:
        cost, so_far = taken.get(cell.experiment, (0.0, 0.0))
        taken[cell.experiment] = cost + cell.measurement.relative_cost(), so_far + seconds
    return {
        name: float(f"{seconds / cost:.{DIGITS}g}")
        for name, (cost, seconds) in sorted(taken.items())
        if cost > 0 and math.isfinite(seconds)
    }


def main(path: str) -> None:
    """Write the file from a store of the full study; experiments that it lacks keep what they had."""
    experiments = every_experiment(Catalogue.shipped())
    cells = {cell.key: cell for each in experiments.values() for cell in each.full}
    took = measured_seconds(Store(Path(path)), cells.values())
    found = json.loads(USUAL.read_text(encoding="utf-8"))
    found |= usual((cells[key], seconds) for key, seconds in took.items())
    shipped = {cell.experiment for cell in cells.values()}
    kept = {name: found[name] for name in sorted(found.keys() & shipped)}
    USUAL.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
