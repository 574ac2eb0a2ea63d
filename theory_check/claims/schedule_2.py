"""The schedule of the penalty method with one shared batch suffices."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.schedule_3 import RATE as INDEPENDENT

RATE = replace(INDEPENDENT, where={"schedule": "total-2"})

CLAIM = Claim(
    id="schedule-2",
    statement="With one shared, reweighted batch, sigma = epsilon^(1/2), T = 1/epsilon, a constant "
    "step and n = B = 1/epsilon keep the mean ‖∇Phi‖² of the second half below 2 epsilon at every "
    "target: O~(epsilon^-2) samples suffice",
    source="docs/theory.md section 5.3, with the variance of section 4.4",
    provenance="D",
    kind="measured",
    otherwise="Yes: the inner iterates have to stay O(sigma) apart along the run, which nothing proves.",
    assumptions=(
        "lambda_sigma - lambda* = O(sigma), so that the policy ratios stay bounded",
        "∇Phi_sigma is Lipschitz uniformly in sigma",
        "the lower level converges linearly",
    ),
    experiment="schedule-2",
    rates=(RATE,),
    audits=(
        "lower-pl",
        "error-bound",
        "outer-step",
        "inner-step",
        "weak-gradient-domination",
        "policy-support",
    ),
)
