"""Bias of the penalty reformulation."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import PowerRate

RATES = (
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

CLAIM = Claim(
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
    rates=RATES,
    audits=("error-bound", "lower-pl"),
)
