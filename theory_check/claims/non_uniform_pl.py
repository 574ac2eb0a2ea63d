"""The non-uniform Lojasiewicz inequality of the lower level."""

from theory_check.claims.base import Claim, InequalityRate

CLAIM = Claim(
    id="non-uniform-pl",
    statement="‖∂_lambda J‖_2 >= C(lambda) (J* - J)^(1/2) at every policy, "
    "C = sqrt(2 beta / S) min_s sqrt(mu(s)) min pi ‖d*/d‖_inf^(-1/2); and with the larger constant "
    "sqrt(2 beta min w) min pi ‖w*/w‖_inf^(-1/2), episodic problems included",
    source="arXiv 2005.06392, Lemma 15 (entropy form); the larger constant is derived in section 5.4",
    provenance="V",
    assumptions=(
        "tabular softmax policy, KL weight greater than 0",
        "every state that is decided in is reached; for the lemma, already by the start law",
    ),
    experiment="non-uniform-pl",
    rates=(
        InequalityRate(
            name="constant of the lemma",
            x="lower_gap",
            y="paper_ratio",
            low=1.0,
            high=None,
            allowed_share=0.0,
            x_symbol=r"$J^* - J$",
            y_symbol=r"$\|\nabla_\lambda J\| \,/\, (C_{\mathrm{lemma}} \sqrt{J^* - J})$",
            where={"resolved": True},
        ),
        InequalityRate(
            name="larger constant",
            x="lower_gap",
            y="ratio",
            low=1.0,
            high=None,
            allowed_share=0.0,
            x_symbol=r"$J^* - J$",
            y_symbol=r"$\|\nabla_\lambda J\| \,/\, (C \sqrt{J^* - J})$",
            where={"resolved": True},
        ),
    ),
)
