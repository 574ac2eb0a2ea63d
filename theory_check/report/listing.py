"""The listing of what there is: names of components and what they say of themselves, from their files.

Components are read by the rules by which the catalogue finds them. A file that does not write out what
is asked for, such as a name that is computed, is imported instead; names that a file makes by other means
than a class, a function or a call are not seen.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from theory_check.catalogue import PACKAGE, Catalogue
from theory_check.errors import DuplicateNameError
from theory_check.provenance import FOR_ACCURACY
from theory_check.report.static_source import (
    REQUIRED,
    Reader,
    Record,
    StaticClass,
    StaticModule,
    Unread,
)

# Nothing here loads torch, which takes longer than all of the rest: components are read, not imported.

if TYPE_CHECKING:
    from theory_check.catalogue import Root

REWARD = "theory_check.models.base.RewardClass"
POLICY = "theory_check.models.base.PolicyClass"
MEASUREMENT = "theory_check.measurements.base.Measurement"
METHOD = "theory_check.solvers.method.Method"
WORST_CASE = "theory_check.worst_cases.base.WorstCase"

UNREADABLE = (Unread, AttributeError, RecursionError, TypeError)
"""What reading a file may raise that does something unforeseen: it is imported, and shows what it is."""

Found: TypeAlias = Iterator[tuple[str, str]]
"""Names and what is said of each."""


@dataclass(frozen=True)
class Section:
    """Components of one kind.

    Attributes
    ----------
    title
        Of the section.
    room
        Where they are.
    read
        Reads them from a file.
    imported
        Returns all of them, where a file has to be run.
    line
        Says of an imported one what ``read`` says.
    """

    title: str
    room: str
    read: Callable[[StaticModule], Found]
    imported: Callable[[Catalogue], Mapping[str, Any]]
    line: Callable[[Any], str]


@dataclass
class Listing:
    """The sections of the listing, and what could not be read.

    Attributes
    ----------
    sections
        Names and lines by the title of the section.
    failures
        Files that are no Python or, where they have to be imported, fail; with the reason.
    imported
        Sections for which files had to be run.
    """

    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    imported: list[str] = field(default_factory=list)


def listing(catalogue: Catalogue, titles: Container[str] | None = None) -> Listing:
    """Return what the rooms of a catalogue hold: of the sections of some titles, or of all.

    Raises
    ------
    DuplicateNameError
        Where two components of one kind have the same name.
    """
    found = Listing()
    reader = Reader({"theory_check": PACKAGE, **{r.package: r.folder for r in catalogue.roots}})
    for section in SECTIONS:
        if titles is not None and section.title not in titles:
            continue
        try:
            modules = _modules(reader, catalogue.roots, section.room, found.failures)
            entries = _entries(section, modules)
            given = section.imported(Catalogue(given=catalogue.given))
            entries |= {name: section.line(member) for name, member in given.items()}
        except UNREADABLE:
            found.imported.append(section.title)
            members = section.imported(catalogue)
            entries = {name: section.line(member) for name, member in members.items()}
            for failed in catalogue.failures():
                reason = failed.traceback.strip().splitlines()[-1]
                found.failures[failed.path.as_posix()] = reason
        found.sections[section.title] = entries
    return found


def _entries(section: Section, modules: Iterable[StaticModule]) -> dict[str, str]:
    entries: dict[str, str] = {}
    places: dict[str, str] = {}
    for module in modules:
        for name, line in section.read(module):
            if name in entries:
                raise DuplicateNameError(
                    f"{section.title}: {places[name]} and {module.name} both define {name!r}; give "
                    "one of them another name"
                )
            entries[name], places[name] = line, module.name
    return entries


def _modules(
    reader: Reader, roots: Iterable[Root], room: str, failures: dict[str, str]
) -> Iterator[StaticModule]:
    for root in roots:
        for name, path in root.module_names(room):
            try:
                module = reader.module(name)
            except (OSError, ValueError, SyntaxError) as error:
                failures[path.as_posix()] = str(error)
                continue
            if module is not None:
                yield module


def first_line(docstring: str | None) -> str:
    """Return the first line of a docstring, or nothing."""
    text = (docstring or "").strip()
    return text.splitlines()[0] if text else ""


def with_settings(summary: str, settings: Mapping[str, object]) -> str:
    """Return a summary and settings with their defaults, as in an experiment file."""
    shown = [
        name if default is REQUIRED else f"{name} = {json.dumps(default)}"
        for name, default in settings.items()
    ]
    return " ".join([summary, *([f"({', '.join(shown)})"] if shown else [])])


def stated(method: Any) -> str:
    """Return title, information and stated rate of a method that ``compare`` compares."""
    rate = method.rate
    words = (
        "no stated rate"
        if rate is None
        else f"epsilon^-{rate.exponent:g} {rate.cost}{FOR_ACCURACY[rate.accuracy]} "
        f"[{rate.provenance}] ({rate.source})"
    )
    return f"{method.title}: {method.solver.information}, {words}"


def _family(module: StaticModule) -> Found:
    name = module.name.rpartition(".")[2]
    if not module.defines(name):
        return
    match module.get(name):
        case ast.FunctionDef() as function:
            yield name, first_line(ast.get_docstring(function, clean=False))
        case StaticClass() as found:
            yield name, first_line(found.docstring)


def _named(
    key: str, wanted: Callable[[StaticClass], bool], line: Callable[[StaticClass], str]
) -> Callable[[StaticModule], Found]:
    def read(module: StaticModule) -> Found:
        for found in module.own_classes():
            if not wanted(found):
                continue
            try:
                name = found.attribute(key)
            except AttributeError:
                continue
            yield name, line(found)

    return read


def _derived(base: str) -> Callable[[StaticClass], bool]:
    def wanted(found: StaticClass) -> bool:
        return found.path != base and any(each.path == base for each in found.ancestors())

    return wanted


def _instances(base: str, line: Callable[[Any], str]) -> Callable[[StaticModule], Found]:
    def read(module: StaticModule) -> Found:
        for name, call in module.own_calls():
            try:
                made = module.get(name)
            except Unread:
                # What is given an id without being a class that can be read may be a component.
                if any(keyword.arg == "id" for keyword in call.keywords):
                    raise
                continue
            if isinstance(made, Record) and made.is_a(base):
                yield made.id, line(made)

    return read


def _summary(found: StaticClass) -> str:
    return first_line(found.docstring)


def _summary_and_settings(found: StaticClass) -> str:
    return with_settings(first_line(found.docstring), found.fields())


def _imported_summary(component: object) -> str:
    return first_line(getattr(component, "__doc__", None))


def _imported_settings(component: type) -> str:
    from theory_check.runs.build import REQUIRED as NO_DEFAULT
    from theory_check.runs.build import field_parameters

    settings = {
        name: REQUIRED if parameter.default is NO_DEFAULT else parameter.default
        for name, parameter in field_parameters(component).items()
    }
    return with_settings(_imported_summary(component), settings)


SECTIONS = (
    Section("problems", "problems", _family, lambda known: known.families, _imported_summary),
    Section(
        "reward classes",
        "models",
        _named("name", _derived(REWARD), _summary_and_settings),
        lambda known: known.rewards,
        _imported_settings,
    ),
    Section(
        "policy classes",
        "models",
        _named("name", _derived(POLICY), _summary_and_settings),
        lambda known: known.policies,
        _imported_settings,
    ),
    Section(
        "solvers",
        "solvers",
        _named("name", lambda found: found.is_dataclass, _summary),
        lambda known: known.solvers,
        _imported_summary,
    ),
    Section("methods", "solvers", _instances(METHOD, stated), lambda known: known.methods, stated),
    Section(
        "measurements",
        "measurements",
        _named("kind", _derived(MEASUREMENT), _summary),
        lambda known: known.measurements,
        _imported_summary,
    ),
    Section(
        "worst cases",
        "worst cases",
        _instances(WORST_CASE, lambda case: str(case.quantity)),
        lambda known: known.worst_cases,
        lambda case: str(case.quantity),
    ),
)
"""Everything that is found by being in a room, in the order in which it is listed."""
