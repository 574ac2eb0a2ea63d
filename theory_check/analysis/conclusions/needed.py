"""Per schedule: whether it suffices, and whether it is needed, on natural problems and in the class."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from theory_check.analysis.conclusions.base import Conclusion
from theory_check.analysis.rate_verdict import RateVerdict
from theory_check.analysis.verdict import Verdict

SCHEDULES = {
    "7/2": (("schedule-7/2", "schedule-7/2-hard"), None, None),
    "3": (("schedule-3", "schedules-hard"), "attained-3", "independent"),
    "2": (("schedule-2", "schedule-2-hard"), "attained-2", "shared"),
}
"""Claims that it suffices, the claim on natural problems, and the rate within ``attained-hard``."""


def compose(verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return one sentence per schedule."""
    sentences = []
    for exponent, (sufficient, natural, hard) in SCHEDULES.items():
        rates = [
            rate
            for claim in sufficient
            for rate in verdicts[claim].rates
            if not rate.rate.startswith("wasteful")
        ]
        kept = sum(rate.status == "holds" for rate in rates)
        text = (
            f"epsilon^-{exponent}: sufficient on {kept} of {len(rates)} problems ({_ratios(rates)})"
        )
        if natural is None or hard is None:
            text += "; not needed, since the schedule of epsilon^-3 suffices with less"
        else:
            text += f"; needed on natural problems? {_needed(verdicts[natural].rates)}"
            in_class = [rate for rate in verdicts["attained-hard"].rates if rate.rate == hard]
            text += f"; needed in the class? {_needed(in_class)}"
        sentences.append(f"{text}.")
    return sentences


def _ratios(rates: list[RateVerdict]) -> str:
    """Return the accuracy over the target, first to last, on every problem."""
    parts = []
    for rate in rates:
        ratio = rate.measured.get("ratio")
        if isinstance(ratio, list):
            parts.append(f"{rate.problem} {ratio[0]:.2g} to {ratio[-1]:.2g}")
    return f"accuracy over target: {', '.join(parts)}" if parts else "not measured"


def _needed(rates: tuple[RateVerdict, ...] | list[RateVerdict]) -> str:
    parts = []
    for rate in rates:
        numbers = [rate.measured.get(key) for key in ("exponent", "low", "high")]
        if all(isinstance(number, float) for number in numbers):
            centre, low, high = (float(str(number)) for number in numbers)
            parts.append(f"{rate.problem} {centre:.2f} [{low:.2f}, {high:.2f}], {rate.status}")
        else:
            parts.append(f"{rate.problem} {rate.status}")
    return ", ".join(parts)


CONCLUSION = Conclusion(
    "needed",
    tuple(
        dict.fromkeys(
            [
                *(claim for claims, _, _ in SCHEDULES.values() for claim in claims),
                *(natural for _, natural, _ in SCHEDULES.values() if natural is not None),
                "attained-hard",
            ]
        )
    ),
    compose,
)
