"""Units of columns: what they mean, and those of names that mean the same wherever they stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

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


Units = Mapping[str, str]
"""Units by column."""


def columns(**names: str) -> Units:
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
        {name: by_name[unit] for unit, listed in names.items() for name in listed.split()}
    )


COMMON = columns(
    one="seed instance", text="problem method schedule status", reward="sigma", squared="epsilon"
)
"""Of names that mean the same wherever they stand."""

AXES = {
    **COMMON,
    **columns(
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


def units_of(units: Units, axes: Iterable[str] = ()) -> dict[str, str]:
    """Return the unit of every column of a table, of those that are stated.

    Parameters
    ----------
    units
        Of its columns, as the measurement states them.
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
        **units,
    }
