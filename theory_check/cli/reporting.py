"""Verdicts as an aligned table, as Markdown and as JSON."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from theory_check.analysis.audits import AuditFinding
from theory_check.analysis.rate_verdict import RateVerdict
from theory_check.catalogue.catalogue import is_shipped, stated_path
from theory_check.claims.base import KIND_MEANING, Claim
from theory_check.cli.claim_words import counted, kind_of
from theory_check.cli.words import joined
from theory_check.errors import visible
from theory_check.provenance import PROVENANCE_MEANING
from theory_check.verification import Judgement

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
NOT_JUDGED = "not judged"
FINDINGS, TESTS = "Findings", "Tests of the program, no findings"
OPEN_MEANING = "(open) its verdict is a finding, whichever it is, and fails nothing"
SMALL_VERSION = "Small version of the experiments (--quick)."
REASON_WIDTH = 100


def text_table(
    judgements: Sequence[Judgement], *, small: bool = False, experiments: str = ""
) -> str:
    """Return aligned tables for a terminal, one line per problem and number.

    ``small`` says whether the small version of the experiments was run, ``experiments`` whose files
    the verdicts rest on.

    Findings stand apart from what only tests the program, each counted by kind. Below stand the
    reason of each claim's status and whether it could have come out otherwise, the audits with the
    claims that rest on them, and the meaning of provenance tags, kinds and "(open)".
    """
    tables = [
        [f"{title}:", *aligned([HEADER, *_rows(part)]), ""] for title, part in _sections(judgements)
    ]
    lines = [line for table in tables for line in table]
    reasons = _filled(_reasons(judgements))
    audits = list(_audit_rows(judgements))
    audited = (
        ["", *aligned([AUDIT_HEADER, *audits]), "", *_filled(_dependents(judgements))]
        if audits
        else []
    )
    return "\n".join(
        [
            *_filled(_heading(small, experiments)),
            *lines,
            *reasons,
            *audited,
            "",
            *_filled(_legend(judgements)),
        ]
    )


def markdown_table(
    judgements: Sequence[Judgement], *, small: bool = False, experiments: str = ""
) -> str:
    """Return the same in Markdown."""
    tables = [
        [f"### {title}", "", *piped([HEADER, *_rows(part)]), ""]
        for title, part in _sections(judgements)
    ]
    lines = [line for table in tables for line in table]
    reasons = [f"* {reason}" for reason in _reasons(judgements)]
    audits = list(_audit_rows(judgements))
    dependents = [f"* {line}" for line in _dependents(judgements)]
    audited = ["", *piped([AUDIT_HEADER, *audits]), "", *dependents] if audits else []
    legend = [f"{line}  " for line in _legend(judgements)]
    heading = _heading(small, experiments)
    return joined([*heading, *lines, *reasons, *audited, "", *legend]) + "\n"


def stamp(small: bool) -> str:
    """Return what is written on everything that comes from the small version, ``""`` elsewhere."""
    return SMALL_VERSION if small else ""


def _heading(small: bool, experiments: str) -> list[str]:
    return [line for text in (stamp(small), experiments) if text for line in (text, "")]


def text_list(sentences: Sequence[str]) -> str:
    """Return sentences for a terminal, wrapped, a paragraph each."""
    return "\n".join(["", *_filled(sentences)])


def markdown_list(sentences: Sequence[str]) -> str:
    """Return the same in Markdown."""
    return "\n" + "".join(f"* {visible(line)}\n" for line in sentences)


def json_list(judgements: Sequence[Judgement], *, small: bool = False) -> str:
    """Return a JSON list with one object per claim; numbers that are not finite are null."""
    records = [
        {
            "small_version": small,
            "experiment_file": stated_path(judgement.file),
            "experiment_shipped": is_shipped(judgement.file),
            "other_source": judgement.other_source,
            "claim": judgement.claim.id,
            "statement": judgement.claim.statement,
            "source": judgement.claim.source,
            "provenance": judgement.claim.provenance,
            "kind": judgement.claim.kind,
            "otherwise": judgement.claim.otherwise,
            "finding": judgement.claim.finding,
            "expected": judgement.claim.expected,
            "status": NOT_JUDGED,
            "reason": judgement.reason,
            "passed": False,
            **({} if judgement.verdict is None else judgement.verdict.to_dict()),
        }
        for judgement in judgements
    ]
    return json.dumps([finite_numbers(record) for record in records], indent=2, allow_nan=False)


def _sections(judgements: Sequence[Judgement]) -> Iterator[tuple[str, list[Judgement]]]:
    """Yield the findings and the tests of the program, each with a title that counts them."""
    for name, finding in ((FINDINGS, True), (TESTS, False)):
        part = [judgement for judgement in judgements if judgement.claim.finding is finding]
        if part:
            yield f"{name}, {counted([judgement.claim for judgement in part])}", part


def _filled(sentences: Iterable[str]) -> list[str]:
    return [
        textwrap.fill(visible(line), REASON_WIDTH, subsequent_indent="  ") for line in sentences
    ]


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows as lines of columns of equal width."""
    rows = [tuple(map(visible, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def piped(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows, a header first, as lines of a Markdown table."""
    header, *others = rows
    return [
        "| " + " | ".join(visible(cell).replace("|", "\\|") for cell in row) + " |"
        for row in (header, ("---",) * len(header), *others)
    ]


def _findings(judgements: Sequence[Judgement]) -> Iterator[tuple[str, AuditFinding]]:
    """Yield every finding with the id of the claim that it is about."""
    for judgement in judgements:
        for finding in judgement.verdict.audits if judgement.verdict is not None else ():
            yield judgement.claim.id, finding


def _audit_rows(judgements: Sequence[Judgement]) -> Iterator[tuple[str, ...]]:
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


def _dependents(judgements: Sequence[Judgement]) -> Iterator[str]:
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


def _rows(judgements: Sequence[Judgement]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each claim, then those of each problem and rate."""
    for judgement in judgements:
        claim, verdict = judgement.claim, judgement.verdict
        status = NOT_JUDGED if verdict is None else verdict.status
        yield (f"{claim.id} [{claim.provenance}] {kind_of(claim)}", status.upper(), *("",) * 5)
        if verdict is None:
            continue
        for rate in verdict.rates:
            where: tuple[str, str] = (rate.status, rate.problem)
            over = _population(rate)
            for name, measured, predicted in rate.numbers.rows(rate.rate):
                yield ("", *where, name + _identity(claim, rate), measured, predicted, over)
                where, over = ("", ""), ""


def _population(rate: RateVerdict) -> str:
    """Return what the intervals of a rate speak about, and how far its units are apart."""
    apart = ", ".join(f"{value:.2g} {name}" for name, value in rate.spread.items())
    return f"{rate.population}; sd {apart}" if apart else rate.population


def _identity(claim: Claim, rate: RateVerdict) -> str:
    return " (identity)" if rate.rate in claim.identity_rates else ""


def _reasons(judgements: Sequence[Judgement]) -> Iterator[str]:
    for judgement in judgements:
        claim = judgement.claim
        name = f"{claim.id} (open)" if claim.expected == "open" else claim.id
        reason = " ".join(judgement.reason.split())
        yield f"{name}: {reason} Could it have come out otherwise? {claim.otherwise}"


def _legend(judgements: Sequence[Judgement]) -> list[str]:
    tags = {judgement.claim.provenance for judgement in judgements}
    legend = [f"[{tag}] {meaning}" for tag, meaning in PROVENANCE_MEANING.items() if tag in tags]
    kinds = {judgement.claim.kind for judgement in judgements}
    legend += [f"{kind}: {meaning}" for kind, meaning in KIND_MEANING.items() if kind in kinds]
    if any(judgement.claim.expected == "open" for judgement in judgements):
        legend.append(OPEN_MEANING)
    return legend


def finite_numbers(value: object) -> object:
    """Return a record as JSON can hold it: numbers that are not finite become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite_numbers(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite_numbers(entry) for entry in value]
    return value
