"""Problems of experiment files: from their tables to what builds and identifies them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from theory_check.catalogue import Catalogue
from theory_check.errors import (
    InvalidArgumentError,
    nearest,
    require_choice,
    shortened,
)
from theory_check.problems.spec import CLASS_KEYS, OWN_KEYS, PREFERENCES, ProblemSpec
from theory_check.randomness import require_replicates
from theory_check.runs.build import (
    Components,
    bind,
    coerce,
    function_parameters,
    join,
    located,
    takes_any_key,
)

if TYPE_CHECKING:
    from theory_check.measurements.base import Measurement


@dataclass(frozen=True)
class OwnProblem:
    """A problem that takes the place of those that an experiment file states.

    Attributes
    ----------
    label
        What tables call it; the seeds of an experiment on it depend on this name, as on any label.
    spec
        What builds and identifies it.
    """

    label: str
    spec: ProblemSpec

    @property
    def stated(self) -> StatedProblem:
        """The problem as an experiment file would state it."""
        return StatedProblem((self.spec,))


def bound_problem(table: Mapping[str, object], where: str, catalogue: Catalogue) -> ProblemSpec:
    """Return what builds the problem of a table, having built it.

    Parameters
    ----------
    table
        ``family``, keyword arguments of its function, the ``reward`` and ``policy`` class, each a table
        with ``name``, and ``preferences``, the annotator's law, such a table or a name. A class or law
        equal to the family's own is no parameter.
    where
        Dotted key of the table, for errors.
    catalogue
        The families and classes that are known.

    Raises
    ------
    InvalidArgumentError
        For anything that cannot be built, and for one whose exact evaluation would take minutes.
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
    given = {key: value for key, value in table.items() if key not in ("family", *OWN_KEYS)}
    known = function_parameters(function)
    # What a family passes on, such as the arguments of an environment, is checked by its receiver.
    passed_on = {key: given[key] for key in given if key not in known and takes_any_key(function)}
    bound = {key: given[key] for key in given if key not in passed_on}
    parameters = bind(bound, known, where, Components(catalogue.solvers)) | passed_on
    with located(where):
        spec = ProblemSpec(family, _pinned(function, parameters), function)
        problem = spec.build()
    classes = {
        key: _bound_class(key, table[key], join(where, key), catalogue)
        for key in CLASS_KEYS
        if key in table
    }
    laws = {key: _bound_law(table[key], join(where, key)) for key in (PREFERENCES,) if key in table}
    if not isinstance(problem, Problem):
        for key in classes | laws:
            raise InvalidArgumentError(
                join(where, key),
                "a law of labels" if key in laws else "a class",
                f"leave it out: family {family!r} has no {key} table, its levels are closed forms",
            )
        return spec
    own = {"reward": problem.reward_class, "policy": problem.policy_class}
    classes = {key: found for key, found in classes.items() if found != own[key]}
    for key in classes:
        # Binding allocates what the class needs of the problem, and refuses what it cannot represent.
        with located(join(where, key)):
            classes[key].bind(problem.model_inputs)
    laws = {key: law for key, law in laws.items() if law != problem.preferences}
    _check_size(problem.with_preferences(laws[PREFERENCES]) if laws else problem, where)
    chosen = {**classes, **laws}
    return replace(spec, parameters={**spec.parameters, **chosen}) if chosen else spec


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


def _bound_law(given: object, where: str) -> Any:
    """Return the law of labels that a table or a name stands for."""
    from theory_check.problems.preferences import LAWS, PreferenceLaw

    if isinstance(given, str):
        given = {"name": given}
    if not isinstance(given, Mapping):
        raise InvalidArgumentError(
            where,
            shortened(given),
            f"pass the name of a law, or a table with it; {nearest('', LAWS)}",
        )
    return coerce(given, PreferenceLaw, where, Components(LAWS))


def _check_size(problem: Any, where: str) -> None:
    """Refuse a problem that the exact oracle of every measurement would refuse in its cell."""
    # Here, so that reading an experiment's format does not load the oracles.
    from theory_check.oracles.comparisons.choice import require_affordable

    with located(where):
        require_affordable(problem)


INSTANCES, STARTS, SEED = "instances", "starts", "seed"
"""Keys of a problem's table: how many instances, how many starts on each; and what tells them apart."""


@dataclass(frozen=True)
class StatedProblem:
    """A problem of an experiment file.

    Attributes
    ----------
    instances
        Every instance; the only one where the problem is fixed.
    starts
        Replicates on each random instance; None for a fixed one, which has those of the file.
    sizes
        What the file says of a family, in words; ``""`` for a fixed problem.
    """

    instances: tuple[ProblemSpec, ...]
    starts: int | None = None
    sizes: str = ""

    def numbered(self, most: int | None) -> Iterator[tuple[int | None, ProblemSpec]]:
        """Yield instances with their numbers, ``most`` of them; None where there is a fixed one."""
        if self.starts is None:
            yield None, self.instances[0]
        else:
            yield from enumerate(self.instances[:most])

    def require_fit(self, label: str, measurement: Measurement, seeds: int) -> int:
        """Return the replicates on an instance, ``seeds`` where it is fixed.

        A measurement that needs more of them, or what such a problem or its oracles lack, is refused.
        """
        # Here, so that reading an experiment's format does not load the oracles.
        from theory_check.oracles.instruments import require_fit

        where, problem = f"problems.{label}", self.instances[0].build()
        measurement.require_problem(where, problem, label)
        for solver in measurement.solvers():
            require_fit(where, problem, label, solver)
        if self.starts is None:
            measurement.require_seeds("seeds", seeds)
            return seeds
        measurement.require_seeds(f"{where}.{STARTS}", self.starts)
        return self.starts


def named_table(
    given: Mapping[str, object] | str, label: str, catalogue: Catalogue
) -> Mapping[str, object]:
    """Return the table of a problem, which an experiment file writes out or names.

    Raises
    ------
    InvalidArgumentError
        For a name that no ``problems.toml`` has, with the nearest that one has, and for what is neither.
    """
    if isinstance(given, Mapping):
        return given
    if not isinstance(given, str):
        remedy = "write a table with a family, or the name of one"
        raise InvalidArgumentError(f"problems.{label}", shortened(given), remedy)
    require_choice(f"problems.{label}", given, catalogue.problems)
    table: Mapping[str, object] = catalogue.problems[given]
    return table


def stated_problem(table: Mapping[str, object], where: str, catalogue: Catalogue) -> StatedProblem:
    """Return the problem of a table, every instance of it built once.

    Parameters
    ----------
    table
        As of :func:`theory_check.runs.problem_table.bound_problem`; with ``instances`` and ``starts`` it
        stands for the family with ``seed = 0 .. instances - 1``.
    where
        Dotted key of the table, for errors.
    catalogue
        The families and classes that are known.

    Raises
    ------
    InvalidArgumentError
        For anything that cannot be built; for fewer than two instances, or one of the two keys
        without the other; for a family without a ``seed``, or a table that sets it.
    """
    given = {key: table[key] for key in (INSTANCES, STARTS) if key in table}
    if not given:
        return StatedProblem((bound_problem(table, where, catalogue),))
    rest = {key: value for key, value in table.items() if key not in given}
    with located(where):
        for key in (INSTANCES, STARTS):
            if key not in given:
                raise InvalidArgumentError(
                    key, "nothing", f"set {INSTANCES} and {STARTS}, or neither for a fixed problem"
                )
            # An instance is built when the file is read; its starts have the seeds of a block.
            require_replicates(key, given[key])
        if given[INSTANCES] == 1:
            raise InvalidArgumentError(
                INSTANCES, 1, "pass at least 2, or leave it out for a fixed problem"
            )
        if SEED in rest:
            raise InvalidArgumentError(
                SEED, shortened(rest[SEED]), "leave it out: every instance has a seed of its own"
            )
    family = str(rest.get("family"))
    # An unknown family is refused below, with the nearest name.
    if family in catalogue.families and SEED not in function_parameters(catalogue.families[family]):
        raise InvalidArgumentError(
            join(where, INSTANCES),
            shortened(given[INSTANCES]),
            f"leave it out: family {family!r} draws nothing at random",
        )
    number, starts = (int(str(given[key])) for key in (INSTANCES, STARTS))
    bound = tuple(
        bound_problem({**rest, SEED: instance}, where, catalogue) for instance in range(number)
    )
    return StatedProblem(bound, starts, sizes_in_words(rest))


def sizes_in_words(table: Mapping[str, object]) -> str:
    """Return what a table says of its instances: the family and its parameters."""
    left_out = ("family", INSTANCES, STARTS, *OWN_KEYS)
    sizes = ", ".join(
        f"{key.replace('_', ' ')} {value}" for key, value in table.items() if key not in left_out
    )
    return f"{table.get('family')} instances ({sizes})"
