"""Samples of the penalty method with an outer step that shrinks like sigma."""

from theory_check.claims.base import Claim, ComplexityRate

CLAIM = Claim(
    id="total-7/2",
    statement="O(epsilon^(-7/2)) samples bring the ergodic mean of ‖∇Phi‖² to epsilon",
    source="arXiv 2410.15610, headline; its schedule reconstructed from arXiv 2309.01753",
    provenance="R",
    assumptions=(
        "the reconstructed schedule: sigma = epsilon^(1/2), T = epsilon^(-3/2), a step of order "
        "sigma, n = B = epsilon^-2, K = O(log(1/epsilon))",
        "∇Phi_sigma is Lipschitz with a constant of at most O(1/sigma)",
        "the lower level converges linearly",
    ),
    experiment="sample-complexity-total-7-2",
    rates=(
        ComplexityRate(
            name="1/accuracy",
            x="samples_per_log",
            plain_x="samples",
            y="ergodic_stationarity",
            exponent=3.5,
            resolution=0.35,
            minimum_decades=1.5,
            x_symbol=r"$\mathrm{samples}\,/\,\log(1/\varepsilon)$",
            y_symbol=r"$\frac{1}{T}\sum_{t\leq T}\|\nabla\Phi(\phi_t)\|^2$",
            floor="refutes",
            where={"schedule": "total-7/2"},
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
