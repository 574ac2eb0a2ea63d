"""The landscape of SAIL's objective: Polyak-Lojasiewicz inequalities on balls of policies."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import InequalityRate
from theory_check.thresholds import NO_SLOPE

ASSUMPTIONS = (
    "tabular softmax policies, logits in balls around those of the reference policy",
    "F_c* is the least value found in the ball, which favours the inequality",
    "the policies that were looked at: another may have a smaller ratio",
)


def rate_of(pull: float) -> InequalityRate:
    """Return the inequality for ``c = pull beta``."""
    return InequalityRate(
        name="without" if pull == 0 else f"c = {pull:g} beta",
        x="radius",
        y="constant",
        low=NO_SLOPE,
        high=None,
        allowed_share=0.0,
        x_symbol=r"$\rho$, radius of the ball in logits",
        y_symbol=r"$\min \|\nabla F_c\|^2 / 2(F_c - F_c^*)$",
        where={"pull": pull},
    )


SAIL_PL = Claim(
    id="sail-pl",
    statement="On balls of logits ‖∇F_c‖² >= 2 mu (F_c - F_c*) with some mu > 0, F_c the objective of "
    "SAIL plus c KL(pi ‖ pi_ref), for c = 0 and up to c = beta",
    source="arXiv 2606.31524, abstract: with the divergence, on a bounded set; set and c are chosen here",
    provenance="R",
    kind="open",
    otherwise="Yes: a stationary point in the ball other than its minimum refutes every mu.",
    assumptions=ASSUMPTIONS,
    experiment="sail-pl",
    expected="open",
    rates=tuple(rate_of(pull) for pull in (0.0, 0.1, 0.3, 1.0)),
)

SAIL_PL_PULLED = Claim(
    id="sail-pl-pulled",
    statement="At c = 2 beta, from where on no policy descends towards a deterministic one, "
    "‖∇F_c‖² >= 2 mu (F_c - F_c*) with some mu > 0 on balls of logits up to radius 8",
    source="docs/theory.md section 7.11",
    provenance="D",
    kind="measured",
    otherwise="Yes: the derivation speaks of nearly deterministic policies alone, and there may be other "
    "stationary points.",
    assumptions=ASSUMPTIONS,
    experiment="sail-pl",
    rates=(rate_of(2.0),),
)
