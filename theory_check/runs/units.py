"""Units of the columns of tables, for each kind of measurement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from theory_check.measurements.base import Measurement

ONE, TEXT, FLAG = "1", "text", "true or false"
NORM, SQUARED, REWARD, NATS = "norm", "squared norm", "reward units", "nats"
ITERATIONS, INNER, SECONDS = "iterations", "inner steps", "seconds"
SAMPLES, TRAJECTORIES, LABELS, STEPS = "samples", "trajectories", "labels", "environment steps"
PAIRS, CALLS, COST = "pairs", "exact calls", "samples or exact calls"
OUTER_STEP, CURVATURE = "squared parameters per nat", "reward units per squared parameter"
SMOOTHNESS, LENGTH, SQUARED_LENGTH = (
    "nats per squared parameter",
    "parameters",
    "squared parameters",
)
SQUARED_REWARD, EITHER = "squared reward units", "reward units or nats"
PER_REWARD, NORM_PER_REWARD = "nats per reward unit", "norm per reward unit"
ROOT_NATS = "root nats"
NOISE, OF_ACCURACY = "squared norm times squared reward units", "squared norm or reward units"

MEANING = MappingProxyType(
    {
        ONE: "a pure number: a ratio, a count of things that have no other name, a probability",
        TEXT: "a word, or JSON",
        FLAG: "a yes or no",
        NORM: "Euclidean norm of a gradient in the parameters of its level",
        SQUARED: "the square of that",
        REWARD: "of the reward, the same as of values, regrets and KL weights",
        NATS: "natural logarithm of a likelihood, per comparison, or divergence of laws of trajectories",
        ROOT_NATS: "root of a divergence",
        SQUARED_REWARD: "the square of reward units",
        EITHER: "of the objective that the row is about: a value, or a likelihood",
        OF_ACCURACY: "of the accuracy that the row names: a gradient, or a value gap",
        PER_REWARD: "of a bias of the hyperobjective over sigma",
        NORM_PER_REWARD: "of a bias of its gradient over sigma",
        NOISE: "of the variance of a gradient estimate, times sigma squared",
        ITERATIONS: "steps of the outer loop",
        INNER: "steps of an inner loop",
        SECONDS: "of the solver alone, what is recorded left out",
        SAMPLES: "trajectories and labels together",
        TRAJECTORIES: "rollouts, compared ones included",
        LABELS: "answers to comparisons",
        STEPS: "transitions of the environment",
        PAIRS: "compared pairs",
        CALLS: "exact quantities asked for",
        COST: "exact calls for methods that sample nothing, samples for all others",
        OUTER_STEP: "of a step along a gradient in nats per parameter",
        CURVATURE: "of the lower objective in its parameters",
        SMOOTHNESS: "of the hyperobjective in the reward's parameters",
        LENGTH: "distance between parameters",
        SQUARED_LENGTH: "the square of that",
    }
)
"""Every unit that a column may have, and what it counts."""


def _units(**columns: str) -> Mapping[str, str]:
    """Return units by column, from columns by unit: names that follow each other in a text."""
    by_name = {
        "one": ONE, "text": TEXT, "flag": FLAG, "norm": NORM, "squared": SQUARED, "reward": REWARD,
        "nats": NATS, "iterations": ITERATIONS, "inner": INNER, "seconds": SECONDS, "samples": SAMPLES,
        "trajectories": TRAJECTORIES, "labels": LABELS, "steps": STEPS, "pairs": PAIRS, "calls": CALLS,
        "cost": COST, "outer_step": OUTER_STEP, "curvature": CURVATURE, "smoothness": SMOOTHNESS,
        "length": LENGTH, "squared_length": SQUARED_LENGTH, "either": EITHER,
        "squared_reward": SQUARED_REWARD, "per_reward": PER_REWARD, "noise": NOISE,
        "norm_per_reward": NORM_PER_REWARD, "of_accuracy": OF_ACCURACY, "root_nats": ROOT_NATS,
    }  # fmt: skip
    return MappingProxyType(
        {name: by_name[unit] for unit, names in columns.items() for name in names.split()}
    )


TRACE = _units(
    iterations="iteration",
    steps="env_steps",
    trajectories="trajectories",
    labels="labels",
    samples="samples",
    calls="exact_calls",
    nats="hyperobjective optimality_gap",
    squared="stationarity ergodic_stationarity half_stationarity hypergradient_error penalty_bias "
    "inner_error sampling_error",
    reward="lower_gap lower_gap_penalised policy_regret true_return",
    squared_reward="reward_error",
    one="min_policy_probability",
    text="status",
)
"""Of the recorder, which says what they mean (``theory_check/recording/recorder.py``)."""

COMMON = _units(
    one="seed instance", text="problem method schedule status", reward="sigma", squared="epsilon"
)
"""Of names that mean the same wherever they stand."""

AXES = {
    **COMMON,
    **_units(
        one="optimal_actions initial_scale states actions horizon discount features contexts",
        text="coupling inner_coupling",
        reward="kl_weight",
        inner="inner_steps",
        trajectories="trajectories",
        pairs="pairs",
        iterations="iterations",
    ),
}
"""Of settings and of parameters of problems along which experiments have a grid."""

OF_THE_SETTING = "unit of the setting"
"""Of an axis that is not among them: its description says more."""

BY_KIND: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "solver-run": TRACE,
        "advice": _units(
            inner="inner_steps",
            trajectories="trajectories",
            iterations="iterations",
            samples="predicted_samples planned_samples pilot_samples samples",
            squared="accuracy",
            one="accuracy_ratio seed_cost_ratio cost_ratio planned_cost_ratio",
        ),
        "attained": _units(
            text="accuracy constants",
            one="target evaluations cost_ratio",
            samples="samples tuned_samples samples_per_loop predicted_samples",
            iterations="iterations",
            inner="inner_steps",
            trajectories="trajectories",
            pairs="pairs",
            outer_step="step_size",
            flag="interior",
        ),
        "audits": _units(
            iterations="iteration",
            inner="inner_iteration",
            reward="lower_gap",
            norm="lower_gradient penalised_gradient",
            length="penalised_distance",
            one="min_policy_probability",
            curvature="inner_curvature",
            smoothness="outer_curvature",
        ),
        "bound-terms": _units(
            trajectories="trajectories",
            inner="inner_steps",
            iterations="iterations",
            squared="ergodic_stationarity penalty_bias inner_error sampling_error",
        ),
        "comparison": _units(
            of_accuracy="epsilon",
            one="repetition target ended evaluations",
            text="accuracy constants",
            flag="reached interior cut",
            cost="cost spent tuned_cost tuning_cost",
            samples="samples tuning_samples",
            trajectories="trajectories",
            labels="labels",
            steps="env_steps",
            calls="exact_calls",
            iterations="iterations",
            reward="true_return policy_regret lower_gap optimal_return reward_distance",
            squared_reward="reward_error",
            nats="hyperobjective",
            seconds="seconds_per_iteration",
        ),
        "constants": _units(
            reward="kl_weight",
            one="states actions effective_horizon log_coverage log_inner_time log_step_time value_share",
            inner="inner_time step_time",
            per_reward="value_bias",
            norm_per_reward="gradient_bias",
            smoothness="smoothness",
            noise="independent_noise shared_noise",
            curvature="curvature",
        ),
        "global-optimality": _units(
            one="width relative_gap",
            iterations="iteration",
            nats="hyperobjective optimality_gap initial_gap optimum",
            squared="stationarity initial_stationarity",
            squared_reward="reward_error",
            reward="lower_gap policy_regret",
        ),
        "gradient-noise": _units(
            text="sweep", trajectories="trajectories", squared="sampling_error forward_error"
        ),
        "noise-along-runs": _units(
            squared="scaled_variance", one="distance_ratio variance_growth distance_growth"
        ),
        "inner-curve": _units(
            inner="inner_iteration", reward="lower_gap bound planted_bound", flag="resolved"
        ),
        "bandit-curve": _units(
            inner="inner_iteration", reward="gap bound bound_of_source planted_bound"
        ),
        "inner-error": _units(text="start sweep", inner="inner_iteration", squared="inner_error"),
        "inner-linear": _units(inner="inner_iteration", reward="lower_gap"),
        "inner-sublinear": _units(
            inner="inner_iteration", reward="return_gap", one="leading_ratio"
        ),
        "lower-bound": _units(
            one="links probability first_ratio ratio seen chance searched",
            samples="bound first_samples samples",
            labels="labels",
            iterations="iterations",
            text="constants outcome",
        ),
        "neural-bias": _units(
            text="parametric_class activation start",
            one="width layers floor_ratio",
            either="floor largest_floor predicted_decrease late_decrease median_random",
            norm="gradient_norm",
            squared="hypergradient_error",
        ),
        "non-uniform-pl": _units(
            one="policy ratio paper_ratio",
            text="source",
            reward="lower_gap",
            norm="gradient_norm",
            flag="resolved",
        ),
        "outer-curve": _units(
            iterations="iteration",
            squared="stationarity bound bound_without_errors bound_in_mean decrease errors",
            one="step_times_smoothness",
        ),
        "overoptimisation": _units(
            text="path",
            iterations="iteration",
            reward="kl_weight true_return learned_return regularised_return peak attainable",
            nats="kl",
            root_nats="distance peak_distance delay",
            samples="samples",
            labels="labels",
            one="lost",
        ),
        "penalty-bias": _units(norm="gradient_bias", nats="value_bias"),
        "penalty-smoothness": _units(smoothness="lipschitz_constant"),
        "predicted-domination": _units(
            text="objective",
            iterations="iteration",
            inner="inner_iteration",
            reward="gap predicted predicted_by_source transferred",
            norm="gradient",
            flag="resolved",
        ),
        "inner-error-curve": _units(
            inner="inner_iteration",
            squared="inner_error bound planted_bound",
            length="distance distance_bound planted_distance",
        ),
        "warm-start-curve": _units(
            iterations="iteration", squared_length="distances bound planted_bound", flag="resolved"
        ),
        "sail-pl": _units(one="pull radius stationary", nats="constant random least"),
        "sample-complexity": _units(
            iterations="iterations",
            squared="half_stationarity ergodic_stationarity last_stationarity best_stationarity "
            "sampling_error",
            nats="optimality_gap",
            steps="env_steps",
            trajectories="trajectories",
            labels="labels",
            samples="samples samples_per_loop",
        ),
        "value-gap": _units(one="policy scale", reward="gap bound bound_at_optimum"),
        "maximum-likelihood-gap": _units(
            text="law", pairs="pairs", reward="gap gap_with_prior predicted", flag="separated"
        ),
        "weak-gradient-domination": _units(
            text="half level",
            iterations="iteration",
            inner="inner_iteration",
            either="gap floor bound",
            norm="gradient",
            length="constant",
            one="share_of_bound",
        ),
    }
)
"""Units of the columns of each measurement of the package, whose docstrings say what they mean."""


def units_of(measurement: type[Measurement], axes: Iterable[str] = ()) -> dict[str, str]:
    """Return the unit of every column of a measurement, of those that are stated.

    Parameters
    ----------
    measurement
        Of the package, or one that says so itself: a class attribute ``units``, a mapping of columns
        to units.
    axes
        Names of the axes of the experiment.

    Returns
    -------
    dict
        Units by column, of :data:`MEANING` for what the package measures.
    """
    return {
        **{axis: AXES.get(axis.rpartition(".")[2], OF_THE_SETTING) for axis in axes},
        **COMMON,
        **BY_KIND.get(measurement.kind, {}),
        **getattr(measurement, "units", {}),
    }
