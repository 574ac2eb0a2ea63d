"""Rate of stochastic descent with steps that fall like ``1 / t``, on a problem of curvature 1.

The exponent is derived here. On ``tracking`` a full inner step (``alpha = 1``) leaves ``y = x`` plus
noise. The estimate is then ``x - t`` plus an error of mean 0, and with ``a_t = E|x_t - t|²``

    a_{t+1} = (1 - eta_t)² a_t + eta_t² v,        eta_t = c / (t + delay),   c = eta_0 delay

where v is the mean square of the error, a constant. For ``2 c > 1`` the solution is
``a_t = c² v / ((2 c - 1) t) (1 + O(1/t)) + O(t^{-2c})``: exponent 1 in ``1/T``, whatever the start. For
``2 c < 1`` it is ``2 c`` instead, which is how the claim can fail. Theorem 4.7 of Bottou, Curtis and
Nocedal, arXiv 1606.04838, has the same rate for every strongly convex function.
"""

from theory_check.claims.base import Claim
from theory_check.claims.rates import PowerRate

CLAIM = Claim(
    id="falling-steps",
    statement="E[Phi(x_T)] - min Phi = O(1/T) with steps c / (t + delay), where Phi has curvature 1 and "
    "c > 1/2",
    source="derived in claims/falling_steps.py of this study",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a failed assumption: with c below 1/2 the exponent is 2 c, and with steps that do "
    "not fall the noise leaves a floor.",
    assumptions=(
        "the estimate has mean grad Phi: the inner loop ends at its solution on average",
        "the steps fall like c / t with c > 1/2",
    ),
    experiment="falling-steps",
    rates=(
        PowerRate(
            name="1/T",
            x="iteration",
            y="optimality_gap",
            exponent=1.0,
            reciprocal=True,
            limit="infinity",
            better="larger",
            resolution=0.1,
            # Steps that fall like 1/sqrt(t). No method has a larger exponent than 1 with this noise.
            rivals=(0.5,),
            y_units="value",
            x_symbol=r"$1/T$",
            y_symbol=r"$\Phi(x_T) - \min\Phi$",
        ),
    ),
)
