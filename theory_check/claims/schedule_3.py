"""The schedule of the penalty method with independent batches and a constant step suffices."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import ScheduleRate

RATE = ScheduleRate(
    name="half/target",
    x="epsilon",
    y="half_stationarity",
    noise="sampling_error",
    multiple=2.0,
    x_symbol=r"$\varepsilon$, target",
    y_symbol=r"$\|\nabla\Phi\|^2$, mean of the second half",
    where={"schedule": "total-3"},
)

CLAIM = Claim(
    id="schedule-3",
    statement="sigma = epsilon^(1/2), T = 1/epsilon, a constant step and n = B = epsilon^-2 keep the "
    "mean ‖∇Phi‖² of the second half below 2 epsilon at every target: O~(epsilon^-3) samples suffice",
    source="arXiv 2503.17644, headline; the schedule is that of arXiv 2509.02937, Theorem 3.1 at p = 1",
    provenance="S",
    kind="proved inequality",
    otherwise="Only by a defect or a failed assumption; how far below the bound it stays is measured.",
    assumptions=(
        "∇Phi_sigma is Lipschitz uniformly in sigma",
        "the lower level, and that of the penalised problem, satisfy PL and converge linearly",
    ),
    experiment="schedule-3",
    rates=(RATE,),
    audits=(
        "lower-pl",
        "error-bound",
        "weak-gradient-domination",
        "outer-step",
        "inner-step",
    ),
)
