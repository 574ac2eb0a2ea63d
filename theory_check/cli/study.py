"""The commands ``new`` and ``check``: a study to start from, and whether one keeps the contracts."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory_check.catalogue import KINDS, MARK, STUDY, Catalogue, Root, home, study_of
from theory_check.cli import words
from theory_check.errors import (
    InvalidArgumentError,
    StoreError,
    TheoryCheckError,
    one_line,
    shortened,
)

if TYPE_CHECKING:
    from theory_check.claims.base import Claim
    from theory_check.runs import Experiment
    from theory_check.runs.spec import Cell
    from theory_check.testing import Check

TEMPLATE = "study_template"
"""The study that ``new`` writes, beside ``experiments/``."""

GENERATED = ("__pycache__", "results")

NEW, CHECK = "write a small study that works, to be edited", "check the components of a study"

NEW_EPILOG = """\
example:
  theory-check new my-study && theory-check check my-study && theory-check --study my-study verify

exit codes:
  0    the study is written
  2    bad input: a folder that is not empty, or that cannot be written
"""

CHECK_EPILOG = """\
What is checked, each against numerical differentiation or a planted example where it can be: problems
(with the arguments of the study's experiments), reward and policy classes, solvers (as their methods, or
the study's experiments, configure them), claims, experiment files and figure scripts.

exit codes:
  0    everything passes
  1    a check fails, or a file cannot be imported
  2    bad input: no such folder, none that is a study, or two components of one name
"""


def add_new_words(parser: argparse.ArgumentParser) -> None:
    """Add the words of ``new``."""
    parser.add_argument(
        "folder", metavar="DIR", type=Path, help="folder to write: a new one, or empty"
    )


def add_check_words(parser: argparse.ArgumentParser) -> None:
    """Add the words of ``check``."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        type=Path,
        nargs="?",
        help=f"the study; if absent, that of --study, or of the nearest {MARK}",
    )


def add_verify_words(parser: argparse.ArgumentParser) -> None:
    """Add what ``verify`` judges."""
    parser.add_argument(
        "claims",
        metavar="CLAIM",
        nargs="*",
        help="id of a claim; if absent all, and within a study those of the study alone",
    )
    parser.add_argument(
        "--all", action="store_true", help="within a study, judge the package's claims as well"
    )


def write_new(options: argparse.Namespace) -> None:
    """Write a small study that works into a new or an empty folder.

    Raises
    ------
    InvalidArgumentError
        For a folder that holds anything, or what is no folder.
    StoreError
        Where it cannot be written.
    """
    folder: Path = options.folder
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            kind = "which is not empty" if folder.is_dir() else "which is no folder"
            raise InvalidArgumentError(
                "DIR", f"{shortened(str(folder))}, {kind}", "pass a new folder, or an empty one"
            )
        ignored = shutil.ignore_patterns(*GENERATED)
        shutil.copytree(home() / TEMPLATE, folder, ignore=ignored, dirs_exist_ok=True)
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise StoreError(f"cannot write a study to {folder}: {reason}") from error
    name = folder.as_posix()
    print(
        words.joined(
            [
                f"wrote {name}, which {name}/README.md describes",
                f"next:  theory-check check {name}",
                f"       theory-check --study {name} verify",
            ]
        )
    )


def run_check(options: argparse.Namespace) -> bool:
    """Check all components of a study, print what came of it and return whether all passed.

    Raises
    ------
    InvalidArgumentError
        Where there is no study.
    """
    from theory_check.cli.reporting import aligned

    folder: Path | None = options.folder or options.study or study_of()
    if folder is None:
        raise InvalidArgumentError("DIR", "nothing, outside of a study", "pass the folder of one")
    root = Root.of_folder(folder)
    everything = options.catalogue.with_folder(folder)
    failed = everything.failures((root,))
    own = Catalogue((root,))
    for kind in KINDS:
        if getattr(own, kind):
            getattr(everything, kind)  # a twin of another component is refused before any work
    checks = list(_checks(own, everything))
    broken = [(kind, check) for kind, check in checks if not check.passed]
    rows = [("", "component", "check", ""), *_rows(checks)]
    lines = [*aligned(rows), ""] if checks else []
    for kind, check in broken:
        lines += [f"{kind} {check.component}, {check.name}:", f"  {check.detail}", ""]
    if failed:
        lines += ["cannot be imported:", *(f"  {failure}" for failure in failed), ""]
    components = {(kind, check.component) for kind, check in checks}
    total = f"{len(components)} components, {len(checks)} checks: {len(broken)} fail"
    print(words.joined([*lines, f"{total}, {len(failed)} files cannot be imported"]))
    if not checks and not failed:
        raise InvalidArgumentError("DIR", shortened(str(folder)), "pass a study with a component")
    return not broken and not failed


def _rows(checks: list[tuple[str, Check]]) -> Iterator[tuple[str, ...]]:
    before = None
    for kind, check in checks:
        named = (kind, check.component) if (kind, check.component) != before else ("", "")
        before = kind, check.component
        yield (*named, check.name, "passes" if check.passed else "FAILS")


def _checks(own: Catalogue, catalogue: Catalogue) -> Iterator[tuple[str, Check]]:
    """Yield the checks of all components of a study, each with its kind."""
    from theory_check.runs import load_experiment
    from theory_check.testing import Check, check_claim, check_class, check_problem, check_solver

    experiments: list[Experiment] = []
    loading: list[Check] = []
    for name, path in own.experiments.items():
        detail = ""
        try:
            experiments.append(load_experiment(path, catalogue))
        except TheoryCheckError as error:
            detail = str(error)
        loading.append(Check(name, "it can be read", not detail, detail))
    for name, family in own.families.items():
        for label, (build, parameters) in _stated(name, family, experiments).items():
            for check in check_problem(build, parameters, name=label):
                yield "problem", check
    for kind, classes in (("reward", own.rewards), ("policy", own.policies)):
        for cls in classes.values():
            for check in check_class(cls):
                yield kind, check
    for method in own.methods.values():
        for check in check_solver(method):
            yield "method", check
    compared = {method.solver for method in own.methods.values()}
    for name, cls in own.solvers.items():
        used = _configured(cls, experiments)
        for solver, cell in used.items():
            problem = {str(cell): cell.problem.build()}
            for check in check_solver(solver, problem):
                yield "solver", check
        if not used and cls not in compared:
            detail = "nothing configures it; define a Method beside it, or use it in an experiment"
            yield "solver", Check(name, "it is used", False, detail)
    for claim in own.claims.values():
        for check in check_claim(claim, catalogue):
            yield "claim", check
    for check in loading:
        yield "experiment", check
    for path in own.figures.values():
        yield "figure", _figure(path, catalogue)


def _stated(
    name: str, family: Callable[..., Any], experiments: list[Experiment]
) -> dict[str, tuple[Callable[..., Any], Mapping[str, Any] | None]]:
    """Return how the study's experiments build a family, by label; by itself where none does."""
    found: dict[str, tuple[Callable[..., Any], Mapping[str, Any] | None]] = {}
    for experiment in experiments:
        for cell in experiment.full:
            spec = cell.problem
            if spec.family == name and spec.parameters not in [each for _, each in found.values()]:
                found[f"{experiment.name}/{cell.label}"] = spec.with_parameters, spec.parameters
    return found or {name: (family, None)}


def _configured(cls: type, experiments: list[Experiment]) -> dict[Any, Cell]:
    """Return the solvers of a class that experiments run, each with the first cell that does."""
    found: dict[Any, Cell] = {}
    for cell in (cell for experiment in experiments for cell in experiment.full):
        for field in dataclasses.fields(cell.measurement):  # type: ignore[arg-type]
            value = getattr(cell.measurement, field.name)
            if type(value) is cls:
                found.setdefault(value, cell)
    return found


def _figure(path: Path, catalogue: Catalogue) -> Check:
    """Check that a figure script can be imported and names what there is."""
    from theory_check.cli.figures import SIGNATURE, FigureScript, load_drawing
    from theory_check.testing import Check
    from theory_check.testing.contract import raised

    try:
        script = FigureScript(path, load_drawing(path, SIGNATURE), catalogue)
        unknown = [name for name in script.experiments if name not in catalogue.experiments]
        detail = f"there is no experiment {unknown[0]!r}" if unknown else ""
    except Exception as error:  # of somebody else's script
        detail = raised(error)
    return Check(path.stem, "it can be drawn", not detail, detail)


def own_claims(options: argparse.Namespace) -> list[Claim]:
    """Return the claims of the study where no others are asked for; none outside of a study.

    Raises
    ------
    InvalidArgumentError
        For a study without claims.
    """
    roots = tuple(root for root in options.catalogue.studies if root.package.startswith(STUDY))
    if options.claims or options.all or not roots:
        return []
    claims = list(Catalogue(roots).claims.values())
    if not claims:
        raise InvalidArgumentError(
            "CLAIM", "nothing, in a study without claims of its own", "name one, or pass --all"
        )
    return claims
