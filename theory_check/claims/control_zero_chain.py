"""Negative controls: what sees links of the zero chain without a success for each."""

from theory_check.claims.base import Claim
from theory_check.claims.zero_chain_lower_bound import rate_of

CLAIM = Claim(
    id="control-zero-chain",
    statement="AHO, given the exact response of the lower level, and descent that evaluates one batch at "
    "all of its iterates would keep the lower bound of the zero chain; both see links without a success "
    "for each.",
    source="docs/theory.md section 6.5",
    provenance="D",
    kind="proved inequality",
    otherwise="No: both see all links with fewer successes than there are links, once the chain is long "
    "enough; only a defect of the judge could miss it.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="zero-chain",
    # The rule that the other methods pass.
    rates=(rate_of("aho"), rate_of("reference-reused")),
    expected="violated",
)
