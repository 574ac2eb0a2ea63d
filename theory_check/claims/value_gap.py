"""What a wrong reward costs in value, in problems of one step."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.rates import CurveRate, RatioRate

VALUE_GAP_RATE = CurveRate(
    name="largest variance on the segment",
    x="scale",
    y="gap",
    bound="bound",
    x_symbol=r"$\mathrm{sd}(\hat r - r^*)$",
    y_symbol=r"$J^* - J(\pi_{\hat r})$",
)

VALUE_GAP = Claim(
    id="value-gap",
    statement="In problems of one step J*(r*) - J(r*, pi_rhat) <= E_x max Var_{pi_f}(rhat - r*) / "
    "(2 beta), the largest over rewards f between rhat and r*",
    source="docs/theory.md section 5.13; the form is that of arXiv 2411.04625, Lemma 3.9",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect: it is Taylor's theorem for the logarithm of the partition function.",
    assumptions=("one step, KL weight greater than 0, the policy optimal for rhat",),
    experiment="value-gap",
    rates=(VALUE_GAP_RATE,),
)

CONTROL_VALUE_GAP = Claim(
    id="control-value-gap",
    statement="Half of that bound would do, or the variance under pi* in the place of the largest.",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="proved inequality",
    otherwise="No: for small errors gap and bound agree, and half of all errors have the larger variance "
    "elsewhere.",
    assumptions=("none: the statements are false, and have to be found so",),
    experiment="value-gap",
    rates=(
        replace(VALUE_GAP_RATE, name="half of the bound", factor=0.5),
        replace(VALUE_GAP_RATE, name="variance at the optimum", bound="bound_at_optimum"),
    ),
    expected="violated",
)

MAXIMUM_LIKELIHOOD_RATE = RatioRate(
    name="n from 1e3",
    x="pairs",
    y="gap",
    predicted="predicted",
    within=0.1,
    rivals=(0.5, 2.0),
    x_symbol="$n$",
    y_symbol=r"$\mathbb{E}\,\mathrm{gap}\;/\;(\mathrm{tr}(M F^+)/2\beta n)$",
    where={"law": "uniform"},
)

VALUE_GAP_MAXIMUM_LIKELIHOOD = Claim(
    id="value-gap-maximum-likelihood",
    statement="The maximum-likelihood reward of n uniform labelled pairs costs tr(M F^+)/(2 beta n) in "
    "the mean, within a tenth from n = 1e3 on",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="identity",
    otherwise="No: the first order of an asymptotic expansion; only a defect, or an n too small for it, "
    "could show another ratio.",
    assumptions=(
        "one step, a free number for every state and action",
        "a finite maximiser exists in every replicate",
    ),
    experiment="value-gap-maximum-likelihood",
    rates=(MAXIMUM_LIKELIHOOD_RATE,),
)

CONTROL_VALUE_GAP_MAXIMUM_LIKELIHOOD = Claim(
    id="control-value-gap-maximum-likelihood",
    statement="The mean cost would be twice that, the 1/2 forgotten.",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="identity",
    otherwise="No: the ratio is 1 and not 2.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="value-gap-maximum-likelihood",
    rates=(replace(MAXIMUM_LIKELIHOOD_RATE, name="twice", stated=2.0, rivals=(1.0, 4.0)),),
    expected="violated",
)

CONTROL_VALUE_GAP_SKEWED = Claim(
    id="control-value-gap-skewed",
    statement="The same would hold from n = 1e3 on whatever the pairs: here those of actions whose "
    "probability falls over three decades, the reward under a wide prior.",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="identity",
    otherwise="No: rare actions are compared a few times, and the expansion has not begun.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-value-gap-skewed",
    rates=(
        replace(
            MAXIMUM_LIKELIHOOD_RATE,
            name="skewed, n from 1e3",
            y="gap_with_prior",
            where={"law": "skewed"},
        ),
    ),
    expected="violated",
)
