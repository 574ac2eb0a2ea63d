"""The schedule with a step that shrinks like sigma suffices."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.schedule_3 import RATE

CLAIM = Claim(
    id="schedule-7/2",
    statement="sigma = epsilon^(1/2), T = epsilon^(-3/2), a step of order sigma and n = B = "
    "epsilon^-2 keep the mean ‖∇Phi‖² of the second half below 2 epsilon at every target: "
    "O(epsilon^(-7/2)) samples suffice",
    source="arXiv 2410.15610, headline; its schedule reconstructed from arXiv 2309.01753",
    provenance="R",
    kind="proved inequality",
    otherwise="Only by a defect or a failed assumption: it asks more than schedule-3 does.",
    assumptions=(
        "∇Phi_sigma is Lipschitz with a constant of at most O(1/sigma)",
        "the lower level converges linearly",
    ),
    experiment="schedule-7-2",
    rates=(replace(RATE, where={"schedule": "total-7/2"}),),
    audits=(
        "lower-pl",
        "error-bound",
        "weak-gradient-domination",
        "outer-step",
        "inner-step",
    ),
)
