"""The experiment files that come with the package, each read once by a process."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from theory_check.catalogue import Catalogue, installed
from theory_check.runs import Experiment, load_experiment
from theory_check.runs.comparisons import AXIS, FOLDER

SHIPPED = Catalogue.shipped()
FILES = sorted([*SHIPPED.experiments.values(), *SHIPPED.comparisons.values()])


@cache
def experiment_in(path: Path) -> Experiment:
    """Return what a file says; of a comparison, which does not name the methods, with all of them."""
    compared = path.parent.name == Path(FOLDER).name
    return load_experiment(path, axes={AXIS: list(installed().methods)} if compared else None)
