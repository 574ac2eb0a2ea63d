"""Whether the bound epsilon^(-7/2) is loose, and by which of its terms."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from theory_check.analysis.conclusions.base import Conclusion
from theory_check.analysis.equal_accuracy import savings_by_problem
from theory_check.analysis.verdict import Verdict

SMOOTH = ("tight", "holds", "faster")


def compose(verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the verdict on the schedule's own rate, the cause, and its cost on each problem."""
    smoothness, own = verdicts["penalty-smoothness"], verdicts["total-7/2"]
    costs = [
        f"{found.ratio:.1f} [{found.low:.1f}, {found.high:.1f}] on {problem} (at {found.accuracy:.2g})"
        for problem, found in savings_by_problem(tables["total-3"], tables["total-7/2"]).items()
    ]
    paid = f"at equal accuracy it draws {', '.join(costs)} times the samples of total-3"
    exponents = ", ".join(
        f"{record['exponent']:.3f} [{record['low']:.3f}, {record['high']:.3f}] on {record['problem']}"
        for record in smoothness.measured
        if "exponent" in record
    )
    if smoothness.status in SMOOTH:
        cause = (
            "The bound epsilon^(-7/2) is loose by its optimisation term: T = epsilon^(-3/2) pays for a "
            "Lipschitz constant of order 1/sigma of ∇Phi_sigma, and the measured one does not grow "
            f"with 1/sigma (exponents {exponents}; 1 is what the schedule pays for)"
        )
    else:
        cause = (
            "Whether the bound epsilon^(-7/2) is loose by its optimisation term is not decided: "
            f"penalty-smoothness is {smoothness.status} (exponents of the Lipschitz constant in "
            f"1/sigma {exponents or 'not fitted'})"
        )
    return [f"total-7/2 by itself is {own.status}. {cause}; {paid}."]


CONCLUSION = Conclusion("loose-term", ("total-7/2", "total-3", "penalty-smoothness"), compose)
