"""Judgements as plain records: what the page says of each claim."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from theory_check.analysis.rate_verdict import NOTHING, RateVerdict, Row
from theory_check.analysis.verdict import JUDGES, WORST_FIRST, Verdict
from theory_check.catalogue.catalogue import stated_path
from theory_check.catalogue.kinds import KINDS, ModuleKind
from theory_check.claims.base import CONTROLS, KIND_MEANING, Claim
from theory_check.provenance import PROVENANCE_MEANING
from theory_check.report.overview import NOT_JUDGED
from theory_check.report.page.charts import Columns, Spec, chart_of
from theory_check.report.page.marks import Mark, Strip, marks_of, strip
from theory_check.report.page.series import MOST_SEEDS, plot_of
from theory_check.report.text import kind_of, name_of
from theory_check.report.verdict_rows import population_of
from theory_check.runs.spec import Cell
from theory_check.runs.store import Store
from theory_check.studies.verification import Judgement, Results, evidence_for

if TYPE_CHECKING:
    from theory_check.catalogue import Catalogue

SYMBOLS: Mapping[str, str] = {
    "tight": "✓",
    "holds": "✓",
    "faster": "»",
    "violated": "✗",
    "inconclusive": "?",
    "assumption not met": "–",
    NOT_JUDGED: "∅",
}
"""Beside the word of a verdict: colour is never all that tells them apart."""


@dataclass(frozen=True)
class Figure:
    """A chart with its caption, and its data by name; ``caption`` alone where nothing can be drawn."""

    name: str
    caption: str
    spec: Spec | None
    data: Mapping[str, Columns]


@dataclass(frozen=True)
class Evidence:
    """A line of the evidence table."""

    status: str
    problem: str
    rate: str
    measured: str
    predicted: str
    over: str
    reason: str


@dataclass(frozen=True)
class AuditLine:
    """What was found of an assumption on a problem."""

    audit: str
    statement: str
    status: str
    problem: str
    reason: str


@dataclass(frozen=True)
class Origin:
    """Where the numbers of a claim come from: file, cells, seeds, versions, and how to run it again."""

    file: str
    description: str
    cells: int
    seeds: str
    versions: str
    seconds: float
    other_source: str
    command: str


@dataclass(frozen=True)
class ClaimRecord:
    """A claim as the page shows it.

    Attributes
    ----------
    id, name
        Of the claim; the name is that of ``theory-check verify``.
    theme
        Module in which it stands.
    status, symbol
        Of the verdict.
    outcome
        ``"passes"``, ``"fails"`` or ``"not judged"``: what the suite makes of it.
    meaning
        What that says of a claim of its kind, in words.
    problem, measured, predicted
        Of the rate that decided.
    across
        Whether a conclusion across claims reads it.
    words
        What a search looks through.
    """

    id: str
    name: str
    theme: str
    statement: str
    source: str
    provenance: str
    provenance_meaning: str
    kind: str
    kind_meaning: str
    control: bool
    otherwise: str
    assumptions: tuple[str, ...]
    status: str
    symbol: str
    outcome: str
    meaning: str
    reason: str
    problem: str
    measured: str
    predicted: str
    problems: tuple[str, ...]
    strip: Strip | None
    evidence: tuple[Evidence, ...]
    audits: tuple[AuditLine, ...]
    rules: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    origin: Origin
    across: bool
    words: str


def records_of(results: Results, judgements: Sequence[Judgement]) -> list[ClaimRecord]:
    """Return what the page says of each claim, in their order."""
    catalogue = results.options.catalogue
    where = themes(catalogue)
    own = {each.claim.id: _own_words(each.claim) for each in judgements}
    store = Store(results.options.store)
    return [_record(results, each, where, own, store) for each in judgements]


def themes(catalogue: Catalogue) -> dict[str, str]:
    """Return the theme of each claim: the module whose file gives it a name; none for given ones."""
    kind = KINDS["claims"]
    assert isinstance(kind, ModuleKind)
    found: dict[str, str] = {}
    for module, _ in catalogue.modules(kind.room):
        names = _assigned(module)
        for name, claim in kind.members(module).items():
            if any(getattr(module, variable, None) is claim for variable in names):
                found[name] = module.__name__.rpartition(".")[2].replace("_", " ")
    return found


def _assigned(module: ModuleType) -> list[str]:
    """Return the names that a module gives to something itself, and does not import."""
    body = ast.parse(inspect.getsource(module)).body
    return [
        target.id
        for statement in body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    ]


def _own_words(claim: Claim) -> str:
    """Return the words by which a claim is found."""
    selected = [str(value) for rate in claim.rates for value in rate.where.values()]
    return " ".join(
        [name_of(claim), kind_of(claim), claim.statement, claim.source, claim.experiment, *selected]
    )


def _words(claim: Claim, own: Mapping[str, str]) -> str:
    """Return its words and those of the claims that its source names."""
    cited = claim.source.replace(",", " ").replace(";", " ").split()
    words = [own[claim.id], *(own[name] for name in cited if name in own and name != claim.id)]
    return " ".join(words).lower()


def _record(
    results: Results,
    judgement: Judgement,
    where: Mapping[str, str],
    own: Mapping[str, str],
    store: Store,
) -> ClaimRecord:
    claim, verdict = judgement.claim, judgement.verdict
    status = NOT_JUDGED if verdict is None else verdict.status
    outcome = NOT_JUDGED if verdict is None else "passes" if verdict.passed else "fails"
    problem, measured, predicted = _deciding(verdict)
    problems = () if verdict is None else tuple(dict.fromkeys(r.problem for r in verdict.rates))
    return ClaimRecord(
        id=claim.id,
        name=name_of(claim),
        theme=where.get(claim.id, "given"),
        statement=claim.statement,
        source=claim.source,
        provenance=claim.provenance,
        provenance_meaning=PROVENANCE_MEANING[claim.provenance],
        kind=claim.kind,
        kind_meaning=KIND_MEANING[claim.kind],
        control=claim.expected in CONTROLS,
        otherwise=claim.otherwise,
        assumptions=claim.assumptions,
        status=status,
        symbol=SYMBOLS[status],
        outcome=outcome,
        meaning=_meaning(claim, status, outcome),
        reason=judgement.reason,
        problem=problem,
        measured=measured,
        predicted=predicted,
        problems=problems,
        strip=None if verdict is None else strip(_marks(claim, verdict)),
        evidence=() if verdict is None else tuple(_evidence(verdict)),
        audits=() if verdict is None else tuple(_audits(verdict, results.options.catalogue)),
        rules=tuple(_rules(claim)),
        figures=() if verdict is None else tuple(_figures(results, verdict)),
        origin=_origin(results, judgement, store),
        across=any(
            claim.id in each.claims for each in results.options.catalogue.conclusions.values()
        ),
        words=_words(claim, own),
    )


def _meaning(claim: Claim, status: str, outcome: str) -> str:
    """Return what a status says of a claim of its kind, in words."""
    if claim.expected in CONTROLS:
        caught = "caught, as it should be" if outcome == "passes" else "not caught"
        return f"{caught}: a negative control, a false statement that has to be caught"
    if claim.kind == "open" and status == "violated":
        return "a finding against what its source assumes; fails nothing"
    if status == "inconclusive":
        return "undecided: fails nothing, and supports nothing"
    return outcome


def _deciding(verdict: Verdict | None) -> tuple[str, str, str]:
    """Return problem, measured and predicted number of the first rate of the worst status."""
    if verdict is None or not verdict.rates:
        return "", "", ""
    rate = min(verdict.rates, key=lambda each: WORST_FIRST.index(each.status))
    name, measured, predicted = next(_lines(rate), (rate.rate, "", ""))
    return f"{rate.problem}, {name}", measured, predicted


def _lines(rate: RateVerdict) -> Iterator[Row]:
    """Yield name, measured and predicted number of a rate, also where a terminal is shown neither."""
    for name, measured, predicted in rate.numbers.rows(rate.rate):
        estimate = rate.numbers.estimate
        if measured == predicted == NOTHING and estimate is not None:
            yield name, f"{estimate:z.3f}", _said(rate.numbers.predicted())
        elif measured == predicted == NOTHING:
            yield name, measured, _said(rate.numbers.predicted())
        else:
            yield name, measured, predicted


def _said(record: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in record.items())


def _marks(claim: Claim, verdict: Verdict) -> list[Mark]:
    """Return the intervals of a claim, the worst first."""
    rates = {rate.name: rate for rate in claim.rates}
    ordered = sorted(verdict.rates, key=lambda each: WORST_FIRST.index(each.status))
    return [
        mark for each in ordered if each.rate in rates for mark in marks_of(rates[each.rate], each)
    ]


def _evidence(verdict: Verdict) -> Iterator[Evidence]:
    for rate in verdict.rates:
        first = True
        for name, measured, predicted in _lines(rate):
            yield Evidence(
                rate.status if first else "",
                rate.problem if first else "",
                name,
                measured,
                predicted,
                population_of(rate) if first else "",
                rate.reason if first else "",
            )
            first = False


def _audits(verdict: Verdict, catalogue: Catalogue) -> Iterator[AuditLine]:
    for finding in verdict.audits:
        audit = catalogue.audit(finding.audit)
        yield AuditLine(
            finding.audit, audit.statement, finding.status, finding.problem, finding.reason
        )


def _rules(claim: Claim) -> Iterator[tuple[str, str]]:
    """Yield, for each type of rate of a claim, by what it is judged, as its judge says it."""
    for kind in dict.fromkeys(type(rate) for rate in claim.rates):
        text = inspect.getdoc(JUDGES[kind].judge) or ""
        names = ", ".join(rate.name for rate in claim.rates if type(rate) is kind)
        yield names, text.partition("\nRaises\n")[0].strip()


def _figures(results: Results, verdict: Verdict) -> Iterator[Figure]:
    """Yield a chart for each rate of a claim."""
    table = results.table(verdict.claim.experiment)
    for rate in verdict.claim.rates:
        of_rate = [each for each in verdict.rates if each.rate == rate.name]
        plot = plot_of(rate, of_rate, table)
        title = f"{verdict.claim.id}, {rate.name}: {_statuses(of_rate)}"
        if plot.empty:
            yield Figure(title, "Nothing was observed that can be drawn.", None, {})
            continue
        drawn = f"Points with bars: {plot.interval}."
        drawn += " Small points: seeds." if plot.observations else ""
        kinds = {what for _, what, *_ in plot.lines}
        drawn += " Solid: fitted." * ("fit" in kinds) + " Dashed: predicted." * ("theory" in kinds)
        if plot.left_out > 0:
            drawn += f" {MOST_SEEDS} seeds of each problem are drawn."
        spec, data = chart_of(plot)
        spec["description"] = f"{title}. {plot.y_title} against {plot.x_title}."
        yield Figure(title, drawn, spec, data)


def _statuses(verdicts: Sequence[RateVerdict]) -> str:
    counts = Counter(each.status for each in verdicts)
    return ", ".join(f"{status} on {number}" for status, number in counts.items())


def _origin(results: Results, judgement: Judgement, store: Store) -> Origin:
    options, claim = results.options, judgement.claim
    names = [
        name for name in evidence_for([claim], options.catalogue) if name in results.experiments
    ]
    cells = [cell for name in names for cell in results.experiments[name].cells(options.quick)]
    own = results.experiments[claim.experiment]
    written = [store.metadata(_stored(results, cell)) for cell in cells]
    return Origin(
        stated_path(judgement.file),
        own.description,
        len(cells),
        seeds_of(own.cells(options.quick)),
        versions_of(written),
        sum(float(each.get("seconds", 0.0)) for each in written),
        judgement.other_source,
        f"theory-check verify {claim.id}{' --quick' if options.quick else ''} --store {options.store}",
    )


def _stored(results: Results, cell: Cell) -> str:
    return results.instead[cell.key].key if cell.key in results.instead else cell.key


def seeds_of(cells: Sequence[Cell]) -> str:
    """Return the ranges of seeds of some cells, in words."""
    ranges = sorted({(cell.first_seed, cell.first_seed + cell.seeds - 1) for cell in cells})
    shown = [f"{first}–{last}" if last > first else str(first) for first, last in ranges[:4]]
    return ", ".join(shown) + (f" and {len(ranges) - 4} more ranges" if len(ranges) > 4 else "")


def versions_of(written: Sequence[Mapping[str, Any]]) -> str:
    """Return the versions that computed some results, each distribution with all of its versions."""
    found: dict[str, dict[str, None]] = {}
    for each in written:
        for name, version in {**each.get("versions", {}), "Python": each.get("python")}.items():
            if version is not None:
                found.setdefault(str(name), {})[str(version)] = None
    return ", ".join(f"{name} {' and '.join(sorted(all_))}" for name, all_ in found.items())
