"""Verdicts as an aligned table, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from theory_check.analysis.audits import AuditFinding
from theory_check.analysis.rate_verdict import RateVerdict
from theory_check.catalogue.catalogue import is_shipped, provenance, stated_path
from theory_check.claims.base import KIND_MEANING, Claim
from theory_check.errors import StoreError
from theory_check.provenance import PROVENANCE_MEANING
from theory_check.report.text import (
    aligned,
    counted,
    filled,
    finite_numbers,
    joined,
    markdown_list,
    named,
    piped,
    stamp,
)
from theory_check.studies.verification import Judgement, Results

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
    reasons = filled(_reasons(judgements))
    audits = list(_audit_rows(judgements))
    audited = (
        ["", *aligned([AUDIT_HEADER, *audits]), "", *filled(_dependents(judgements))]
        if audits
        else []
    )
    return "\n".join(
        [
            *filled(_heading(small, experiments)),
            *lines,
            *reasons,
            *audited,
            "",
            *filled(_legend(judgements)),
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


def _heading(small: bool, experiments: str) -> list[str]:
    return [line for text in (stamp(small), experiments) if text for line in (text, "")]


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


def text_of_sweep(results: Results, judgements: Sequence[Judgement]) -> str:
    """Return the tables of a sweep for a terminal, with whose experiments they rest on."""
    whose = results.heading(provenance(results.options.catalogue))
    return text_table(judgements, small=results.options.quick, experiments=whose)


def write_verdicts(
    folder: Path, results: Results, judgements: Sequence[Judgement], conclusions: Sequence[str]
) -> None:
    """Write ``verdicts.json`` and ``verdicts.md``, the latter with conclusions, into a folder.

    Raises
    ------
    StoreError
        When they cannot be written.
    """
    small, whose = results.options.quick, results.heading(provenance(results.options.catalogue))
    table = markdown_table(judgements, small=small, experiments=whose)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (
            ("verdicts.json", json_list(judgements, small=small) + "\n"),
            ("verdicts.md", f"{table}\n{markdown_list(conclusions)}"),
        ):
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write the verdicts to {folder}: {error}") from error


def _sections(judgements: Sequence[Judgement]) -> Iterator[tuple[str, list[Judgement]]]:
    """Yield the findings and the tests of the program, each with a title that counts them."""
    for name, finding in ((FINDINGS, True), (TESTS, False)):
        part = [judgement for judgement in judgements if judgement.claim.finding is finding]
        if part:
            yield f"{name}, {counted([judgement.claim for judgement in part])}", part


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
        yield (named(claim), status.upper(), *("",) * 5)
        if verdict is None:
            continue
        for rate in verdict.rates:
            where: tuple[str, str] = (rate.status, rate.problem)
            over = population(rate)
            for name, measured, predicted in rate.numbers.rows(rate.rate):
                yield ("", *where, name + _identity(claim, rate), measured, predicted, over)
                where, over = ("", ""), ""


def population(rate: RateVerdict) -> str:
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
