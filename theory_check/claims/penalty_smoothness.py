"""Smoothness of the penalised hyperobjective."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import PowerRate

CLAIM = Claim(
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
