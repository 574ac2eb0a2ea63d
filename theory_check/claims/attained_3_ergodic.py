"""What the tuned penalty method with independent batches needs for the ergodic mean of the theorems."""

from dataclasses import replace

from theory_check.claims.attained_3 import RATE
from theory_check.claims.base import Claim

CLAIM = Claim(
    id="attained-3-ergodic",
    statement="Tuned over its own constants, the penalty method with independent batches needs "
    "epsilon^-3 samples on natural problems for the ergodic mean of ‖∇Phi‖², as its bound allows",
    source="docs/theory.md section 5.12; the bound is that of schedule-3",
    provenance="D",
    kind="measured",
    otherwise="Yes: the bound says at most epsilon^-3. Where gradients fall geometrically the ergodic "
    "mean is a constant over T, which asks for 1/epsilon iterations whatever the batches are.",
    assumptions=("the search finds the cheapest setting to within its resolution",),
    experiment="attained-ergodic",
    rates=(
        replace(
            RATE,
            name="ergodic",
            minimum_decades=1.5,
            where={"method": "penalty", "accuracy": "ergodic"},
        ),
    ),
)
