"""The table of a problem -> the function and the arguments that build it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from theory_check.catalogue import Catalogue
from theory_check.errors import (
    InvalidArgumentError,
    nearest,
    require_choice,
    shortened,
)
from theory_check.runs.build import (
    Components,
    bind,
    coerce,
    function_parameters,
    join,
    located,
    takes_any_key,
)
from theory_check.runs.built_with_classes import BuiltWithClasses

CLASS_KEYS = ("reward", "policy")
"""Keys of a problem's table that name its classes; a family's own parameters go by other names."""


def bound_problem(
    table: Mapping[str, object], where: str, catalogue: Catalogue
) -> tuple[str, dict[str, Any], Callable[..., Any]]:
    """Return family, parameters and function of a problem, having built it once.

    Parameters
    ----------
    table
        ``family``, keyword arguments of its function, and the ``reward`` and ``policy`` class, each
        a table with ``name``. A class equal to the family's own is no parameter.
    where
        Dotted key of the table, for errors.
    catalogue
        The families and classes that are known.

    Raises
    ------
    InvalidArgumentError
        For anything that cannot be built, and for more trajectories than can be enumerated.
    """
    from theory_check.problems import Problem

    family = table.get("family")
    with located(where):
        if not isinstance(family, str):
            raise InvalidArgumentError(
                "family",
                "nothing" if family is None else shortened(family),
                f"name one; {nearest('', catalogue.families)}",
            )
        require_choice("family", family, catalogue.families)
    function = catalogue.families[family]
    given = {key: value for key, value in table.items() if key not in ("family", *CLASS_KEYS)}
    known = function_parameters(function)
    # What a family passes on, such as the arguments of an environment, is checked by its receiver.
    passed_on = {key: given[key] for key in given if key not in known and takes_any_key(function)}
    bound = {key: given[key] for key in given if key not in passed_on}
    parameters = bind(bound, known, where, Components(catalogue.solvers)) | passed_on
    with located(where):
        parameters = _pinned(function, parameters)
        problem = function(**parameters)
    classes = {
        key: _bound_class(key, table[key], join(where, key), catalogue)
        for key in CLASS_KEYS
        if key in table
    }
    if not isinstance(problem, Problem):
        for key in classes:
            raise InvalidArgumentError(
                join(where, key),
                "a class",
                f"leave it out: family {family!r} has no {key} table, its levels are closed forms",
            )
        return family, parameters, function
    own = {"reward": problem.reward_class, "policy": problem.policy_class}
    classes = {key: found for key, found in classes.items() if found != own[key]}
    for key in classes:
        # Binding allocates what the class needs of the problem, and refuses what it cannot represent.
        with located(join(where, key)):
            classes[key].bind(problem.model_inputs)
    _check_size(problem, where)
    if not classes:
        return family, parameters, function
    return family, parameters | classes, BuiltWithClasses(function)


def _pinned(function: Callable[..., Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with the hash of every file they name, where the family reads files.

    A cell is identified by its parameters; with the hash among them its numbers belong to the content.
    """
    pin = getattr(sys.modules.get(function.__module__), "pinned", None)
    return parameters if pin is None else pin(**parameters)


def _bound_class(key: str, table: object, where: str, catalogue: Catalogue) -> Any:
    """Return the reward or policy class that a table stands for."""
    from theory_check.models import PolicyClass, RewardClass

    hint, known = {
        "reward": (RewardClass, catalogue.rewards),
        "policy": (PolicyClass, catalogue.policies),
    }[key]
    if not isinstance(table, Mapping):
        raise InvalidArgumentError(
            where, shortened(table), f"pass a table with the name of a class; {nearest('', known)}"
        )
    return coerce(table, hint, where, Components(known))


def _check_size(problem: Any, where: str) -> None:
    """Refuse a problem that the exact oracle of every measurement would refuse in its cell."""
    # Here, so that reading an experiment's format does not load the oracles.
    from theory_check.oracles.comparisons.trajectories import (
        DEFAULT_ENUMERATION_BUDGET,
        count_trajectories,
        counted,
    )

    number = count_trajectories(problem)
    if number > DEFAULT_ENUMERATION_BUDGET:
        raise InvalidArgumentError(
            where,
            f"a problem of {counted(number)} trajectories",
            f"use a shorter horizon or segments, or fewer states, actions or successors: at most "
            f"{DEFAULT_ENUMERATION_BUDGET} trajectories can be enumerated",
        )
