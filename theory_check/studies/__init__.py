"""Studies as a whole: claims judged and methods compared, with all that is missing run before."""

from theory_check.runs.execute import RunOptions
from theory_check.studies.comparison import Compared, compare
from theory_check.studies.verification import (
    FailedCellsError,
    Judgement,
    Results,
    conclude,
    evidence_for,
    sweep,
    verify,
)

__all__ = [
    "Compared",
    "FailedCellsError",
    "Judgement",
    "Results",
    "RunOptions",
    "compare",
    "conclude",
    "evidence_for",
    "sweep",
    "verify",
]
