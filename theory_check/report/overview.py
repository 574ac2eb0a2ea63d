"""Verdicts at a glance: what matters first, then a line for each claim, in the width of a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from theory_check.analysis.rate_verdict import Exponents, RateVerdict
from theory_check.analysis.verdict import WORST_FIRST, Verdict
from theory_check.claims.base import CONTROLS, Claim
from theory_check.claims.rates import AttainedRate, PowerRate, Rate, UpperBoundRate
from theory_check.report.screen import (
    BAD,
    DOUBTFUL,
    GAP,
    GOOD,
    QUIET,
    STRONG,
    Paragraph,
    Part,
    Row,
    Styled,
    natural_width,
    width_of_terminal,
)
from theory_check.report.text import counted, name_of
from theory_check.studies.verification import Judgement

NOT_JUDGED, CAUGHT, NOT_CAUGHT = "not judged", "caught", "not caught"
FINDINGS, TESTS = "Findings", "Tests of the program, no findings"

FAILING = ("violated", NOT_CAUGHT, NOT_JUDGED)
UNDECIDED = ("inconclusive", "assumption not met")
WORDS = ("tight", "holds", "faster", *UNDECIDED, *FAILING)
"""Verdicts in the order in which they are counted; of controls there is a count of its own."""

HEADER = ("claim", "verdict", "measured", "predicted")
VERDICT, MEASURED, PREDICTED, PROBLEM = 18, 20, 11, 20
REASON_INDENT, REASON_LINES = 6, 2
LONG = 12
"""Claims beyond which the counts stand below the table as well."""


@dataclass(frozen=True)
class Context:
    """What is said around the verdicts.

    Attributes
    ----------
    small
        Whether the small version of the experiments was run.
    experiments
        Whose experiments the verdicts rest on.
    places
        Where something was written, by what it is.
    """

    small: bool = False
    experiments: str = ""
    places: Mapping[str, Path] = field(default_factory=dict)


def word_of(judgement: Judgement) -> str:
    """Return the verdict in a word: the status, or whether a negative control was caught."""
    verdict = judgement.verdict
    if verdict is None:
        return NOT_JUDGED
    if judgement.claim.expected in CONTROLS:
        return CAUGHT if verdict.passed else NOT_CAUGHT
    return verdict.status


def fails(judgement: Judgement) -> bool:
    """Return whether the suite fails by it: no verdict on an open statement does."""
    return judgement.verdict is None or not judgement.verdict.passed


def share_of(judgement: Judgement) -> str:
    """Return how many rates, over all problems, are as they should be, of how many."""
    claim, verdict = judgement.claim, judgement.verdict
    if verdict is None or not verdict.rates:
        return ""
    wanted = (claim.expected,) if claim.expected in CONTROLS else ("tight", "holds", "faster")
    kept = sum(rate.status in wanted for rate in verdict.rates)
    return f"{kept}/{len(verdict.rates)}"


def worst_of(claim: Claim, verdict: Verdict) -> RateVerdict | None:
    """Return the rate, on a problem, that a line about a claim shows.

    Of those with the worst verdict (of a control: the least expected one), that whose interval reaches
    farthest from the prediction, in resolutions declared; the first where that has no meaning.
    """
    declared = {rate.name: rate for rate in claim.rates}

    def badness(found: RateVerdict) -> tuple[int, float]:
        order = len(WORST_FIRST) - WORST_FIRST.index(found.status)
        if claim.expected in CONTROLS:
            order = int(found.status != claim.expected)
        return order, _reach(found, declared.get(found.rate))

    return max(verdict.rates, key=badness, default=None)


def _reach(found: RateVerdict, rate: Rate | None) -> float:
    """Return how far an interval reaches from a predicted exponent, in resolutions.

    Of a bound to the side alone on which it fails; 0 where no resolution is declared, or where an end is
    not known.
    """
    numbers = found.numbers
    if not isinstance(rate, PowerRate | AttainedRate) or not isinstance(numbers, Exponents):
        return 0.0
    if numbers.estimate is None or not isinstance(numbers.stated, float | int):
        return 0.0
    below = numbers.stated - numbers.estimate.low
    above = numbers.estimate.high - numbers.stated
    reach = max(below, above)
    if isinstance(rate, UpperBoundRate):
        reach = below if rate.better == "larger" else above
    return reach / rate.resolution if reach == reach else 0.0


def summary(judgements: Sequence[Judgement], context: Context) -> list[Part]:
    """Return what matters: counts by verdict, what failed, where the report is, what to do next."""
    number = len(judgements)
    title = f"theory-check: {number} claim{'s' * (number != 1)}"
    parts: list[Part] = [
        Paragraph(f"{title}, small version (--quick)" if context.small else title, style=STRONG)
    ]
    parts += [Paragraph(line) for line in counts(judgements)]
    failed = [f"{each.claim.id} ({word_of(each)})" for each in judgements if fails(each)]
    if failed:
        parts.append(Paragraph(f"FAILED: {', '.join(failed)}", style=BAD))
    else:
        parts.append(Paragraph("nothing failed", style=GOOD))
    if context.places:
        # Each on a line of its own: paths are long, and are to be copied.
        parts += [Paragraph(f"{what}: {place}") for what, place in context.places.items()]
    parts.append(Paragraph(f"next: {next_step(judgements, context)}"))
    return parts


def counts(judgements: Sequence[Judgement]) -> Iterator[str]:
    """Yield the numbers of claims by verdict, of controls and open statements apart."""
    words = Counter(word_of(each) for each in judgements if each.claim.expected == "holds")
    wanted = [word for word in WORDS if words[word] or word == "violated"]
    if words.total():
        yield ", ".join(f"{words[word]} {word}" for word in wanted)
    controls = [each for each in judgements if each.claim.expected in CONTROLS]
    if controls:
        caught = sum(word_of(each) == CAUGHT for each in controls)
        yield f"{caught} of {len(controls)} negative controls caught"
    opened = Counter(word_of(each) for each in judgements if each.claim.expected == "open")
    if opened:
        found = ", ".join(f"{opened[word]} {word}" for word in WORDS if opened[word])
        yield f"open statements, which fail nothing: {found}"
    audits = {
        (finding.audit, finding.problem, finding.status)
        for each in judgements
        if each.verdict is not None
        for finding in each.verdict.audits
    }
    if audits:
        statuses = Counter(status for _, _, status in audits)
        yield "audits: " + ", ".join(f"{statuses[each]} {each}" for each in sorted(statuses))


def next_step(judgements: Sequence[Judgement], context: Context) -> str:
    """Return what somebody who reads this should do."""
    unjudged = [each for each in judgements if each.verdict is None]
    if unjudged:
        return "mend what made cells fail, then the same command with --retry-failed"
    failed = [each.claim.id for each in judgements if fails(each)]
    if failed:
        return f"theory-check verify {failed[0]} --verbose, theory-check show {failed[0]}"
    undecided = [each for each in judgements if word_of(each) in UNDECIDED]
    if undecided and context.small:
        which = (
            f"{undecided[0].claim.id} is" if len(undecided) == 1 else f"{len(undecided)} claims are"
        )
        return f"{which} not decided by the small version: leave --quick out"
    name = judgements[0].claim.id if len(judgements) == 1 else "NAME"
    return f"theory-check verify {name} --verbose for all numbers, show {name} for the statement"


def table(judgements: Sequence[Judgement], *, width: int | None = None) -> list[Part]:
    """Return a line for each claim, findings apart from tests of the program.

    Below a claim that fails stands its reason, and below one that is not decided the beginning of it.
    A name that is too long for its column has a line of its own.
    """
    width = width_of_terminal() if width is None else width
    widths = _widths(judgements, width)
    parts: list[Part] = []
    for title, part in sections(judgements):
        header = (*HEADER, "problem") if len(widths) > len(HEADER) else HEADER
        parts += ["", Paragraph(f"{title}:"), Row([Styled(cell, QUIET) for cell in header], widths)]
        for judgement in part:
            parts += _lines(judgement, widths)
    return parts


def sections(judgements: Sequence[Judgement]) -> Iterator[tuple[str, list[Judgement]]]:
    """Yield the findings and the tests of the program, each with a title that counts them."""
    for name, finding in ((FINDINGS, True), (TESTS, False)):
        part = [judgement for judgement in judgements if judgement.claim.finding is finding]
        if part:
            yield f"{name}, {counted([judgement.claim for judgement in part])}", part


def overview(
    judgements: Sequence[Judgement], context: Context, *, width: int | None = None
) -> list[Part]:
    """Return what matters, the table and, below a long one, the counts again."""
    parts = summary(judgements, context)
    if context.experiments:
        parts.append(Paragraph(context.experiments))
    parts += table(judgements, width=width)
    if len(judgements) > LONG:
        parts += ["", *summary(judgements, context)]
    return parts


def _widths(judgements: Sequence[Judgement], width: int) -> list[int | None]:
    """Return the widths of the columns: the names have what the others leave, as far as they need it."""
    fixed = [VERDICT, MEASURED, PREDICTED]
    names = [(name_of(each.claim),) for each in judgements]
    longest = max(natural_width(names, 0), len(HEADER[0]))
    left = width - sum(fixed) - GAP * len(fixed)
    if left - longest >= PROBLEM + GAP:
        return [longest, *fixed, None]
    return [min(longest, left), *fixed]


def _lines(judgement: Judgement, widths: Sequence[int | None]) -> Iterator[Part]:
    claim, verdict, word = judgement.claim, judgement.verdict, word_of(judgement)
    style = BAD if fails(judgement) else DOUBTFUL if word in (*UNDECIDED, *FAILING) else GOOD
    worst = None if verdict is None else worst_of(claim, verdict)
    measured, predicted = ("-", "-") if worst is None else _numbers(claim, worst)
    name, verdict_cell = name_of(claim), Styled(f"{word} {share_of(judgement)}".rstrip(), style)
    if natural_width([(name,)], 0) > (widths[0] or 0):
        yield Paragraph(name)
        name = ""
    cells: list[str | Styled] = [name, verdict_cell, measured, predicted]
    if len(widths) > len(HEADER):
        cells.append("" if worst is None else worst.problem)
    yield Row(cells, widths)
    if fails(judgement):
        yield Paragraph(" ".join(judgement.reason.split()), REASON_INDENT)
    elif style == DOUBTFUL and worst is not None:
        fate = "open, fails nothing; " if claim.expected == "open" else ""
        where = f"{fate}{worst.problem}, {worst.rate}: {_because(worst.reason)}"
        yield Paragraph(where, REASON_INDENT, most=REASON_LINES)


def _numbers(claim: Claim, worst: RateVerdict) -> tuple[str, str]:
    """Return what was measured and what is predicted, with the resolution that was declared."""
    measured, predicted = worst.numbers.brief()
    numbers = worst.numbers
    if not isinstance(numbers, Exponents) or not isinstance(numbers.stated, float | int):
        return measured, predicted
    for rate in claim.rates:
        if isinstance(rate, PowerRate | AttainedRate) and rate.name == worst.rate:
            side = ""
            if isinstance(rate, UpperBoundRate):
                side = ">= " if rate.better == "larger" else "<= "
            return measured, f"{side}{predicted} ± {rate.resolution:g}"
    return measured, predicted


def _because(reason: str) -> str:
    """Return a reason without the numbers that judges put before its first colon."""
    return " ".join((reason.partition(": ")[2] or reason).split())
