"""Geometry of the lower level: non-uniform Lojasiewicz inequalities, weak gradient domination."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.rates import InequalityRate

LEMMA_RATE = InequalityRate(
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

NON_UNIFORM_PL = Claim(
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
    rates=(LEMMA_RATE,),
)

NON_UNIFORM_PL_VISITS = Claim(
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
            LEMMA_RATE,
            name="constant of the visits",
            y="ratio",
            y_symbol=r"$\|\nabla_\lambda J\| \,/\, (C\,(J^* - J)^{1/2})$",
        ),
    ),
)

WEAK_GRADIENT_DOMINATION = Claim(
    id="weak-gradient-domination",
    statement="With c measured on half of the seeds and eps' 1 % of the largest gap of a run, at least "
    "95 % of all other starts keep J* - J <= 2 c ‖∂_lambda J‖ + eps' and Phi - Phi* <= 2 c ‖∇Phi‖ + eps' "
    "at every iterate, at confidence 95 %",
    source="docs/theory.md section 5.9; arXiv 2410.15610 assumes weak gradient domination (the name is "
    "that of arXiv 2107.11433)",
    provenance="D",
    kind="open",
    otherwise="Yes: some constant always exists, but whether that of one half of the seeds bounds the "
    "other half within a factor 2 depends on its tail over starts.",
    assumptions=(
        "seeds are exchangeable: c of one half speaks for the other",
        "Phi* = 0: excess risk, true reward within the closure of the reward class",
    ),
    experiment="weak-gradient-domination",
    expected="open",
    rates=tuple(
        InequalityRate(
            name=f"{name}{starts}",
            x="iteration",
            y="share_of_bound",
            low=None,
            high=1.0,
            allowed_share=0.05,
            confidence=0.95,
            x_symbol=r"$t$",
            y_symbol=symbol,
            where={"level": level, "half": "held out", "initial_scale": scale},
        )
        for starts, scale in (("", 1.0), (", far starts", 4.0))
        for name, level, symbol in (
            ("lower level", "lower", r"$(J^* - J)\,/\,(2 c \|\nabla_\lambda J\| + \epsilon')$"),
            ("hyperobjective", "upper", r"$(\Phi - \Phi^*)\,/\,(2 c \|\nabla\Phi\| + \epsilon')$"),
        )
    ),
)
