"""What was measured, in a few lines: the number farthest from the theory, and where a verdict differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from theory_check.analysis import PowerLawFit, RateVerdict, Verdict
from theory_check.analysis.intervals import Interval
from theory_check.analysis.power_verdict import fitted_exponent
from theory_check.claims.rates import AttainedRate, PowerRate, Rate, ScheduleRate
from theory_check.plotting.numbers import general, interval

Shown = tuple[Verdict, Rate, str]
"""A verdict, one of its rates, and what the panel calls it; ``""`` where it shows no other."""


def power_summary(*shown: Shown) -> str:
    """Return the exponents that a panel of power laws shows, for the title of its legend.

    Parameters
    ----------
    shown
        The rates of the panel, all of them in one unit.

    Returns
    -------
    str
        A line for the unit and what is drawn, one for each rate with the exponent that is farthest from
        the theory, and one for problems whose verdict is not that of most.
    """
    units = {rate.y_units for _, rate, _ in shown if isinstance(rate, PowerRate)}
    unit = next(iter(units)) if len(units) == 1 else "value"
    of = "" if unit == "value" else f" ({unit})"
    lines = [f"exponent{of}, 95 % intervals; line: fit in its window"]
    for verdict, rate, label in shown:
        assert isinstance(rate, PowerRate)
        found = _judged(verdict, rate)
        lines.append(_line(label, rate.exponent, found, partial(_exponent, rate), 3))
        lines += exceptions(found)
    return "\n".join(lines)


def schedule_name(verdict: Verdict, rate: ScheduleRate) -> str:
    """Return what a figure calls the schedule of a rate."""
    name = str(rate.where.get("schedule", rate.name)).removeprefix("control-")
    return f"{name}, neural" if verdict.claim.id.endswith("-neural") else name


def schedule_summary(verdicts: Sequence[Verdict]) -> str:
    """Return the growths that a panel of schedules shows, from the least to the most."""
    rates = [
        (verdict, rate)
        for verdict in verdicts
        for rate in verdict.claim.rates
        if isinstance(rate, ScheduleRate)
    ]
    allowed = max((rate.resolution for _, rate in rates), default=0.0)
    named = [
        (found, f"{schedule_name(verdict, rate)} on {found.problem}")
        for verdict, rate in rates
        for found in _judged(verdict, rate)
    ]
    grown = [(found.numbers.estimate, name) for found, name in named if found.numbers.estimate]
    grown.sort(key=lambda each: each[0].value)
    lines = [f"growth as a power of 1/ε, at most {general(allowed)} allowed"]
    ends = (*grown[:1], *grown[1:][-1:])
    lines += [f"{interval(growth, 2)} ({name})" for growth, name in ends]
    return "\n".join([*lines, *exceptions([found for found, _ in named], [n for _, n in named])])


def attained_summary(verdicts: Sequence[Verdict]) -> str:
    """Return the exponents of the costs that a panel shows, for each stated one that farthest from it."""
    lines = ["p of samples ∝ $\\varepsilon^{-p}$, 95 % intervals; dotted: theory"]
    for verdict in verdicts:
        for rate in verdict.claim.rates:
            assert isinstance(rate, AttainedRate)
            found = _judged(verdict, rate)
            name = str(rate.where.get("method", rate.name))
            lines.append(_line(name, rate.exponent, found, lambda each: each.numbers.estimate, 2))
            lines += exceptions(found)
    return "\n".join(lines)


def looseness_summary(verdict: Verdict, rate: str) -> str:
    """Return the smallest ratio of a bound to what was measured, and where it is."""
    found = [
        (each.numbers.estimate.value, each.problem)
        for each in verdict.rates
        if each.rate == rate and each.numbers.estimate
    ]
    if not found:
        return f"{rate}: not judged"
    smallest, problem = min(found)
    return f"{rate}; smallest {general(smallest, 3)} ({problem})"


def exceptions(found: Sequence[RateVerdict], names: Sequence[str] = ()) -> list[str]:
    """Return a line for each verdict that is not that of most, with the problems it is about.

    Parameters
    ----------
    found
        The verdicts.
    names
        What they are called; their problems when empty.
    """
    usual = Counter(each.status for each in found).most_common(1)
    others: dict[str, list[str]] = {}
    for each, name in zip(found, names or [each.problem for each in found], strict=True):
        if each.status != usual[0][0]:
            others.setdefault(each.status, []).append(name)
    return [f"{status}: {', '.join(problems)}" for status, problems in others.items()]


def _judged(verdict: Verdict, rate: Rate) -> list[RateVerdict]:
    return [found for found in verdict.rates if found.rate == rate.name and found.y.size]


def _exponent(rate: PowerRate, found: RateVerdict) -> Interval | None:
    return fitted_exponent(rate, found.fit) if isinstance(found.fit, PowerLawFit) else None


def _line(
    label: str,
    stated: float,
    found: Sequence[RateVerdict],
    of: Callable[[RateVerdict], Interval | None],
    decimals: int,
) -> str:
    """Return what is stated and the number farthest from it, with its problem."""
    start = f"{label}: theory {general(stated)}" if label else f"theory {general(stated)}"
    measured = [(number, each.problem) for each in found if (number := of(each)) is not None]
    if not measured:
        return f"{start}, nothing fitted"
    farthest, problem = max(measured, key=lambda each: abs(each[0].value - stated))
    text = interval(farthest, decimals)
    if len(measured) == 1:
        return f"{start}, found {text}"
    return f"{start}, farthest of {len(measured)}: {text} ({problem})"
