"""What measurements need of a problem; what a single one needs stands with it."""

from __future__ import annotations

from theory_check.errors import shortened
from theory_check.measurements.base import Need
from theory_check.models import Linear, Tabular
from theory_check.oracles.comparisons.possible import count_trajectories, counted
from theory_check.oracles.comparisons.trajectories import DEFAULT_ENUMERATION_BUDGET
from theory_check.problems.problem import Problem


def kind_of(problem: object) -> str:
    """Return of which class a problem is, in words."""
    return f"a {type(problem).__name__}"


PREFERENCES = Need(
    "a preference-learning problem",
    lambda problem: isinstance(problem, Problem),
    kind_of,
    "name a problem with states and rewards, such as family 'bandit', or use 'solver-run' on this one",
)
"""Dynamics, rewards and labels: the exact oracle and the classes of policies and rewards rest on them."""

STANDARD_LABELS = Need(
    "labels that are Bradley-Terry at temperature 1, as its statement assumes",
    lambda problem: problem.preferences.standard,
    lambda problem: f"whose labels are {shortened(problem.preferences)}",
    "leave out the preferences of the problem",
)
"""What reward learners assume of the annotator; with other labels no excess risk tends to 0."""

EXCESS_RISK = Need(
    "objective 'excess_risk', whose infimum is 0",
    lambda problem: problem.objective == "excess_risk",
    lambda problem: f"whose objective is {shortened(problem.objective)}",
    "set the objective of the problem to 'excess_risk'",
)

NOISE = Need(
    "sampled gradients with noise, the unit of batches",
    lambda problem: getattr(problem, "noise", None) != 0.0,
    lambda problem: f"{kind_of(problem)} whose samples are exact",
    "set the noise of the problem above 0",
)

CURVATURE = Need(
    "levels with curvature where runs start, the unit of steps",
    lambda problem: not getattr(problem, "flat_at_start", False),
    lambda problem: f"{kind_of(problem)}, which hides it",
    "name a problem of another family, or use 'lower-bound' on this one",
)

STEPS_OF_STATES = Need(
    "policies with a row for each step and state, or a stationary one, whose compiled steps it takes",
    lambda problem: problem.layers is None,
    lambda problem: f"whose {problem.states} states each belong to one step",
    "name a problem whose states may come at any step, or build it without layers",
)

LINEAR_AND_TABULAR = Need(
    "linear rewards and tabular policies, whose constants it has in closed form",
    lambda problem: (
        isinstance(problem.reward_class, Linear) and isinstance(problem.policy_class, Tabular)
    ),
    lambda problem: f"which searches {problem.reward_class} and {problem.policy_class}",
    "leave the classes of the problem out",
)

ENUMERATION = Need(
    f"at most {DEFAULT_ENUMERATION_BUDGET} trajectories, which it enumerates",
    lambda problem: count_trajectories(problem) <= DEFAULT_ENUMERATION_BUDGET,
    lambda problem: f"a problem of {counted(count_trajectories(problem))}",
    "use a shorter horizon or segments, or fewer states, actions or successors",
)

UNITS: tuple[Need, ...] = (NOISE, CURVATURE)
"""What the units of a method's constants are measured by (:func:`theory_check.tuning.units.units_of`)."""
