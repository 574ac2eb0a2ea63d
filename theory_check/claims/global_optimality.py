"""Runs with neural classes against the global value of the hyperobjective."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import InequalityRate

CLAIM = Claim(
    id="global-optimality",
    statement=(
        "with neural policy and neural reward, Phi(phi_T) - Phi* of the reference solver falls below "
        "1e-3 nats and below 1 % of its start, from every random initialisation and at every width"
    ),
    source="arXiv 2410.15610, global convergence under weak gradient domination",
    provenance="R",
    kind="open",
    otherwise="Yes: no theorem covers these networks without assuming weak gradient domination, and a "
    "run can end at another stationary point.",
    assumptions=(
        "weak gradient domination, which makes stationary points global",
        "the networks represent the optimum",
        "batches so large that noise is negligible, and a small penalty weight",
    ),
    experiment="global-optimality",
    expected="open",
    rates=(
        InequalityRate(
            name="absolute",
            x="width",
            y="optimality_gap",
            low=None,
            high=1e-3,
            allowed_share=0.0,
            x_symbol="$w$",
            y_symbol=r"$\Phi(\phi_T)-\Phi^*$",
        ),
        InequalityRate(
            name="relative",
            x="width",
            y="relative_gap",
            low=None,
            high=1e-2,
            allowed_share=0.0,
            x_symbol="$w$",
            y_symbol=r"$(\Phi(\phi_T)-\Phi^*)/(\Phi(\phi_1)-\Phi^*)$",
        ),
    ),
)
