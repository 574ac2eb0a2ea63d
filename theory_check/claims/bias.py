"""Bias and smoothness of the penalty reformulation, and lower levels whose bias is in closed form."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.rates import PowerRate

BIAS_RATES = (
    PowerRate(
        name="gradient",
        x="sigma",
        y="gradient_bias",
        exponent=1.0,
        reciprocal=False,
        limit="zero",
        better="larger",
        resolution=0.02,
        rivals=(0.5, 2.0),
        y_units="norm",
        x_symbol=r"$\sigma$",
        y_symbol=r"$\|\nabla\Phi_\sigma - \nabla\Phi\|$",
        correction="quadratic",
    ),
    PowerRate(
        name="value",
        x="sigma",
        y="value_bias",
        exponent=1.0,
        reciprocal=False,
        limit="zero",
        better="larger",
        resolution=0.02,
        rivals=(0.5, 2.0),
        y_units="value",
        x_symbol=r"$\sigma$",
        y_symbol=r"$|\Phi_\sigma - \Phi|$",
        correction="quadratic",
    ),
)

PENALTY_BIAS = Claim(
    id="penalty-bias",
    statement="‖∇Phi_sigma - ∇Phi‖ = O(sigma) and |Phi_sigma - Phi| = O(sigma)",
    source="arXiv 2309.01753, theorem on the landscape of the penalised hyperobjective",
    provenance="S",
    kind="identity",
    otherwise="No: with a KL term the tabular lower level is non-degenerate, and the bias is the "
    "first term of a Taylor expansion in sigma; only a defect, or a sigma outside the range "
    "of the expansion (at small KL weights), could give another exponent.",
    assumptions=(
        "the lower level satisfies a Polyak-Lojasiewicz (or error-bound) condition around its "
        "solutions, uniformly for small sigma",
        "G and J are twice continuously differentiable there",
    ),
    experiment="penalty-bias",
    rates=BIAS_RATES,
    audits=("error-bound", "lower-pl"),
)

CENTRAL_RATES = tuple(
    replace(rate, exponent=2.0, rivals=(1.0, 3.0, 4.0), y_symbol=symbol)
    for rate, symbol in zip(
        BIAS_RATES,
        (
            r"$\|(\nabla\Phi_\sigma + \nabla\Phi_{-\sigma})/2 - \nabla\Phi\|$",
            r"$|(\Phi_\sigma + \Phi_{-\sigma})/2 - \Phi|$",
        ),
        strict=True,
    )
)

PENALTY_BIAS_CENTRAL = Claim(
    id="penalty-bias-central",
    statement="The central difference of two penalised levels has a bias O(sigma²): ‖(∇Phi_sigma + "
    "∇Phi_-sigma)/2 - ∇Phi‖ and |(Phi_sigma + Phi_-sigma)/2 - Phi|",
    source="docs/theory.md section 3.6; arXiv 2509.02937, Lemma 3.1 at p = 2, for strongly convex levels",
    provenance="D",
    kind="identity",
    otherwise="No: terms of odd order in sigma cancel; only a defect, a sigma outside the range of the "
    "expansion, or a point where the third derivative vanishes could give another exponent.",
    assumptions=(
        "the lower level has a non-degenerate minimiser, which moves smoothly with sigma of either sign",
        "G and J are four times continuously differentiable there",
    ),
    experiment="penalty-bias-central",
    rates=CENTRAL_RATES,
    audits=("error-bound", "lower-pl"),
)

PENALTY_BIAS_FOURTH = replace(
    PENALTY_BIAS_CENTRAL,
    id="penalty-bias-fourth",
    statement="The difference of fourth order of penalised levels at ±sigma and ±2 sigma has a bias "
    "O(sigma^4), of the gradient and of the value",
    source="docs/theory.md section 3.6; arXiv 2509.02937, Lemma 3.1 at p = 4, for strongly convex "
    "levels",
    otherwise="No: terms of odd and of second order in sigma cancel; only a defect, or a sigma outside "
    "the range of the expansion, could give another exponent.",
    experiment="penalty-bias-fourth",
    rates=tuple(
        replace(rate, exponent=4.0, rivals=(2.0, 3.0, 6.0), resolution=0.1, y_symbol=symbol)
        for rate, symbol in zip(
            BIAS_RATES,
            (
                r"$\|\nabla\Phi_{\sigma,4} - \nabla\Phi\|$",
                r"$|\Phi_{\sigma,4} - \Phi|$",
            ),
            strict=True,
        )
    ),
    audits=(),
)

PENALTY_BIAS_LARGE = Claim(
    id="penalty-bias-large",
    statement="‖∇Phi_sigma - ∇Phi‖ = O(sigma) and |Phi_sigma - Phi| = O(sigma) beyond enumeration: "
    "over 20 steps, and with 100 000 actions",
    source="arXiv 2309.01753, theorem on the landscape of the penalised hyperobjective",
    provenance="S",
    kind="identity",
    otherwise="No: as for penalty-bias, only a defect could, here one of the oracle without enumeration.",
    assumptions=PENALTY_BIAS.assumptions,
    experiment="penalty-bias-large",
    rates=BIAS_RATES,
)

PENALTY_BIAS_NEURAL = Claim(
    id="penalty-bias-neural",
    statement="‖∇Phi_sigma - ∇Phi‖ = O(sigma) and |Phi_sigma - Phi| = O(sigma) with a neural reward, "
    "Phi and Phi_sigma both those of the neural policy class, complete or not",
    source="arXiv 2410.15610, neural parametrisation of the bilevel problem; bias as in arXiv 2309.01753",
    provenance="S",
    kind="proved inequality",
    otherwise="Only by its assumption, which for networks nobody has proved: where the Hessian "
    "changes rank near the minimisers the bias falls more slowly than sigma.",
    assumptions=(
        "lambda* and lambda_sigma are the minimisers within the class that descent from the seed's "
        "initial parameters leads to, certified",
        "the lower level grows quadratically across its manifold of minimisers (a Hessian of constant "
        "rank there), uniformly for small sigma",
        "the activation is smooth",
    ),
    experiment="penalty-bias-neural",
    rates=BIAS_RATES,
)

CLOSED_FORM_RATE = PowerRate(
    name="gradient",
    x="solver.sigma",
    y="penalty_bias",
    exponent=2,
    reciprocal=False,
    limit="zero",
    better="larger",
    resolution=0.04,
    rivals=(1.0, 4.0),
    y_units="squared norm",
    x_symbol=r"$\sigma$",
    y_symbol=r"$\|\nabla\Phi_\sigma - \nabla\Phi\|^2$",
    correction="quadratic",
)

CONTROL_QUADRATIC = Claim(
    id="control-quadratic",
    statement="On a quadratic lower level with a rank-deficient Hessian (PL, not strongly convex) "
    "the penalty bias is O(sigma).",
    source="docs/theory.md section 6.1, closed form",
    provenance="D",
    kind="identity",
    otherwise="No: the bias is in closed form; only a defect of the program could give another "
    "exponent.",
    assumptions=("PL lower level",),
    experiment="control-quadratic",
    rates=(CLOSED_FORM_RATE,),
    audits=("error-bound", "lower-pl"),
)

CONTROL_QUARTIC = Claim(
    id="control-quartic",
    statement="On the quartic lower level, which has no error bound, the penalty bias would be "
    "O(sigma); it is of order sigma^(1/3).",
    source="docs/theory.md section 6.2",
    provenance="D",
    kind="identity",
    otherwise="No: the bias is in closed form, of order sigma^(1/3); only a defect of the judge could "
    "miss it.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-quartic",
    # The rule that the quadratic passes.
    rates=(CLOSED_FORM_RATE,),
    expected="violated",
)

CENTRAL_CLOSED_FORM_RATE = replace(
    CLOSED_FORM_RATE,
    exponent=4,
    rivals=(2.0, 6.0),
    y_symbol=r"$\|(\nabla\Phi_\sigma + \nabla\Phi_{-\sigma})/2 - \nabla\Phi\|^2$",
)

CONTROL_QUADRATIC_CENTRAL = replace(
    CONTROL_QUADRATIC,
    id="control-quadratic-central",
    statement="On a quadratic lower level with a rank-deficient Hessian the bias of a central difference "
    "is O(sigma²).",
    experiment="control-quadratic-central",
    rates=(CENTRAL_CLOSED_FORM_RATE,),
    audits=(),
)

CONTROL_QUARTIC_CENTRAL = replace(
    CONTROL_QUARTIC,
    id="control-quartic-central",
    statement="On the quartic lower level the bias of a central difference would be O(sigma²); it is of "
    "order sigma^(2/3).",
    otherwise="No: the bias is in closed form, of order sigma^(2/3); only a defect of the judge could "
    "miss it.",
    experiment="control-quartic-central",
    # The rule that the quadratic passes.
    rates=(CENTRAL_CLOSED_FORM_RATE,),
)

QUARTIC_CENTRAL = replace(
    CONTROL_QUARTIC_CENTRAL,
    id="quartic-central",
    statement="On the quartic lower level the bias of a central difference is of order sigma^(2/3)",
    otherwise="No: the bias is in closed form; only a defect of the program could give another exponent.",
    assumptions=("growth of fourth order of the lower level",),
    rates=(
        replace(
            CENTRAL_CLOSED_FORM_RATE, exponent=4 / 3, rivals=(2 / 3, 2.0, 4.0), correction="none"
        ),
    ),
    expected="holds",
)

PENALTY_SMOOTHNESS = Claim(
    id="penalty-smoothness",
    statement=(
        "the Lipschitz constant of ∇Phi_sigma is bounded uniformly in sigma, so that a constant "
        "outer step gives T = O(1/epsilon); O(1/sigma) (exponent 1 in 1/sigma) is what the step "
        "eta ~ sigma of the schedule total-7/2 pays for"
    ),
    source="arXiv 2306.14853, smoothness of the penalised hyperobjective",
    provenance="S",
    kind="identity",
    otherwise="No, at given points: by a Taylor expansion in sigma the Hessians tend to those of Phi. "
    "A maximum over all points and instances could still grow, and is not what is measured "
    "here.",
    assumptions=(
        "the lower level is non-degenerate at its solutions, uniformly for small sigma",
        "G and J have Lipschitz second derivatives there",
    ),
    experiment="penalty-smoothness",
    rates=(
        PowerRate(
            name="1/sigma",
            x="sigma",
            y="lipschitz_constant",
            exponent=0.0,
            reciprocal=True,
            limit="zero",
            better="smaller",
            resolution=0.05,
            rivals=(1.0,),
            y_units="value",
            x_symbol=r"$1/\sigma$",
            y_symbol=r"$\max_\phi\,\|\nabla^2\Phi_\sigma(\phi)\|$",
            correction="quadratic",
        ),
    ),
    audits=("error-bound", "lower-pl"),
)
