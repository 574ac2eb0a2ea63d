"""Every number and reason behind verdicts, for ``--verbose``, in the width of a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from theory_check.analysis.rate_verdict import NOTHING, RateVerdict
from theory_check.claims.base import Claim
from theory_check.report.overview import sections, share_of, word_of
from theory_check.report.screen import STRONG, Paragraph, Part, Row, natural_width
from theory_check.report.text import kind_of, name_of
from theory_check.report.verdict_rows import (
    AUDIT_HEADER,
    audit_rows,
    dependents,
    is_identity,
    legend,
    population_of,
)
from theory_check.studies.verification import Judgement

INDENT = 4
WIDEST = 20
"""Columns that an audit, a status or a problem has at most; constants share what is left."""


def details(judgements: Sequence[Judgement]) -> list[Part]:
    """Return, for each claim, its statement and what was found on each problem; then the audits."""
    parts: list[Part] = []
    for title, part in sections(judgements):
        parts += ["", Paragraph(f"{title}:", style=STRONG)]
        for judgement in part:
            parts += ["", *_claim(judgement)]
    parts += _audits(judgements)
    return [*parts, "", *(Paragraph(line) for line in legend(judgements))]


def _claim(judgement: Judgement) -> Iterator[Part]:
    claim, verdict = judgement.claim, judgement.verdict
    found = f"{word_of(judgement)} {share_of(judgement)}".rstrip()
    yield Paragraph(f"{name_of(claim)} {kind_of(claim)}: {found}", style=STRONG)
    yield Paragraph(f"{claim.statement} ({claim.source})", INDENT)
    for rate in () if verdict is None else verdict.rates:
        yield from _rate(claim, rate)
    if verdict is None:
        yield Paragraph(" ".join(judgement.reason.split()), INDENT)
    yield Paragraph(f"Could it have come out otherwise? {claim.otherwise}", INDENT)


def _rate(claim: Claim, rate: RateVerdict) -> Iterator[Part]:
    mark = " (identity)" if is_identity(claim, rate) else ""
    yield Paragraph(f"{rate.problem}, {rate.rate}{mark}: {rate.status}", INDENT)
    inside = 2 * INDENT
    for number, (name, measured, predicted) in enumerate(rate.numbers.rows(rate.rate)):
        shown = [
            *([f"measured {measured}"] if measured != NOTHING else []),
            *([f"predicted {predicted}"] if predicted not in ("", NOTHING) else []),
        ]
        of = "" if number == 0 else f"{name.strip()}: "
        if shown:
            yield Paragraph(of + "; ".join(shown), inside)
    if rate.population:
        yield Paragraph(f"interval over {population_of(rate)}", inside)
    if rate.reason:
        yield Paragraph(" ".join(rate.reason.split()), inside)


def _audits(judgements: Sequence[Judgement]) -> list[Part]:
    rows = [AUDIT_HEADER, *audit_rows(judgements)]
    if len(rows) == 1:
        return []
    widths: list[int | None] = [min(natural_width(rows, column), WIDEST) for column in range(4)]
    lines = [Paragraph(line) for line in dependents(judgements)]
    return ["", *(Row(row, (*widths, None)) for row in rows), "", *lines]
