"""Verdicts as an aligned table, as Markdown and as JSON."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from theory_check.claims.base import PROVENANCE_MEANING
from theory_check.verification import Judgement

HEADER = ("claim", "status", "problem", "rate", "measured, 95 % interval", "predicted")
NOT_JUDGED = "not judged"
REASON_WIDTH = 100


def text_table(judgements: Sequence[Judgement]) -> str:
    """Return an aligned table for a terminal, one line per problem and rate.

    Below it stand the reason of each claim's status and the meaning of the provenance tags.
    """
    rows = [HEADER, *_rows(judgements)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    reasons = [
        textwrap.fill(reason, REASON_WIDTH, subsequent_indent="  ")
        for reason in _reasons(judgements)
    ]
    return "\n".join([*lines, "", *reasons, "", *_legend(judgements)])


def markdown_table(judgements: Sequence[Judgement]) -> str:
    """Return the same in Markdown."""
    lines = [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
        for row in (HEADER, ("---",) * len(HEADER), *_rows(judgements))
    ]
    reasons = [f"* {reason}" for reason in _reasons(judgements)]
    return (
        "\n".join([*lines, "", *reasons, "", *(f"{line}  " for line in _legend(judgements))]) + "\n"
    )


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


def _rows(judgements: Sequence[Judgement]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each claim, then one for each problem and rate."""
    for judgement in judgements:
        claim, verdict = judgement.claim, judgement.verdict
        status = NOT_JUDGED if verdict is None else verdict.status
        yield (f"{claim.id} [{claim.provenance}]", status.upper(), "", "", "", "")
        if verdict is None:
            continue
        for rate in verdict.rates:
            measured, predicted = _in_units(rate.measured), _in_units(rate.predicted)
            yield ("", rate.status, rate.problem, rate.rate, measured, predicted)


def _reasons(judgements: Sequence[Judgement]) -> Iterator[str]:
    for judgement in judgements:
        yield f"{judgement.claim.id}: {' '.join(judgement.reason.split())}"


def _in_units(record: Mapping[str, Any]) -> str:
    """Return an exponent with its interval, in both units where the distinction has a meaning."""
    text = _value(record)
    if "norm" in record:
        text = f"{_value(record['squared norm'])} squared, {_value(record['norm'])} norm"
    if "log factor not modelled" in record:
        text += f"; {_value(record['log factor not modelled'])} with the log factor left in"
    return text


def _value(numbers: Mapping[str, Any]) -> str:
    value = numbers.get("exponent", numbers.get("rho", "-"))
    if not isinstance(value, float):
        return str(value)
    if "low" in numbers and "high" in numbers:
        return f"{value:.3f} [{numbers['low']:.3f}, {numbers['high']:.3f}]"
    return f"{value:g}"


def _legend(judgements: Sequence[Judgement]) -> list[str]:
    tags = {judgement.claim.provenance for judgement in judgements}
    return [f"[{tag}] {meaning}" for tag, meaning in PROVENANCE_MEANING.items() if tag in tags]


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
