"""What the shared batch saves."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from theory_check.analysis.conclusions.base import Conclusion
from theory_check.analysis.equal_accuracy import saving
from theory_check.analysis.verdict import Verdict


def compose(verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return one sentence per problem."""
    sentences = []
    shared, independent = tables["total-2"], tables["total-3"]
    for problem in shared["problem"].unique():
        cheap, dear = (table[table["problem"] == problem] for table in (shared, independent))
        if dear.empty:
            continue
        found = saving(cheap, dear)
        sentences.append(
            f"{problem}: at ‖∇Phi‖² = {found.accuracy:.2g}, the best that both reach, one shared batch "
            f"(total-2) needs {found.ratio:.0f} [{found.low:.0f}, {found.high:.0f}] times fewer samples "
            "than independent ones (total-3)."
        )
    return sentences


CONCLUSION = Conclusion("coupling-saving", ("total-2", "total-3"), compose)
