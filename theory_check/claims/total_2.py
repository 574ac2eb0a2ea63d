"""Samples of the penalty method with one shared batch."""

from theory_check.claims.base import Claim, ComplexityRate

RATE = ComplexityRate(
    name="1/accuracy",
    x="samples_per_log",
    plain_x="samples",
    y="ergodic_stationarity",
    exponent=2.0,
    resolution=0.2,
    minimum_decades=2.0,
    x_symbol=r"$\mathrm{samples}\,/\,\log(1/\varepsilon)$",
    y_symbol=r"$\frac{1}{T}\sum_{t\leq T}\|\nabla\Phi(\phi_t)\|^2$",
    floor="refutes",
    where={"schedule": "total-2"},
)

CLAIM = Claim(
    id="total-2",
    statement="O~(epsilon^-2) samples bring the ergodic mean of ‖∇Phi‖² to epsilon when both "
    "lower iterates share one reweighted batch",
    source="docs/theory.md section 5.3, with the variance of section 4.4",
    provenance="D",
    kind="identity",
    otherwise="No: gradients fall geometrically, the ergodic mean is a constant over T whatever the "
    "batches are, and the exponent is that of the imposed schedule.",
    assumptions=(
        "the schedule of section 5.3: sigma = epsilon^(1/2), T = 1/epsilon, a constant step, "
        "n = B = 1/epsilon, K = O(log(1/epsilon))",
        "lambda_sigma - lambda* = O(sigma), so that the policy ratios stay bounded",
        "∇Phi_sigma is Lipschitz uniformly in sigma",
        "the lower level converges linearly",
    ),
    experiment="sample-complexity-total-2",
    rates=(RATE,),
    audits=(
        "lower-pl",
        "error-bound",
        "outer-step",
        "inner-step",
        "weak-gradient-domination",
        "policy-support",
    ),
)
