"""The lower bound on the zero chain, as an inequality about every run."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import InequalityRate

BOUND_METHODS = ("reference", "penalty", "penalty-shared", "f2sa", "f3sa", "parl")

SMALLEST_CHANCE = 1e-6
"""A run that keeps the bound falls below it with this probability: one of 192 with 2e-4."""


def rate_of(method: str) -> InequalityRate:
    """Return the inequality for the runs of a method."""
    return InequalityRate(
        name=method,
        x="epsilon",
        y="chance",
        low=SMALLEST_CHANCE,
        high=None,
        allowed_share=0.0,
        x_symbol=r"$\epsilon$",
        y_symbol=r"$P(\tau_k \leq \mathrm{samples})$",
        where={"method": method},
    )


ZERO_CHAIN_LOWER_BOUND = Claim(
    id="zero-chain-lower-bound",
    statement="On the zero chain k links take at least as many lower-level samples as k successes of "
    "probability p, and ‖∇Phi‖² <= epsilon takes all T = Theta(Delta kappa² / epsilon) links, p = "
    "Theta(epsilon² / (kappa^4 noise²)): with shared batches too",
    source="docs/theory.md section 6.5; the construction is that of arXiv 2609.21905",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect, or by a method that sees links without a success for each: the "
    "control has two that do.",
    assumptions=(
        "the points at which a batch is evaluated are chosen before it is drawn",
        "iterates are combinations of the gradients seen, from 0 and y*(0)",
    ),
    experiment="zero-chain",
    rates=tuple(rate_of(method) for method in BOUND_METHODS),
)

CONTROL_ZERO_CHAIN = Claim(
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
