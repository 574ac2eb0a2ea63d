"""The non-uniform Lojasiewicz inequality of the lower level."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import InequalityRate

RATE = InequalityRate(
    name="constant of the lemma",
    x="lower_gap",
    y="paper_ratio",
    low=1.0,
    high=None,
    allowed_share=0.0,
    x_symbol=r"$J^* - J$",
    y_symbol=r"$\|\nabla_\lambda J\| \,/\, (C_{\mathrm{lemma}}\,(J^* - J)^{1/2})$",
    where={"resolved": True},
)

CLAIM = Claim(
    id="non-uniform-pl",
    statement="‖∂_lambda J‖_2 >= C(lambda) (J* - J)^(1/2) at every policy, "
    "C = sqrt(2 beta / S) min_s sqrt(mu(s)) min pi ‖d*/d‖_inf^(-1/2)",
    source="arXiv 2005.06392, Lemma 15 (entropy form)",
    provenance="V",
    kind="proved inequality",
    otherwise="Only by a defect: the lemma covers every policy of a discounted problem whose states "
    "are all started in; elsewhere the larger constant of section 5.4 implies it.",
    assumptions=(
        "tabular softmax policy, KL weight greater than 0",
        "every state that is decided in is charged by the start law; where it is only reached, mu is "
        "replaced by the smallest visit weight",
    ),
    experiment="non-uniform-pl",
    rates=(RATE,),
)
