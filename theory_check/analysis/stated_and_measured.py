"""Exponents of constants: what sources state, what is derived, and what is measured, side by side."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from theory_check.analysis.conclusions import Conclusion
from theory_check.analysis.verdict import Verdict
from theory_check.claims.rates import UpperBoundRate

VARIED: Mapping[str, tuple[str, ...]] = {
    "1/beta": ("constants-kl-stated", "constants-kl", "constants-kl-coverage"),
    "H": ("constants-horizon-stated", "constants-horizon"),
    "1/(1-gamma)": ("constants-discount-stated", "constants-discount"),
    "S, contexts": ("constants-states-stated", "constants-states"),
    "S, Garnet": ("constants-states-garnet",),
    "A": ("constants-actions-stated", "constants-actions"),
}
"""Claims by what their experiments vary; those whose ids end in ``-stated`` are of sources."""

STATED = "-stated"


def compose_exponents(
    verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]
) -> list[str]:
    """Return one sentence per constant of the problem, instance family and quantity."""
    sentences = []
    for varied, claims in VARIED.items():
        limits: dict[tuple[str, str], dict[str, float]] = {}
        measured: dict[tuple[str, str], str] = {}
        for claim in claims:
            verdict = verdicts[claim]
            bounds = {
                rate.name: rate.exponent
                for rate in verdict.claim.rates
                if isinstance(rate, UpperBoundRate)
            }
            for found in verdict.rates:
                if found.rate not in bounds:
                    continue
                at = found.problem, found.rate
                by = "stated" if claim.endswith(STATED) else "derived"
                limits.setdefault(at, {})[by] = bounds[found.rate]
                estimate = found.numbers.estimate
                measured[at] = "not measured" if estimate is None else f"measured {estimate:.2f}"
        sentences += [
            f"{varied}, {problem}, {quantity}: {_at_most(limits[problem, quantity])}, {text}."
            for (problem, quantity), text in measured.items()
        ]
    return sentences


def _at_most(limits: Mapping[str, float]) -> str:
    return ", ".join(
        f"{by} at most {limits[by]:g}" if by in limits else f"nothing {by}"
        for by in ("stated", "derived")
    )


CONSTANTS = Conclusion(
    "constants", tuple(claim for claims in VARIED.values() for claim in claims), compose_exponents
)
