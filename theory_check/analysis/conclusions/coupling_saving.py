"""What the shared batch saves."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from theory_check.analysis.conclusions.base import Conclusion
from theory_check.analysis.equal_accuracy import savings_by_problem
from theory_check.analysis.verdict import Verdict


def compose(verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return one sentence per problem."""
    return [
        f"{problem}: at ‖∇Phi‖² = {found.accuracy:.2g}, the best that both reach, one shared batch "
        f"(total-2) needs {found.ratio:.0f} [{found.low:.0f}, {found.high:.0f}] times fewer samples "
        "than independent ones (total-3)."
        for problem, found in savings_by_problem(tables["total-2"], tables["total-3"]).items()
    ]


CONCLUSION = Conclusion("coupling-saving", ("total-2", "total-3"), compose)
