"""What the neural classes cannot represent, class error apart from optimisation error."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from theory_check.analysis.conclusions.base import Conclusion
from theory_check.analysis.verdict import Verdict

VANISHED = 1e-6


def compose(verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return one sentence per problem, class and activation."""
    groups = tables["neural-bias"].groupby(
        ["problem", "parametric_class", "activation"], sort=False
    )
    return [
        _sentence(str(problem), str(parametric_class), str(activation), rows)
        for (problem, parametric_class, activation), rows in groups
    ]


def _sentence(problem: str, parametric_class: str, activation: str, rows: pd.DataFrame) -> str:
    medians = rows.groupby("width")["floor"].median()
    curve = ", ".join(f"{value:.2g} (w = {width})" for width, value in medians.items())
    text = f"{problem}, {parametric_class} class, {activation}: median floor {curve}."
    open_floors = rows[rows["floor"] > VANISHED]
    if open_floors.empty:
        return text
    floor = open_floors["floor"]
    late = (open_floors["late_decrease"] / floor).quantile(0.9)
    spread = (open_floors["median_random"] / floor).median()
    nested = (open_floors["start"] == "nested").mean()
    return (
        f"{text} Optimisation error where the floor exceeds {VANISHED:g}: nine in ten of the best fits "
        f"gained at most {late:.0%} of their value in the second half of the iterations, the median "
        f"random start ended at {spread:.2f} times the best, and {nested:.0%} of the best began from the "
        "narrower network."
    )


CONCLUSION = Conclusion("neural-bias", ("neural-bias",), compose)
