"""From an experiment file to results on disk: validated, cut into cells, executed, resumed."""

from theory_check.runs.backends.local import WorkerDiedError
from theory_check.runs.execute import Failure, Report, execute
from theory_check.runs.spec import Cell, Experiment, load_experiment
from theory_check.runs.store import Store
from theory_check.runs.tables import load_table

__all__ = [
    "Cell",
    "Experiment",
    "Failure",
    "Report",
    "Store",
    "WorkerDiedError",
    "execute",
    "load_experiment",
    "load_table",
]
