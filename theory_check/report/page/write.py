"""One file of all that was found: the page, with its styles, scripts, charts and data inside."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from theory_check.analysis.verdict import WORST_FIRST
from theory_check.catalogue.catalogue import provenance
from theory_check.claims.base import KIND_MEANING
from theory_check.errors import StoreError
from theory_check.provenance import PROVENANCE_MEANING
from theory_check.report.overview import NOT_JUDGED
from theory_check.report.page.comparison import ComparisonRecord, comparison_record
from theory_check.report.page.marks import WIDTH
from theory_check.report.page.records import SYMBOLS, ClaimRecord, records_of, versions_of
from theory_check.report.text import SMALL_VERSION
from theory_check.runs import Report
from theory_check.runs.execute import RunOptions
from theory_check.runs.holdings import StoredResult
from theory_check.runs.store import Store
from theory_check.studies.comparison import Compared
from theory_check.studies.verification import Judgement, Results

NAME = "report.html"
"""Of the file, in the folder of the results."""


@dataclass(frozen=True)
class Origins:
    """Where the numbers of a page come from.

    Attributes
    ----------
    whose, versions
        Whose experiments, and the versions that ran them.
    store
        Where the results are.
    results, absent, failed
        How many results were read, how many are missing, and how many cells failed.
    small
        Whether they are those of the small version.
    """

    whose: str
    versions: str
    store: str
    results: int
    absent: int
    failed: int
    small: bool


@dataclass(frozen=True)
class Summary(Origins):
    """What the first screen says before the claims.

    Attributes
    ----------
    counts
        Claims by verdict, with the symbol of each.
    failing, unjudged
        Claims that fail the suite, and those without a verdict.
    """

    counts: tuple[tuple[str, str, int], ...]
    failing: tuple[ClaimRecord, ...]
    unjudged: tuple[ClaimRecord, ...]


def page(
    results: Results,
    judgements: Sequence[Judgement],
    conclusions: Sequence[str] = (),
    compared: Compared | None = None,
) -> str:
    """Return the page.

    Parameters
    ----------
    results, judgements, conclusions
        What was found of the claims.
    compared
        What was found of the methods; left out where there is nothing.
    """
    records = records_of(results, judgements)
    comparison = None if compared is None else comparison_record(compared)
    return _rendered(
        "page.html",
        results.options,
        _draws(records, comparison),
        summary=_summary(results, records),
        claims=records,
        comparison=comparison,
        conclusions=conclusions,
        themes=sorted({each.theme for each in records}),
        statuses=[name for name in (*WORST_FIRST, NOT_JUDGED) if _has(records, name)],
        symbols=SYMBOLS,
        problems=sorted({name for each in records for name in each.problems}),
        kinds=KIND_MEANING,
        strip_width=WIDTH,
    )


def page_of_comparison(compared: Compared) -> str | None:
    """Return the page of a comparison alone; None where no run to an accuracy is complete."""
    comparison = comparison_record(compared)
    if comparison is None:
        return None
    options, report = compared.options, compared.report
    return _rendered(
        "compared.html",
        options,
        True,
        summary=Origins(
            provenance(options.catalogue),
            *_read_of(options, report, {}),
            len(report.absent),
            len(report.failed),
            options.quick,
        ),
        comparison=comparison,
    )


def _rendered(template: str, options: RunOptions, draws: bool, **shown: object) -> str:
    """Return a template with what all pages have: styles, scripts and the words of tags."""
    environment = Environment(
        loader=PackageLoader("theory_check.report.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data"] = embedded
    return environment.get_template(template).render(
        **shown,
        tags=PROVENANCE_MEANING,
        small=SMALL_VERSION if options.quick else "",
        style=Markup(_part("style.css")),
        script=Markup(_part("page.js")),
        library=Markup(_library() if draws else ""),
    )


def write_page(file: Path, content: str) -> None:
    """Write the page.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"cannot write {file} ({error.strerror}); pass another file with --output"
        ) from error


def embedded(value: object) -> Markup:
    """Return data as JSON that ends no element of a page, whatever it holds."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _part(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


@functools.lru_cache(maxsize=1)
def _library() -> str:
    """Return the scripts that draw Vega-Lite charts; bundling them takes seconds."""
    import vl_convert

    # What would end the element can stand in a string alone, where the backslash changes nothing.
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")).replace(
        "</script", "<\\/script"
    )


def _draws(records: Sequence[ClaimRecord], comparison: ComparisonRecord | None) -> bool:
    return comparison is not None or any(
        figure.spec is not None for record in records for figure in record.figures
    )


def _has(records: Sequence[ClaimRecord], status: str) -> bool:
    return any(each.status == status for each in records)


def _summary(results: Results, records: Sequence[ClaimRecord]) -> Summary:
    options, report = results.options, results.report
    counts: Mapping[str, int] = Counter(each.status for each in records)
    return Summary(
        results.heading(provenance(options.catalogue)),
        *_read_of(options, report, results.instead),
        len(report.absent),
        len(report.failed),
        options.quick,
        tuple(
            (name, SYMBOLS[name], counts[name])
            for name in (*WORST_FIRST, NOT_JUDGED)
            if counts.get(name)
        ),
        tuple(each for each in records if each.outcome == "fails"),
        tuple(each for each in records if each.outcome == NOT_JUDGED),
    )


def _read_of(
    options: RunOptions, report: Report, instead: Mapping[str, StoredResult]
) -> tuple[str, str, int]:
    """Return the versions of the results that were read, their store, and how many they are."""
    store = Store(options.store)
    read = [*report.executed, *report.reused]
    keys = {instead[cell.key].key if cell.key in instead else cell.key for cell in read}
    versions = versions_of([store.metadata(key) for key in sorted(keys)])
    return versions, str(options.store), len(read)
