"""Problems, search spaces and claims as somebody names them in words, such as those of a command."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any, get_args

from theory_check.catalogue import STUDY, Catalogue
from theory_check.catalogue.catalogue import experiment_file
from theory_check.claims.base import Claim
from theory_check.errors import InvalidArgumentError, nearest, require_choice, shortened
from theory_check.problems import Problem
from theory_check.runs.build import REQUIRED, Components, build, function_parameters, parsed
from theory_check.runs.own_problem import fixed_problem, problem_of_cells
from theory_check.runs.problem_table import (
    OwnProblem,
    StatedProblem,
    bound_problem,
    named_table,
    stated_problem,
)
from theory_check.runs.spec import load_experiment

if TYPE_CHECKING:
    from theory_check.worst_cases.base import WorstCase
    from theory_check.worst_cases.spaces import Space


def find_problem(name: str, settings: Sequence[str], catalogue: Catalogue) -> Any:
    """Build the problem that ``--problem`` and ``--set`` stand for; raises as :func:`named_problem`."""
    advisable = [
        family
        for family, function in catalogue.families.items()
        if signature(function).return_annotation in (Problem, Problem.__name__)
    ]
    return named_problem(name, settings, catalogue, advisable).spec.build()


def named_problem(
    name: str,
    settings: Sequence[str],
    catalogue: Catalogue,
    offered: Sequence[str] | None = None,
) -> OwnProblem:
    """Return the problem that ``--problem`` and ``--set`` stand for.

    A family with its arguments; a name of ``problems.toml``; ``EXPERIMENT/LABEL``; or ``FILE/LABEL``, of
    an experiment file or of a file with nothing but tables of problems.

    ``offered`` are the families that an unknown one is compared with; all when absent.

    Raises
    ------
    InvalidArgumentError
        For an unknown family, experiment, label or key, keys left out, a value that does not fit, or
        a label of random instances.
    """
    if "/" not in name and name in catalogue.problems and not settings:
        return _fixed(name, stated_problem(catalogue.problems[name], name, catalogue))
    if "/" not in name:
        given = dict(parse_setting(text) for text in settings)
        if name not in catalogue.families:
            known_families = catalogue.families if offered is None else offered
            raise InvalidArgumentError("--problem", shortened(name), nearest(name, known_families))
        known = function_parameters(catalogue.families[name])
        # One that may be None is None where it is left out, as in an experiment file.
        missing = [
            key
            for key, parameter in known.items()
            if parameter.default is REQUIRED
            and key not in given
            and type(None) not in get_args(parameter.hint)
        ]
        if missing and known.keys() >= given.keys():
            raise InvalidArgumentError(
                "--set",
                f"no {', '.join(missing)}",
                f"add {' '.join(f'--set {key}=VALUE' for key in missing)}",
            )
        return OwnProblem(name, bound_problem({"family": name, **given}, "--set", catalogue))
    if settings:
        raise InvalidArgumentError(
            "--set",
            shortened(settings[0]),
            "leave it out: an experiment file says all of its problem",
        )
    stem, _, label = name.rpartition("/")
    file = experiment_file(stem, catalogue)
    try:
        stated = parsed(file)
        if "measurement" not in stated:
            return _of_tables(stated, label, catalogue)
    except InvalidArgumentError as error:
        argument = f"{file}: {error.argument}"
        raise InvalidArgumentError(argument, error.received, error.remedy) from error
    cells = load_experiment(file, catalogue).full
    labels = {cell.label for cell in cells}
    if label not in labels:
        raise InvalidArgumentError(
            "--problem", shortened(name), f"in {stem}: {nearest(label, labels)}"
        )
    return problem_of_cells(cells, label)


def _of_tables(stated: Mapping[str, Any], label: str, catalogue: Catalogue) -> OwnProblem:
    """Return a problem of a file with nothing but tables of problems."""
    within = stated.get("problems", stated)
    tables = within if isinstance(within, dict) else {}
    require_choice("--problem", label, tables)
    table = named_table(tables[label], label, catalogue)
    return _fixed(label, stated_problem(table, label, catalogue))


def _fixed(label: str, stated: StatedProblem) -> OwnProblem:
    """Return a stated problem as one to judge on, unless it is random instances of a family."""
    return fixed_problem(label, label, stated.instances[0], drawn=stated.starts is not None)


def parse_setting(text: str) -> tuple[str, object]:
    """Return key and value of one ``--set``; a bare word is a string."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key.isidentifier():
        raise InvalidArgumentError(
            "--set", shortened(text), "write KEY=VALUE, as in --set states=3"
        )
    try:
        table = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError) as error:
        word = value.strip()
        if not word.isidentifier():
            raise InvalidArgumentError(
                f"--set.{key}", shortened(value), "write the value as in a TOML file"
            ) from error
        table = {"value": {"True": True, "False": False}.get(word, word)}
    if len(table) > 1:
        raise InvalidArgumentError(f"--set.{key}", shortened(value), "write one value, on one line")
    parsed = table["value"]
    # 1e3 is a whole number to whoever writes it, though not to TOML.
    whole = isinstance(parsed, float) and parsed.is_integer() and "." not in value
    return key, int(parsed) if whole else parsed


def own_problem(
    name: str | None, settings: Sequence[str], claims: Sequence[str], catalogue: Catalogue
) -> OwnProblem | None:
    """Return the problem on which the named claims are judged, None where it is those of their files.

    Raises
    ------
    InvalidArgumentError
        Without a claim, for settings of no problem, or a problem that does not exist.
    """
    if name is None:
        if settings:
            raise InvalidArgumentError("--set", settings[0], "name a family with --problem")
        return None
    if not claims:
        raise InvalidArgumentError("CLAIM", "none", "name the claims to judge on the --problem")
    return named_problem(name, settings, catalogue)


def find_case(name: str, catalogue: Catalogue) -> WorstCase:
    """Return the quantity of that name whose worst instance can be searched.

    Raises
    ------
    InvalidArgumentError
        Where there is none.
    """
    known = catalogue.worst_cases
    require_choice("claim", name, known)
    found: WorstCase = known[name]
    return found


def find_space(family: str, settings: Sequence[str]) -> Space:
    """Return the search space that ``--family`` and ``--set`` stand for.

    Raises
    ------
    InvalidArgumentError
        For an unknown family or key, or a value that does not fit.
    """
    # Here, since it brings an optimiser that nothing else needs.
    from theory_check.worst_cases.spaces import SPACES

    given = dict(parse_setting(text) for text in settings)
    require_choice("--family", family, SPACES)
    space: Space = build(SPACES[family], given, "--set", Components())
    return space


def chosen_claims(
    names: Sequence[str],
    catalogue: Catalogue,
    say: Callable[[str], None],
    *,
    everything: bool = False,
) -> list[Claim]:
    """Return the named claims; without names those of the study, or all whose experiment is there.

    ``say`` is told which have no experiment, and ``everything`` asks for all within a study too.

    Raises
    ------
    InvalidArgumentError
        For an unknown claim, or a study without claims.
    """
    if names:
        return [catalogue.claim(name) for name in dict.fromkeys(names)]
    roots = tuple(root for root in catalogue.studies if root.package.startswith(STUDY))
    if roots and not everything:
        claims = list(Catalogue(roots).claims.values())
        if not claims:
            raise InvalidArgumentError(
                "CLAIM", "nothing, in a study without claims of its own", "name one, or pass --all"
            )
        return claims
    files = catalogue.experiments
    claims = list(catalogue.claims.values())
    left_out = [claim.id for claim in claims if claim.experiment not in files]
    if left_out:
        say(f"without their experiments, not judged: {', '.join(left_out)}")
    return [claim for claim in claims if claim.experiment in files]
