"""Rows and sentences of a report on verdicts, for a terminal and in Markdown alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from theory_check.analysis.audits import AuditFinding
from theory_check.analysis.rate_verdict import RateVerdict
from theory_check.claims.base import KIND_MEANING, Claim
from theory_check.provenance import PROVENANCE_MEANING
from theory_check.report.overview import NOT_JUDGED
from theory_check.report.text import kind_of, name_of
from theory_check.studies.verification import Judgement

AUDIT_HEADER = ("audit", "status", "problem", "constant", "measured, 95 % interval")
HEADER = (
    "claim",
    "status",
    "problem",
    "rate",
    "measured, 95 % interval",
    "predicted",
    "interval over",
)
OPEN_MEANING = "(open) its verdict is a finding, whichever it is, and fails nothing"


def _findings(judgements: Sequence[Judgement]) -> Iterator[tuple[str, AuditFinding]]:
    """Yield every finding with the id of the claim that it is about."""
    for judgement in judgements:
        for finding in judgement.verdict.audits if judgement.verdict is not None else ():
            yield judgement.claim.id, finding


def audit_rows(judgements: Sequence[Judgement]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each constant; claims whose numbers agree share it."""
    lines: dict[tuple[str, str, str], dict[tuple[str, str], None]] = {}
    for _, finding in _findings(judgements):
        shown = [(constant.name, f"{constant:.3g}") for constant in finding.constants] or [
            ("", finding.reason.rstrip("."))
        ]
        key = (finding.audit, finding.problem, finding.status)
        lines.setdefault(key, {}).update(dict.fromkeys(shown))
    for (audit, problem, status), measured in sorted(lines.items(), key=lambda entry: entry[0]):
        for index, line in enumerate(measured):
            yield (*((audit, status, problem) if index == 0 else ("", "", "")), *line)


def dependents(judgements: Sequence[Judgement]) -> Iterator[str]:
    """Yield, for each audit, the claims that rest on it, and on which problems they differ."""
    claims: dict[str, dict[str, None]] = {}
    statuses: dict[str, dict[str, dict[str, list[str]]]] = {}
    for claim, finding in _findings(judgements):
        claims.setdefault(finding.audit, {})[claim] = None
        of_problem = statuses.setdefault(finding.audit, {}).setdefault(finding.problem, {})
        of_problem.setdefault(finding.status, []).append(claim)
    for audit in sorted(claims):
        differing = [
            f"on {problem} "
            + ", ".join(f"{status} for {' and '.join(names)}" for status, names in found.items())
            for problem, found in sorted(statuses[audit].items())
            if len(found) > 1
        ]
        rests = f"claims that rest on {audit}: {', '.join(claims[audit])}"
        yield "; ".join([rests, *differing])


def rate_rows(judgements: Sequence[Judgement]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each claim, then those of each problem and rate."""
    for judgement in judgements:
        claim, verdict = judgement.claim, judgement.verdict
        status = NOT_JUDGED if verdict is None else verdict.status
        yield (f"{name_of(claim)} {kind_of(claim)}", status.upper(), *("",) * 5)
        if verdict is None:
            continue
        for rate in verdict.rates:
            where: tuple[str, str] = (rate.status, rate.problem)
            over = population_of(rate)
            mark = " (identity)" if is_identity(claim, rate) else ""
            for name, measured, predicted in rate.numbers.rows(rate.rate):
                yield ("", *where, name + mark, measured, predicted, over)
                where, over = ("", ""), ""


def population_of(rate: RateVerdict) -> str:
    """Return what the intervals of a rate speak about, and how far its units are apart."""
    apart = ", ".join(f"{value:.2g} {name}" for name, value in rate.spread.items())
    return f"{rate.population}; sd {apart}" if apart else rate.population


def is_identity(claim: Claim, rate: RateVerdict) -> bool:
    """Return whether a rate is an identity within a claim of another kind."""
    return rate.rate in claim.identity_rates


def reasons(judgements: Sequence[Judgement]) -> Iterator[str]:
    """Yield the reason of each verdict, and whether it could have come out otherwise."""
    for judgement in judgements:
        claim = judgement.claim
        name = f"{claim.id} (open)" if claim.expected == "open" else claim.id
        reason = " ".join(judgement.reason.split())
        yield f"{name}: {reason} Could it have come out otherwise? {claim.otherwise}"


def legend(judgements: Sequence[Judgement]) -> list[str]:
    """Return the meanings of the tags and kinds that some claims have."""
    tags = {judgement.claim.provenance for judgement in judgements}
    meanings = [f"[{tag}] {meaning}" for tag, meaning in PROVENANCE_MEANING.items() if tag in tags]
    kinds = {judgement.claim.kind for judgement in judgements}
    meanings += [f"{kind}: {meaning}" for kind, meaning in KIND_MEANING.items() if kind in kinds]
    if any(judgement.claim.expected == "open" for judgement in judgements):
        meanings.append(OPEN_MEANING)
    return meanings
