"""A folder of all that a store holds, to be taken away: tables, verdicts, figures, and how to cite it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from theory_check.errors import StoreError
from theory_check.report.figures import draw_complete, load_scripts, writable_folder
from theory_check.report.outcomes import text_of_export
from theory_check.report.tables import DisplayTable
from theory_check.report.text import name_of, stamp
from theory_check.report.verdict_rows import HEADER, population_of
from theory_check.report.verdicts import json_list
from theory_check.runs.identity import version_of
from theory_check.runs.tables import Export, export_tables
from theory_check.studies.named import chosen_claims
from theory_check.studies.verification import Judgement, evidence_for, sweep

if TYPE_CHECKING:
    from theory_check.runs.execute import RunOptions

CITATION = """\
cff-version: 1.2.0
message: "Please cite theory-check, and the sources of the claims that you use: references.bib."
title: theory-check
abstract: "Does a convergence rate of bilevel RLHF hold, and which term of the bound is responsible?"
type: software
license: MIT
version: {version}
authors:
  - name: theory-check contributors
references:
  - type: article
    title: On the Global Convergence of Online RLHF with Neural Parametrization
    identifiers:
      - type: other
        value: "arXiv:2410.15610"
    authors:
      - family-names: Gaur
        given-names: Mudit
      - family-names: Bedi
        given-names: Amrit Singh
      - family-names: Pasupathy
        given-names: Raghu
      - family-names: Aggarwal
        given-names: Vaneet
"""

BIBLIOGRAPHY = Path(__file__).parent / "references.bib"
"""Every source that is cited."""


def export_study(
    directory: Path, options: RunOptions, say: Callable[[str], None], *, overwrite: bool
) -> Export:
    """Write tables, verdicts, figures, ``CITATION.cff`` and ``references.bib``, and say what was written.

    Parameters
    ----------
    directory
        As in :func:`~theory_check.runs.tables.export_tables`.
    options
        Whose store is read, in which version, and whether results of other source count.
    say
        Told what was written, and what could not be.
    overwrite
        Whether the folder may hold something.

    Raises
    ------
    InvalidArgumentError, StoreError
        As ``export_tables``.
    """
    written = export_tables(
        directory,
        options.store,
        quick=options.quick,
        any_source=options.any_source,
        overwrite=overwrite,
        catalogue=options.catalogue,
    )
    lines = text_of_export(written, directory)
    judged, figures = _verdicts_and_figures(directory, replace(options, run=False))
    _write(directory / "CITATION.cff", CITATION.format(version=version_of("theory-check")))
    _write(directory / "references.bib", BIBLIOGRAPHY.read_text(encoding="utf-8"))
    if judged:
        shown = f"{judged} verdict{'s' * (judged != 1)} and {figures} figure{'s' * (figures != 1)}"
        lines.append(f"wrote {shown} to {directory}")
    for line in lines:
        say(line)
    return written


def _verdicts_and_figures(directory: Path, options: RunOptions) -> tuple[int, int]:
    """Write what can be judged and drawn of a store, and return how many of each."""
    catalogue = options.catalogue
    claims = chosen_claims([], catalogue, lambda line: None, everything=True)
    scripts = [
        script
        for script in load_scripts(catalogue)
        if all(name in catalogue.experiments for name in script.experiments)
    ]
    drawn_from = [name for script in scripts for name in script.experiments]
    done = sweep(dict.fromkeys([*evidence_for(claims, catalogue), *drawn_from]), options)
    judgements = [each for claim in claims if (each := done.judge(claim)).verdict is not None]
    if not judgements:
        return 0, 0
    for name, content in _contents(judgements, small=options.quick):
        _write(directory / name, content)
    known = {each.claim.id for each in judgements}
    complete = [
        script
        for script in scripts
        if known.issuperset(script.claims)
        and not any(done.failures(name) for name in script.experiments)
    ]
    told: list[str] = []
    if complete:
        folder = writable_folder(directory / "figures", "figures")
        draw_complete(complete, done, judgements, folder, told.append)
    return len(judgements), sum(line.startswith("wrote ") for line in told) // 2


def verdict_table(judgements: Sequence[Judgement]) -> DisplayTable:
    """Return the verdicts as one table: a row for each claim, problem and number."""
    rows = [
        (
            name_of(each.claim),
            rate.status,
            rate.problem,
            name,
            measured,
            predicted,
            population_of(rate),
        )
        for each in judgements
        if each.verdict is not None
        for rate in each.verdict.rates
        for name, measured, predicted in rate.numbers.rows(rate.rate)
    ]
    notes = tuple(f"{each.claim.id}: {each.claim.source}" for each in judgements)
    return DisplayTable("verdicts", "Verdicts on every problem and rate", HEADER, rows, notes)


def _contents(judgements: Sequence[Judgement], *, small: bool) -> Iterator[tuple[str, str]]:
    table, version = verdict_table(judgements), stamp(small)
    yield "verdicts.csv", table.csv()
    yield "verdicts.md", f"{version}\n\n{table.markdown()}" if version else table.markdown()
    yield "verdicts.tex", f"% {version}\n{table.latex()}" if version else table.latex()
    yield "verdicts.json", json_list(judgements, small=small) + "\n"


def _write(path: Path, content: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path} ({error.strerror}); pass another folder") from error
