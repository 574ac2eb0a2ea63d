"""Overoptimisation: what is lost beyond a peak, and whether the bilevel response delays it."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import InequalityRate

METHODS = (
    "exact",
    "penalty-shared",
    "alternating",
    "offline",
    "two-stage",
    "online-dpo",
    "dpo-rounds",
)
"""Those whose learned rewards are optimised."""

BEYOND = 0.01
"""Share of what is attainable above the reference policy; that much less counts as lost."""

SAME = 0.02
"""Difference of distances, root nats, that the grid of KL weights does not resolve."""

SCARCE = 100
"""Labelled pairs of every upper gradient, or of the data set, at which the statements are judged."""

ASSUMPTIONS = (
    "the problems of the experiment, whose true rewards lie outside of the class",
    "one plan for each method, at the centre of its grid",
    "policies of a few states and actions: the divergence is bounded",
)


def lost_by(method: str) -> InequalityRate:
    """Return the inequality that says that a method's reward is overoptimised along the budget."""
    return InequalityRate(
        name=method.replace(" ", "-"),
        x="kl_weight",
        y="lost",
        low=BEYOND,
        high=None,
        allowed_share=0.125,
        x_symbol=r"$\beta$, KL weight",
        y_symbol="$L$, share of the attainable return lost beyond the peak",
        where={"method": method, "path": "budget", "pairs": SCARCE},
    )


def delayed(method: str, path: str) -> InequalityRate:
    """Return the inequality that says that the peak of a method with the response is no earlier."""
    return InequalityRate(
        name=f"{method}, {path}",
        x="kl",
        y="delay",
        low=-SAME,
        high=None,
        allowed_share=0.125,
        x_symbol=r"$\mathrm{KL}(\pi\,\|\,\pi_{\mathrm{ref}})$",
        y_symbol="$d$ of the peak less that of alternating",
        where={"method": method, "path": path, "pairs": SCARCE},
    )


OVEROPTIMISATION = Claim(
    id="overoptimisation",
    statement="Along the KL budget of its last reward every method loses more than 1 % of the attainable "
    "true return beyond a peak, for 7 of 8 seeds",
    source="arXiv 2210.10760, for learned rewards of language models; the level is chosen here",
    provenance="R",
    kind="open",
    otherwise="Yes: a wrong reward whose best policy is a good one loses nothing.",
    assumptions=ASSUMPTIONS,
    experiment="overoptimisation",
    expected="open",
    rates=tuple(lost_by(method) for method in METHODS),
)

OVEROPTIMISATION_DELAY = Claim(
    id="overoptimisation-delay",
    statement="The bilevel response delays the peak: the divergence at which the true return of the "
    "penalty method, and of the exact hypergradient, is largest is at least that of alternating "
    "learning, for 7 of 8 seeds, along the budget and along the run",
    source="arXiv 2410.15610, motivation (data that shift with the policy); quantity of arXiv 2210.10760",
    provenance="R",
    kind="open",
    otherwise="Yes: the response changes which reward is learned, and no theorem says to which side.",
    assumptions=ASSUMPTIONS,
    experiment="overoptimisation",
    expected="open",
    rates=tuple(
        delayed(method, path)
        for method in ("exact", "penalty-shared")
        for path in ("budget", "training")
    ),
)

CONTROL_OVEROPTIMISATION = Claim(
    id="control-overoptimisation",
    statement="The true reward itself would lose more than 1 % of the attainable return beyond a peak "
    "along its KL budget",
    source="docs/theory.md section 7.14",
    provenance="D",
    kind="measured",
    otherwise="No: it must be found violated; the return of a reward rises with the divergence of its "
    "own optimal policies.",
    assumptions=("none: exact policies of the true reward",),
    experiment="overoptimisation",
    expected="violated",
    rates=(lost_by("true reward"),),
)
