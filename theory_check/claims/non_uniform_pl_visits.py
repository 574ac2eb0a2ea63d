"""The non-uniform Lojasiewicz inequality with the constant that visits give."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.non_uniform_pl import RATE

CLAIM = Claim(
    id="non-uniform-pl-visits",
    statement="‖∂_lambda J‖_2 >= C(lambda) (J* - J)^(1/2) at every policy, "
    "C = sqrt(2 beta min w) min pi ‖w*/w‖_inf^(-1/2), larger than that of the lemma, episodic "
    "problems included",
    source="docs/theory.md section 5.4",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect or a mistake in the derivation of section 5.4, which covers every "
    "policy.",
    assumptions=(
        "tabular softmax policy, KL weight greater than 0",
        "every state that is decided in is reached",
    ),
    experiment="non-uniform-pl",
    rates=(
        replace(
            RATE,
            name="constant of the visits",
            y="ratio",
            y_symbol=r"$\|\nabla_\lambda J\| \,/\, (C\,(J^* - J)^{1/2})$",
        ),
    ),
)
