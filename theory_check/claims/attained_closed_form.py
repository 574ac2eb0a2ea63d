"""The search finds the cost that closed forms predict, to within a factor 2."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import InequalityRate

CLAIM = Claim(
    id="attained-closed-form",
    statement="On plateau and valley the searched cost is within a factor 2 of the closed form of "
    "section 6.4 at every target, for seven of eight replicates",
    source="docs/theory.md section 6.4",
    provenance="D",
    kind="measured",
    otherwise="Yes: a search that is stuck costs more; a closed form that leaves something out costs "
    "less.",
    assumptions=(
        "one inner step an iteration is enough; noise near the end is that of a linear recursion",
    ),
    experiment="attained-hard",
    rates=tuple(
        InequalityRate(
            name=name,
            x="epsilon",
            y="cost_ratio",
            low=0.5,
            high=2.0,
            # A replicate whose reported runs miss a target that its tuning runs met counts against it.
            allowed_share=0.125,
            x_symbol=r"$\varepsilon$, target",
            y_symbol=r"$N / N_\mathrm{predicted}$",
            where={"method": method},
        )
        for name, method in (("independent", "penalty"), ("shared", "penalty-shared"))
    ),
)
