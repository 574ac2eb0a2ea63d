"""Negative control: the penalty bias of the quartic lower level."""

from theory_check.claims.base import Claim, PowerRate

CLAIM = Claim(
    id="control-quartic",
    statement="On the quartic lower level, which has no error bound, the penalty bias would be "
    "O(sigma); it is of order sigma^(1/3).",
    source="docs/theory.md section 6.2",
    provenance="D",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-quartic",
    rates=(
        PowerRate(
            name="gradient",
            x="solver.sigma",
            y="penalty_bias",
            exponent=2,
            reciprocal=False,
            limit="zero",
            better="larger",
            resolution=0.04,
            y_units="squared norm",
            x_symbol=r"$\sigma$",
            y_symbol=r"$\|\nabla\Phi_\sigma - \nabla\Phi\|^2$",
        ),
    ),
    expected="violated",
)
