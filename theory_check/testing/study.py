"""Whether all components of a study keep the contracts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory_check.catalogue import KINDS, Catalogue, FailedImport, Root
from theory_check.errors import TheoryCheckError
from theory_check.report.figures import SIGNATURE, FigureScript, load_drawing
from theory_check.report.text import aligned, joined
from theory_check.runs import load_experiment
from theory_check.runs.problem_table import named_table, stated_problem
from theory_check.testing.claims import check_claim
from theory_check.testing.components import check_class, check_problem
from theory_check.testing.contract import Check, raised
from theory_check.testing.solvers import check_solver

if TYPE_CHECKING:
    from theory_check.runs import Experiment
    from theory_check.runs.spec import Cell


@dataclass(frozen=True)
class StudyChecks:
    """What came of checking a study.

    Attributes
    ----------
    checks
        One of each contract and component, with the kind of the component.
    unread
        Files that cannot be imported.
    """

    checks: tuple[tuple[str, Check], ...]
    unread: tuple[FailedImport, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed and every file can be imported."""
        return not self.unread and all(check.passed for _, check in self.checks)

    def text(self) -> str:
        """Return it for a terminal: a table, and what is wrong below it."""
        broken = [(kind, check) for kind, check in self.checks if not check.passed]
        rows = [("", "component", "check", ""), *_rows(self.checks)]
        lines = [*aligned(rows), ""] if self.checks else []
        for kind, check in broken:
            lines += [f"{kind} {check.component}, {check.name}:", f"  {check.detail}", ""]
        if self.unread:
            lines += ["cannot be imported:", *(f"  {failure}" for failure in self.unread), ""]
        components = {(kind, check.component) for kind, check in self.checks}
        total = f"{len(components)} components, {len(self.checks)} checks: {len(broken)} fail"
        return joined([*lines, f"{total}, {len(self.unread)} files cannot be imported"])


def check_study(folder: Path, catalogue: Catalogue) -> StudyChecks:
    """Check all components of a study.

    Parameters
    ----------
    folder
        Of the study.
    catalogue
        What there is beside it.

    Raises
    ------
    InvalidArgumentError
        Where there is no study.
    """
    root = Root.of_folder(folder)
    everything = catalogue.with_folder(folder)
    failed = everything.failures((root,))
    own = Catalogue((root,))
    for kind in KINDS:
        if getattr(own, kind):
            getattr(everything, kind)  # a twin of another component is refused before any work
    return StudyChecks(tuple(_checks(own, everything)), tuple(failed))


def _rows(checks: Sequence[tuple[str, Check]]) -> Iterator[tuple[str, ...]]:
    before = None
    for kind, check in checks:
        named = (kind, check.component) if (kind, check.component) != before else ("", "")
        before = kind, check.component
        yield (*named, check.name, "passes" if check.passed else "FAILS")


def _checks(own: Catalogue, catalogue: Catalogue) -> Iterator[tuple[str, Check]]:
    """Yield the checks of all components of a study, each with its kind."""
    experiments: list[Experiment] = []
    loading: list[Check] = []
    for name, path in own.experiments.items():
        detail = ""
        try:
            experiments.append(load_experiment(path, catalogue))
        except TheoryCheckError as error:
            detail = str(error)
        loading.append(Check(name, "it can be read", not detail, detail))
    for name in own.problems:
        detail = ""
        try:
            stated_problem(named_table(name, name, catalogue), name, catalogue)
        except TheoryCheckError as error:
            detail = str(error)
        loading.append(Check(name, "it can be built", not detail, detail))
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
    try:
        script = FigureScript(path, load_drawing(path, SIGNATURE), catalogue)
        unknown = [name for name in script.experiments if name not in catalogue.experiments]
        detail = f"there is no experiment {unknown[0]!r}" if unknown else ""
    except Exception as error:  # of somebody else's script
        detail = raised(error)
    return Check(path.stem, "it can be drawn", not detail, detail)
