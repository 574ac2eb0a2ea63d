"""Negative control: a coupled estimate at iterates of inner loops with batches of their own."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.gradient_noise_coupled_runs import GROWTHS

CLAIM = Claim(
    id="control-separate-inner-batches",
    statement="Sharing the batch of the estimate would do, with separate batches in the two inner loops; "
    "their noise leaves the iterates apart by what does not fall with sigma, and the variance grows.",
    source="docs/theory.md section 6.3",
    provenance="D",
    kind="measured",
    otherwise="No: independent noise does not cancel; only a defect of the judge, or batches so large "
    "that the noise is below sigma, could miss it.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="noise-along-runs",
    # The rules are those of the claim it guards, or catching it would say nothing about that one.
    rates=tuple(replace(rate, where={"inner_coupling": "independent"}) for rate in GROWTHS),
    expected="violated",
)
