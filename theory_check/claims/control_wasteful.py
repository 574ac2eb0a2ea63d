"""Negative control: bounds planted too high have to be found loose."""

from dataclasses import replace

from theory_check.claims.attained_3 import RATE
from theory_check.claims.base import Claim

CLAIM = Claim(
    id="control-wasteful",
    statement="On plateau and valley independent batches would need epsilon^(-7/2) or epsilon^-4 "
    "samples, as the schedules with batches of order epsilon^(-5/2) and epsilon^-3 draw.",
    source="docs/theory.md section 6.4",
    provenance="D",
    kind="measured",
    otherwise="No: schedule-3 suffices with less; only a defect of the search or of the judge could "
    "miss it.",
    assumptions=("none: the statements are false, and have to be found loose",),
    experiment="attained-hard",
    rates=tuple(
        replace(RATE, name=name, exponent=exponent, rivals=(3.0,), schedule={}, minimum_decades=1.0)
        for name, exponent in (("7/2", 3.5), ("4", 4.0))
    ),
    expected="faster",
)
