"""All about what has a name: a claim, an audit, an experiment, a problem, a solver and so on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from theory_check.catalogue import Catalogue
from theory_check.catalogue.catalogue import stated_path
from theory_check.claims.audits import Audit
from theory_check.claims.base import KIND_MEANING, Claim
from theory_check.claims.rates import (
    AttainedRate,
    BoundRate,
    CurveRate,
    GeometricRate,
    InequalityRate,
    PowerRate,
    Rate,
    RatioRate,
    ScheduleRate,
    UpperBoundRate,
)
from theory_check.errors import InvalidArgumentError, TheoryCheckError, shortened, suggestion
from theory_check.provenance import PROVENANCE_MEANING
from theory_check.report.arguments import arguments_of, summary_of
from theory_check.report.contents import contents
from theory_check.report.listing import stated
from theory_check.report.screen import (
    STRONG,
    Paragraph,
    Part,
    Row,
    natural_width,
    shown,
)
from theory_check.report.text import finite_numbers, kind_of, name_of
from theory_check.runs.holdings import measured_seconds
from theory_check.runs.progress import time_in_words
from theory_check.runs.spec import Cell, Experiment, load_experiment
from theory_check.runs.store import Store
from theory_check.studies.verification import evidence_for

FACT = 14
"""Columns of what a fact is about; of longer names of arguments the longest decides, up to 24."""


@dataclass(frozen=True)
class Entry:
    """What there is to say of one component.

    Attributes
    ----------
    kind
        Of the component.
    name
        As everything else shows it.
    facts
        What is said, by what it is about.
    arguments
        Of the component or of its experiment, each with its value or default.
    """

    kind: str
    name: str
    facts: Mapping[str, str]
    arguments: Mapping[str, str] = field(default_factory=dict)


def text_of_name(
    name: str, catalogue: Catalogue, store: str | Path, *, width: int | None = None
) -> str:
    """Return all about everything that is called ``name``.

    Parameters
    ----------
    name
        Of one component or more: a claim and its experiment often share theirs.
    catalogue
        What there is.
    store
        Whose results say how long cells take.
    width
        Columns; those of the terminal when absent.

    Raises
    ------
    InvalidArgumentError
        Where nothing has that name.
    """
    parts: list[Part] = []
    for entry in entries_of(name, catalogue, store):
        if parts:
            parts.append("")
        parts.append(Paragraph(f"{entry.kind} {entry.name}", style=STRONG))
        parts += [Row(fact, (FACT, None), indent=2) for fact in entry.facts.items() if fact[1]]
        rows = list(entry.arguments.items())
        if rows:
            longest = min(natural_width(rows, 0), 24)
            parts += [Paragraph("arguments", 2), *(Row(row, (longest, None), 4) for row in rows)]
    return shown(parts, width=width)


def json_of_name(name: str, catalogue: Catalogue, store: str | Path) -> str:
    """Return the same as a JSON list with one object for each component.

    Raises
    ------
    InvalidArgumentError
        As :func:`text_of_name`.
    """
    records = [finite_numbers(asdict(entry)) for entry in entries_of(name, catalogue, store)]
    return json.dumps(records, indent=2, allow_nan=False)


def entries_of(name: str, catalogue: Catalogue, store: str | Path) -> list[Entry]:
    """Return what there is to say of everything that is called ``name``, claims first.

    Raises
    ------
    InvalidArgumentError
        Where nothing has that name.
    """
    kinds: tuple[tuple[Mapping[str, Any], Callable[[Any], Entry]], ...] = (
        (catalogue.claims, lambda claim: _claim(claim, catalogue, store)),
        (catalogue.audits, _audit),
        (catalogue.experiments, lambda path: _experiment(path, catalogue, store)),
        (catalogue.families, lambda family: _component("problem family", name, family)),
        (catalogue.problems, lambda table: Entry("problem", name, {}, _toml(table))),
        (catalogue.rewards, lambda made: _component("reward class", name, made)),
        (catalogue.policies, lambda made: _component("policy class", name, made)),
        (catalogue.solvers, lambda made: _component("solver", name, made)),
        (catalogue.methods, _method),
        (catalogue.measurements, lambda made: _component("measurement", name, made)),
        (catalogue.worst_cases, _worst_case),
    )
    # A claim is shown with its experiment, which is not repeated where it has the same name.
    found = [describe(known[name]) for known, describe in kinds if name in known]
    if name in catalogue.claims and catalogue.claims[name].experiment == name:
        found = [entry for entry in found if entry.kind != "experiment"]
    stored = contents(catalogue, "problems").get("stored problems", {})
    if name in stored:
        found.append(Entry("stored problem", name, {"origin": stored[name]}))
    if not found:
        names = {each for known, _ in kinds for each in known} | set(stored)
        remedy = f"{suggestion(name, sorted(names))}theory-check list names all there is"
        raise InvalidArgumentError("NAME", shortened(name), remedy)
    return found


def _claim(claim: Claim, catalogue: Catalogue, store: str | Path) -> Entry:
    audits = [f"{name}: {catalogue.audit(name).statement}" for name in claim.audits]
    experiment = _loaded(claim.experiment, catalogue)
    tag, kind = PROVENANCE_MEANING[claim.provenance], KIND_MEANING[claim.kind]
    facts = {
        "statement": claim.statement,
        "source": claim.source,
        "provenance": f"[{claim.provenance}] {tag}",
        "kind": f"{kind_of(claim)}: {kind}",
        "otherwise": claim.otherwise,
        "assumptions": "; ".join(claim.assumptions),
        "audits": "; ".join(audits) or "none",
        "judged by": "; ".join(f"{rate.name}: {rate_in_words(rate)}" for rate in claim.rates),
        "experiment": _where(experiment, claim.experiment),
        "problems": "" if experiment is None else ", ".join(_labels(experiment)),
        "cost": "" if experiment is None else _cost_of_claim(claim, experiment, catalogue, store),
        "command": f"theory-check verify {claim.id} [--quick] [--problem NAME]",
    }
    settings = {} if experiment is None else _settings(experiment)
    return Entry("claim", name_of(claim), facts, settings)


def rate_in_words(rate: Rate) -> str:
    """Return what a rate says of which columns, and what was declared before measuring."""
    where = "".join(f", {column} {value}" for column, value in rate.where.items())
    match rate:
        case PowerRate():
            of = f"1/{rate.x}" if rate.reciprocal else rate.x
            most = "at most " if isinstance(rate, UpperBoundRate) else ""
            rivals = ", ".join(f"{rival:g}" for rival in rate.rivals)
            return (
                f"{rate.y} {most}like {of} to the power {rate.exponent:g} ± {rate.resolution:g} "
                f"(rivals {rivals}){where}"
            )
        case AttainedRate():
            rivals = ", ".join(f"{rival:g}" for rival in rate.rivals)
            return (
                f"{rate.y} like 1/{rate.x} to the power {rate.exponent:g} ± {rate.resolution:g} "
                f"(rivals {rivals}){where}"
            )
        case GeometricRate():
            return f"{rate.y} falls geometrically in {rate.x}{where}"
        case ScheduleRate():
            return (
                f"{rate.y} at most {rate.multiple:g} times {rate.x}, growing like its power "
                f"{rate.resolution:g} of 1/{rate.x} at most{where}"
            )
        case InequalityRate():
            low = "" if rate.low is None else f"{rate.low:g} <= "
            high = "" if rate.high is None else f" <= {rate.high:g}"
            return f"{low}{rate.y}{high} for {1 - rate.allowed_share:.3g} of the seeds{where}"
        case BoundRate():
            return f"the terms of the bound explain {rate.minimum_explained:g} of {rate.y}{where}"
        case CurveRate():
            return f"{rate.y} at most {rate.factor:g} times {rate.bound}{where}"
        case RatioRate():
            return f"{rate.y} is {rate.stated:g} times what is predicted{where}"


def _cost_of_claim(
    claim: Claim, experiment: Experiment, catalogue: Catalogue, store: str | Path
) -> str:
    try:
        names = evidence_for([claim], catalogue)
        all_of = [_loaded(name, catalogue) for name in names if name != claim.experiment]
    except TheoryCheckError:
        all_of = []
    audits = [cell for each in all_of if each is not None for cell in each.cells()]
    beside = f"; with its audits {len(audits)} more: {_took(audits, store)}" if audits else ""
    return _cost(experiment, store) + beside


def _cost(experiment: Experiment, store: str | Path) -> str:
    full, quick = experiment.cells(), experiment.cells(quick=True)
    return (
        f"{_counted(full)}: {_took(full, store)}; small version {_counted(quick)}: "
        f"{_took(quick, store)}"
    )


def _counted(cells: tuple[Cell, ...]) -> str:
    return f"{len(cells)} cell{'s' * (len(cells) != 1)}"


def _took(cells: list[Cell] | tuple[Cell, ...], store: str | Path) -> str:
    """Return the processor time of cells that a store has results of, of whatever source."""
    seconds = measured_seconds(Store(store), cells)
    if not seconds:
        return f"not measured in {store}"
    total = time_in_words(math.fsum(seconds.values()))
    missing = len({cell.key for cell in cells}) - len(seconds)
    return f"{total} of one core" + (f", without {missing} that were not run" if missing else "")


def _audit(audit: Audit) -> Entry:
    facts = {
        "statement": audit.statement,
        "source": audit.source,
        "experiments": ", ".join(audit.experiments),
    }
    return Entry("audit", audit.id, facts)


def _experiment(path: Path, catalogue: Catalogue, store: str | Path) -> Entry:
    experiment = load_experiment(path, catalogue)
    claims = [each for each in catalogue.claims.values() if each.experiment == experiment.name]
    facts = {
        "about": experiment.description,
        "file": stated_path(path),
        "claims": ", ".join(name_of(claim) for claim in claims),
        "problems": ", ".join(_labels(experiment)),
        "cost": _cost(experiment, store),
        "command": f"theory-check run {experiment.name} [--quick]",
    }
    return Entry("experiment", experiment.name, facts, _settings(experiment))


def _loaded(name: str, catalogue: Catalogue) -> Experiment | None:
    path = catalogue.experiments.get(name)
    return None if path is None else load_experiment(path, catalogue)


def _where(experiment: Experiment | None, name: str) -> str:
    if experiment is None:
        return f"{name}, which is not here"
    return f"{experiment.name}: {experiment.description} ({stated_path(experiment.path)})"


def _labels(experiment: Experiment) -> list[str]:
    return list(dict.fromkeys(cell.label for cell in experiment.cells()))


def _settings(experiment: Experiment) -> dict[str, str]:
    """Return the settings of the measurement; those of a grid with all their values."""
    values: dict[str, dict[str, None]] = {}
    for cell in experiment.cells():
        for name, value in _fields(cell.measurement):
            values.setdefault(name, {})[value] = None
        values.setdefault("seeds", {})[str(cell.seeds)] = None
    return {name: " | ".join(found) for name, found in values.items()}


def _fields(measurement: object) -> Iterator[tuple[str, str]]:
    for name in arguments_of(type(measurement)):
        yield name, shortened(vars(measurement)[name], 400)


def _component(kind: str, name: str, component: Callable[..., object]) -> Entry:
    return Entry(kind, name, {"about": summary_of(component)}, arguments_of(component))


def _method(method: Any) -> Entry:
    constants = {
        name: f"{', '.join(f'{value:g}' for value in values)} (grid)"
        for name, values in method.constants.items()
    }
    return Entry("method", method.id, {"about": stated(method)}, constants)


def _worst_case(case: Any) -> Entry:
    facts = {
        "quantity": case.quantity,
        "unit": case.unit,
        "claim": case.claim,
        "predicted": case.predicted,
        "families": ", ".join(case.families),
        "command": f"theory-check worst-case {case.id} --family {case.families[0]}",
    }
    return Entry("worst case", case.id, facts)


def _toml(table: Mapping[str, object]) -> dict[str, str]:
    return {str(name): shortened(value, 400) for name, value in table.items()}
