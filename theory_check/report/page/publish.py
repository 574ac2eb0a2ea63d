"""Pages of what was found: of all that a store holds, or of a comparison alone. Nothing is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from theory_check.report.page.write import NAME, page, page_of_comparison, write_page
from theory_check.runs import Report
from theory_check.studies import conclude, evidence_for, sweep
from theory_check.studies.comparison import plan_comparison
from theory_check.studies.named import chosen_claims

if TYPE_CHECKING:
    from theory_check.runs.execute import RunOptions
    from theory_check.studies.comparison import Compared
    from theory_check.studies.verification import Judgement, Results

Found = tuple["Results", Sequence["Judgement"], Sequence[str]]
"""Results of a sweep of all experiments, every claim judged, and the conclusions."""


def publish_page(
    folder: Path,
    options: RunOptions,
    say: Callable[[str], None],
    *,
    found: Found | None = None,
    file: Path | None = None,
    names: Sequence[str] = (),
) -> Report:
    """Write the page, say where, and return what became of the cells of the claims.

    Parameters
    ----------
    folder
        Where ``report.html`` is written.
    options
        Whose store is read.
    say
        Told of the file, and of what the store lacks.
    found
        What a command has found already; read from the store where absent, and nothing is run for it.
    file
        Another place for the file.
    names
        Ids of the claims that the page is about, with the experiments of their audits and without the
        comparison of methods; all that there is when empty.

    Raises
    ------
    InvalidArgumentError
        For an unknown claim.
    StoreError
        When the store cannot be read, or the file cannot be written.
    """
    reading = replace(options, run=False)
    results, judgements, conclusions = _held(reading, names) if found is None else found
    place = folder / NAME if file is None else file
    shown = None if names else _compared(reading)
    write_page(place, page(results, judgements, conclusions, shown))
    if results.report.absent:
        command = " ".join(("verify", *names)) if names else "reproduce"
        say(f"{len(results.report.absent)} cells have no result: theory-check {command} runs them")
    say(f"wrote {place}")
    return results.report


def publish_comparison(folder: Path, compared: Compared, say: Callable[[str], None]) -> None:
    """Write the page of a comparison alone, and say where, and how to get one with the claims.

    To judge the claims as well takes longer than all of the rest, and a comparison shows none.

    Parameters
    ----------
    folder
        Where ``report.html`` is written.
    compared
        What was found; nothing is written where no run to an accuracy is complete.
    say
        Told of the file.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    content = page_of_comparison(compared)
    if content is None:
        return
    write_page(folder / NAME, content)
    say(f"wrote {folder / NAME}; theory-check report writes a page with the claims")


def _held(options: RunOptions, names: Sequence[str]) -> Found:
    """Return what a store says of the named claims, or of every claim."""
    catalogue = options.catalogue
    claims = chosen_claims(names, catalogue, lambda line: None, everything=True)
    needed = evidence_for(claims, catalogue) if names else catalogue.experiments.values()
    results = sweep(needed, options)
    judgements = [results.judge(claim) for claim in claims]
    # A conclusion is about several claims, and would look for those that are not on the page.
    return results, judgements, [] if names else conclude(results, judgements)


def _compared(options: RunOptions) -> Compared | None:
    """Return what a store says of the methods; None where there are none to compare."""
    if not options.catalogue.methods or not options.catalogue.comparisons:
        return None
    return plan_comparison([], [], options).run()
