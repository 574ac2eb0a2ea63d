"""Samples of the penalty method with a constant outer step."""

from theory_check.claims.base import Claim, ComplexityRate

CLAIM = Claim(
    id="total-3",
    statement="O~(epsilon^-3) samples bring the ergodic mean of ‖∇Phi‖² to epsilon, with "
    "O~(1/epsilon) iterations",
    source="arXiv 2503.17644, headline; its schedule reconstructed",
    provenance="R",
    assumptions=(
        "the reconstructed schedule: sigma = epsilon^(1/2), T = 1/epsilon, a constant step, "
        "n = B = epsilon^-2, K = O(log(1/epsilon))",
        "∇Phi_sigma is Lipschitz uniformly in sigma",
        "the lower level converges linearly",
    ),
    experiment="sample-complexity-total-3",
    rates=(
        ComplexityRate(
            name="1/accuracy",
            x="samples_per_log",
            plain_x="samples",
            y="ergodic_stationarity",
            exponent=3.0,
            resolution=0.3,
            minimum_decades=2.0,
            x_symbol=r"$\mathrm{samples}\,/\,\log(1/\varepsilon)$",
            y_symbol=r"$\frac{1}{T}\sum_{t\leq T}\|\nabla\Phi(\phi_t)\|^2$",
            floor="refutes",
            where={"schedule": "total-3"},
        ),
    ),
    audits=(
        "lower-pl",
        "error-bound",
        "weak-gradient-domination",
        "outer-step",
        "inner-step",
    ),
)
