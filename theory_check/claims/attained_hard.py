"""What the tuned penalty method needs where the bounds bind."""

from dataclasses import replace

from theory_check.claims.attained_2 import RATE as SHARED
from theory_check.claims.attained_3 import RATE as INDEPENDENT
from theory_check.claims.base import Claim

CLAIM = Claim(
    id="attained-hard",
    statement="On plateau and valley the penalty method, tuned over T, K, sigma, batches and the outer "
    "step, needs epsilon^-3 samples with independent batches and epsilon^-2 with a shared one",
    source="docs/theory.md section 6.4",
    provenance="D",
    kind="measured",
    otherwise="Yes: constants that change with the target could have bought a smaller exponent; "
    "closed forms of bias and noise say that constant settings of this method cannot.",
    assumptions=(
        "constant settings and one scalar step: annealed settings reach less on the plateau",
        "the inner step is held: slow inner loops average noise, a constant factor in the end",
        "the search finds the cheapest setting to within its resolution",
    ),
    experiment="attained-hard",
    rates=(replace(INDEPENDENT, name="independent"), replace(SHARED, name="shared")),
)
