"""Which components an experiment file may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from theory_check.runs.measurements.base import Measurement


@dataclass(frozen=True)
class Registry:
    """The components by their names.

    Attributes
    ----------
    measurements
        Measurement classes by ``kind``.
    families
        Functions that build a problem from keyword arguments, by family name.
    solvers
        Solver classes by ``name``.
    rewards, policies
        Reward and policy classes by ``name``.
    methods
        What ``theory-check compare`` compares, by id.
    """

    measurements: Mapping[str, type[Measurement]]
    families: Mapping[str, Callable[..., Any]]
    solvers: Mapping[str, type]
    rewards: Mapping[str, type] = field(default_factory=dict)
    policies: Mapping[str, type] = field(default_factory=dict)
    methods: Mapping[str, Any] = field(default_factory=dict)


def discover() -> Registry:
    """Return the components that the package holds."""
    # Imported here: the rooms pull in torch, which a reader of results has no use for.
    from theory_check.models import policy_classes, reward_classes
    from theory_check.problems import families
    from theory_check.runs.measurements import measurement_classes
    from theory_check.solvers import methods, solver_classes

    return Registry(
        measurement_classes(),
        families(),
        solver_classes(),
        reward_classes(),
        policy_classes(),
        methods(),
    )
