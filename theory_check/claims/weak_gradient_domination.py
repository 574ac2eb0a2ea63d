"""Weak gradient domination at both levels, and what it says about runs that did not measure it."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import InequalityRate

CLAIM = Claim(
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
