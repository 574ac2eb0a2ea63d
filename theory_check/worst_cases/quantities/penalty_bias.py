"""The constant of the penalty bias of the gradient."""

from __future__ import annotations

from theory_check.claims.bias import PENALTY_BIAS
from theory_check.oracles.exact import ExactOracle
from theory_check.problems import Problem
from theory_check.worst_cases.base import (
    RATE,
    Evaluation,
    WorstCase,
    ball_points,
    gradient_bias,
    gradient_bias_from_values,
    local_slopes,
    proportional,
)

SIGMAS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
POINTS = 16
OTHER_SIGMAS = (0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
JUDGED_SIGMAS = (1e-4, 1e-5)
MORE_POINTS = 64


def _measure(problem: Problem) -> Evaluation:
    exact = ExactOracle(problem)
    bias = gradient_bias(exact, ball_points(POINTS, problem.parameters), SIGMAS)
    slopes = local_slopes(SIGMAS, bias)
    constants = tuple(each / sigma for each, sigma in zip(bias, SIGMAS, strict=True))
    return Evaluation(
        value=max(constants) if all(each == each for each in bias) else float("nan"),
        kept=proportional(slopes[-1]),
        details={
            "kl_weight": problem.kl_weight,
            "sigma": SIGMAS,
            "bias_over_sigma": constants,
            "local_slopes": slopes,
        },
    )


def _confirm(problem: Problem) -> Evaluation:
    """Gradients by differences of values, another grid, smaller sigma, and more points."""
    exact = ExactOracle(problem)
    points = ball_points(MORE_POINTS, problem.parameters)
    bias = gradient_bias_from_values(exact, points, OTHER_SIGMAS)
    (slope_below,) = local_slopes(JUDGED_SIGMAS, gradient_bias(exact, points, JUDGED_SIGMAS))
    constant = max(each / sigma for each, sigma in zip(bias, OTHER_SIGMAS, strict=True))
    return Evaluation(
        value=constant,
        kept=proportional(slope_below),
        details={
            "sigma": OTHER_SIGMAS,
            "local_slopes": local_slopes(OTHER_SIGMAS, bias),
            "slope_1e-5_to_1e-4": slope_below,
            "value_times_squared_kl_weight": constant * problem.kl_weight**2,
        },
    )


WORST_CASE = WorstCase(
    id="penalty-bias",
    claim=PENALTY_BIAS.id,
    quantity=(
        f"largest ‖∇Phi_sigma - ∇Phi‖ / sigma at {POINTS} points of the unit ball and sigma = "
        f"{SIGMAS[-1]:g} to {SIGMAS[0]:g}"
    ),
    unit="nats per unit of phi and of sigma",
    worse="sigma must be smaller for the same bias",
    predicted=(
        f"finite, the bias being proportional to sigma as sigma -> 0; kept if its local exponent between "
        f"sigma = 1e-4 and 1e-5 is at least {RATE.exponent - RATE.resolution:g}"
    ),
    families=("bandit", "garnet", "tabular"),
    measure=_measure,
    confirm=_confirm,
    # Points and sigmas differ, and the constant may peak between those that were searched.
    tolerance=0.05,
)
