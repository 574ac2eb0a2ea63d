"""Verdicts as an aligned table, as Markdown and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from theory_check.claims.base import PROVENANCE_MEANING
from theory_check.verification import Judgement

HEADER = ("claim", "status", "measured", "predicted", "provenance", "reason")
NOT_JUDGED = "not judged"


def text_table(judgements: Sequence[Judgement]) -> str:
    """Return an aligned table for a terminal, with the meaning of the provenance tags."""
    rows = [HEADER, *(_row(judgement) for judgement in judgements)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *_legend(judgements)])


def markdown_table(judgements: Sequence[Judgement]) -> str:
    """Return the same table in Markdown."""
    rows = [_row(judgement) for judgement in judgements]
    lines = [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
        for row in (HEADER, ("---",) * len(HEADER), *rows)
    ]
    return "\n".join([*lines, "", *(f"{line}  " for line in _legend(judgements))]) + "\n"


def json_list(judgements: Sequence[Judgement]) -> str:
    """Return a JSON list with one object per claim; numbers that are not finite are null."""
    records = [
        {
            "claim": judgement.claim.id,
            "statement": judgement.claim.statement,
            "source": judgement.claim.source,
            "provenance": judgement.claim.provenance,
            "expected": judgement.claim.expected,
            "status": NOT_JUDGED,
            "reason": judgement.reason,
            "passed": False,
            **({} if judgement.verdict is None else judgement.verdict.to_dict()),
        }
        for judgement in judgements
    ]
    return json.dumps([_finite(record) for record in records], indent=2, allow_nan=False)


def _row(judgement: Judgement) -> tuple[str, ...]:
    claim, verdict = judgement.claim, judgement.verdict
    if verdict is None:
        shown = (NOT_JUDGED, "-", "-")
    else:
        shown = (verdict.status, _text(verdict.measured), _text(verdict.predicted))
    return (claim.id, *shown, f"[{claim.provenance}]", " ".join(judgement.reason.split()))


def _legend(judgements: Sequence[Judgement]) -> list[str]:
    tags = {judgement.claim.provenance for judgement in judgements}
    return [f"[{tag}] {meaning}" for tag, meaning in PROVENANCE_MEANING.items() if tag in tags]


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(entry)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(entry) for entry in value)
    return str(value)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
