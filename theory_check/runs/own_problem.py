"""A problem of one's own, on which an experiment is run in place of those that its file states."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from theory_check.errors import InvalidArgumentError, shortened
from theory_check.problems.spec import PREFERENCES, ProblemSpec
from theory_check.runs.identity import plain
from theory_check.runs.problem_table import OwnProblem

if TYPE_CHECKING:
    from theory_check.claims.base import Claim
    from theory_check.runs.spec import Cell, Experiment


def problem_of_cells(cells: Iterable[Cell], label: str) -> OwnProblem:
    """Return the problem of a label, one of those that the cells have.

    Raises
    ------
    InvalidArgumentError
        Where the label stands for random instances.
    """
    cell = next(cell for cell in cells if cell.label == label)
    name = f"{cell.experiment}/{label}"
    return fixed_problem(label, name, cell.problem, drawn=cell.instance is not None)


def fixed_problem(label: str, name: str, spec: ProblemSpec, *, drawn: bool) -> OwnProblem:
    """Return a stated problem as one to judge on.

    Parameters
    ----------
    label, name
        What tables call it, and what somebody called it.
    spec
        What builds it, or the first of its instances.
    drawn
        Whether it stands for random instances of a family.

    Raises
    ------
    InvalidArgumentError
        Where it does.
    """
    if drawn:
        raise InvalidArgumentError(
            "--problem",
            f"{name}, random instances of a family",
            f"name a fixed problem, or one instance: {spec.family} with --set seed=0 and the like",
        )
    return OwnProblem(label, spec)


def given_problem(problem: object) -> OwnProblem:
    """Return a problem that was built by hand, identified by the digest of its content.

    Parameters
    ----------
    problem
        A :class:`~theory_check.problems.Problem`. Its name is the label; reward and policy class and
        the law of labels count with their settings and source, as in an experiment file.

    Raises
    ------
    InvalidArgumentError
        For anything else, a class that derives from it, or a reward or policy class or law whose
        settings or source cannot be told: nothing would then say which stored results are the problem's.
    """
    # Here, so that naming a problem does not load torch.
    from theory_check.models import Linear, Tabular
    from theory_check.problems.preferences import BradleyTerry
    from theory_check.problems.problem import Problem, require_problem
    from theory_check.problems.stored import GivenProblem, content_digest

    require_problem(problem)
    given: Any = problem
    if type(given) is not Problem:
        raise InvalidArgumentError(
            "problem",
            f"an object of the derived class {type(given).__name__}",
            "write a family that returns it, in a study, and name it in an experiment file",
        )
    own = {"reward_class": Linear(), "policy_class": Tabular(), PREFERENCES: BradleyTerry()}
    others = {name: found for name in own if (found := getattr(given, name)) != own[name]}
    for name, value in others.items():
        _require_identity(f"problem.{name}", value)
    chosen = {name.removesuffix("_class"): value for name, value in others.items()}
    parameters = {"sha256": content_digest(given), **chosen}
    return OwnProblem(given.name, ProblemSpec("given", parameters, GivenProblem(given)))


def _require_identity(argument: str, component: object) -> None:
    try:
        plain(component)
    except TypeError as error:
        raise InvalidArgumentError(
            argument, shortened(component), "make it a frozen dataclass of numbers and text"
        ) from error
    module = sys.modules.get(type(component).__module__)
    if getattr(module, "__file__", None) is None:
        raise InvalidArgumentError(
            argument,
            f"the class {type(component).__name__}, which no file defines",
            "define it in a file, whose content then identifies what was computed with it",
        )


def is_audited_in(experiment: Experiment, problem: object) -> bool:
    """Return whether an experiment is about such problems: of this class, and discounted as this one."""
    return any(
        type(each) is type(problem) and _is_discounted(each) == _is_discounted(problem)
        for each in problems_of(experiment)
    )


def _is_discounted(problem: object) -> bool:
    return getattr(problem, "horizon", 1) is None


def problems_of(experiment: Experiment) -> list[Any]:
    """Return the problems of an experiment, one instance of each label."""
    first = {cell.label: cell for cell in reversed(experiment.full)}
    return [cell.problem.build() for cell in first.values()]


def require_fitting(claim: Claim, experiment: Experiment, problem: object) -> None:
    """Refuse a problem of a kind that the claim's experiment has none of.

    Raises
    ------
    InvalidArgumentError
        Naming the families that it has.
    """
    stated = problems_of(experiment)
    families = ", ".join(sorted({cell.problem.family for cell in experiment.full}))
    alike = [each for each in stated if type(each) is type(problem)]
    if not alike:
        raise InvalidArgumentError(
            "problem",
            f"{shortened(getattr(problem, 'name', type(problem).__name__))}, a "
            f"{type(problem).__name__}",
            f"{claim.id} is about problems of the families {families}: pass one of these, or judge "
            "another claim",
        )
    if _has_own_classes(problem) not in {_has_own_classes(each) for each in alike}:
        own = "linear rewards and tabular policies"
        stated_on, remedy = (
            (
                f"other classes than {own}",
                "name a reward or policy class in the table of the problem",
            )
            if not _has_own_classes(problem)
            else (own, "leave the classes out")
        )
        raise InvalidArgumentError(
            "problem",
            f"{shortened(getattr(problem, 'name', ''))}, with other classes than the claim is about",
            f"{claim.id} is about {stated_on}: {remedy}, or judge another claim",
        )


def _has_own_classes(problem: Any) -> bool:
    """Return whether a problem searches other rewards or policies than linear and tabular ones."""
    from theory_check.models import Linear, Tabular

    found = getattr(problem, "reward_class", Linear()), getattr(problem, "policy_class", Tabular())
    return found != (Linear(), Tabular())
