"""Verdicts for a terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from theory_check.catalogue.catalogue import is_shipped, provenance, stated_path
from theory_check.errors import StoreError
from theory_check.report.details import details
from theory_check.report.overview import (
    NOT_JUDGED,
    Context,
    fails,
    overview,
    sections,
    share_of,
    word_of,
)
from theory_check.report.screen import shown
from theory_check.report.text import finite_numbers, joined, markdown_list, name_of, piped, stamp
from theory_check.report.verdict_rows import (
    AUDIT_HEADER,
    HEADER,
    audit_rows,
    dependents,
    legend,
    rate_rows,
    reasons,
)
from theory_check.studies.verification import Judgement, Results


def text_table(
    judgements: Sequence[Judgement],
    context: Context | None = None,
    *,
    verbose: bool = False,
    width: int | None = None,
) -> str:
    """Return verdicts for a terminal: what matters, a line for each claim and, if asked for, all numbers.

    Parameters
    ----------
    judgements
        The claims, in their order.
    context
        What is said around them.
    verbose
        Whether every number, reason and audit is shown.
    width
        Columns; those of the terminal when absent.
    """
    parts = overview(judgements, context or Context(), width=width)
    return shown([*parts, *(details(judgements) if verbose else ())], width=width)


def markdown_table(
    judgements: Sequence[Judgement], *, small: bool = False, experiments: str = ""
) -> str:
    """Return all of it in Markdown, a line for each problem and number.

    ``small`` says whether the small version of the experiments was run, ``experiments`` whose files
    the verdicts rest on.

    Findings stand apart from what only tests the program, each counted by kind. Below stand the
    reason of each claim's status and whether it could have come out otherwise, the audits with the
    claims that rest on them, and the meaning of provenance tags, kinds and "(open)".
    """
    tables = [
        [f"### {title}", "", *piped([HEADER, *rate_rows(part)]), ""]
        for title, part in sections(judgements)
    ]
    lines = [line for table in tables for line in table]
    because = [f"* {reason}" for reason in reasons(judgements)]
    audits = list(audit_rows(judgements))
    resting = [f"* {line}" for line in dependents(judgements)]
    audited = ["", *piped([AUDIT_HEADER, *audits]), "", *resting] if audits else []
    meanings = [f"{line}  " for line in legend(judgements)]
    heading = _heading(small, experiments)
    return joined([*heading, *lines, *because, *audited, "", *meanings]) + "\n"


def _heading(small: bool, experiments: str) -> list[str]:
    return [line for text in (stamp(small), experiments) if text for line in (text, "")]


def json_list(judgements: Sequence[Judgement], *, small: bool = False) -> str:
    """Return a JSON list with one object per claim; numbers that are not finite are null.

    Every object has the same keys, those of a claim that is not judged with empty lists. ``word`` is the
    verdict as the terminal shows it, ``as_it_should_be`` its count of rates.
    """
    records = [
        {
            "small_version": small,
            "experiment_file": stated_path(judgement.file),
            "experiment_shipped": is_shipped(judgement.file),
            "other_source": judgement.other_source,
            "claim": judgement.claim.id,
            "name": name_of(judgement.claim),
            "word": word_of(judgement),
            "as_it_should_be": share_of(judgement),
            "fails": fails(judgement),
            "experiment": judgement.claim.experiment,
            "assumptions": list(judgement.claim.assumptions),
            "rests_on_audits": list(judgement.claim.audits),
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
            "measured": [],
            "predicted": [],
            "evidence": [],
            "audits": [],
            **({} if judgement.verdict is None else judgement.verdict.to_dict()),
        }
        for judgement in judgements
    ]
    return json.dumps([finite_numbers(record) for record in records], indent=2, allow_nan=False)


def text_of_sweep(
    results: Results,
    judgements: Sequence[Judgement],
    *,
    verbose: bool = False,
    places: Mapping[str, Path] | None = None,
) -> str:
    """Return the verdicts of a sweep for a terminal, with whose experiments they rest on.

    ``places`` is where something was written, by what it is.
    """
    whose = results.heading(provenance(results.options.catalogue))
    context = Context(results.options.quick, whose, places or {})
    return text_table(judgements, context, verbose=verbose)


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
