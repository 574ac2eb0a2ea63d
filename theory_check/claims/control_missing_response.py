"""Negative control: a hypergradient without the response of the policy."""

from theory_check.claims.base import Claim, PowerRate

CLAIM = Claim(
    id="control-missing-response",
    statement="Descending along the direct gradient alone, without the response term, would bring "
    "the ergodic stationarity to 0 like 1/T; it ends at a floor.",
    source="docs/theory.md section 6.3",
    provenance="D",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-missing-response",
    rates=(
        PowerRate(
            name="1/T",
            x="iteration",
            y="ergodic_stationarity",
            exponent=1,
            reciprocal=True,
            limit="infinity",
            better="larger",
            resolution=0.05,
            y_units="squared norm",
            x_symbol="$1/T$",
            y_symbol=r"$\frac{1}{T}\sum_{t<T}\|\nabla\Phi(\phi_t)\|^2$",
            floor="refutes",
        ),
    ),
    expected="violated",
)
