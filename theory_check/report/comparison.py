"""A comparison as tables, sentences and figures: costs, what methods end up with, and their tuning."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from theory_check.analysis.comparison import (
    AccuracyResults,
    ComparisonResults,
    Interval,
    RateFinding,
)
from theory_check.analysis.comparison.rates import MEANING
from theory_check.analysis.comparison.results import COUNTERS
from theory_check.analysis.intervals import number
from theory_check.catalogue.catalogue import provenance
from theory_check.errors import StoreError
from theory_check.provenance import FOR_ACCURACY
from theory_check.report.figures import Drawing, Drawn, Say, draw_all, stamp, tell
from theory_check.report.tables import DisplayTable, Entry, Quantity
from theory_check.report.text import markdown_list, text_list
from theory_check.report.text import stamp as small_version
from theory_check.studies.comparison import Compared

PREFIXES = {"value gap": "value_"}
"""What stands before the names of tables of an accuracy; nothing before those of stationarity."""


def publish(compared: Compared, directory: Path, say: Say) -> bool:
    """Print, write and draw a comparison, say what was written, and tell whether no script failed."""
    print(text_comparison(compared))
    for file in write_comparison(compared, directory):
        say(f"wrote {file}")
    empty = "nothing that was chosen belongs into it"
    return tell(draw_comparison(compared, directory), say, empty)


def text_comparison(compared: Compared) -> str:
    """Return the tables and the findings of a comparison for a terminal."""
    options = compared.options
    heading = [small_version(options.quick), provenance(options.catalogue)]
    shown = [table.text() for table in tables(compared.results, compared.tuning_runs)]
    found = [text_list(compared.findings)] if compared.findings else []
    return "\n".join([*(f"{line}\n" for line in heading if line), *shown, *found])


def write_comparison(compared: Compared, directory: Path) -> Iterator[Path]:
    """Write the tables as CSV, Markdown and LaTeX and the findings as Markdown, and yield the files.

    Raises
    ------
    StoreError
        When a file cannot be written.
    """
    version = small_version(compared.options.quick)
    contents: dict[str, str] = {}
    for table in tables(compared.results, compared.tuning_runs):
        markdown, latex = table.markdown(), table.latex()
        contents[f"{table.name}.csv"] = table.csv()
        contents[f"{table.name}.md"] = f"{version}\n\n{markdown}" if version else markdown
        contents[f"{table.name}.tex"] = f"% {version}\n{latex}" if version else latex
    if compared.findings:
        contents["findings.md"] = markdown_list(compared.findings)
    for name, content in contents.items():
        file = directory / name
        try:
            file.write_text(content, encoding="utf-8")
        except OSError as error:
            raise StoreError(f"cannot write {file} ({error.strerror})") from error
        yield file


def draw_comparison(compared: Compared, directory: Path) -> Iterator[Drawn]:
    """Draw the figures of comparisons, and yield what became of each, as :func:`draw_all` does."""
    options = compared.options
    drawings = [
        Drawing(
            path,
            "draw(results)",
            (compared.results,),
            stamp(path, compared.files, small=options.quick),
        )
        for path in options.catalogue.comparison_figures.values()
    ]
    return draw_all(drawings, directory, options.jobs)


def tables(results: ComparisonResults, tuning_runs: Mapping[str, int]) -> list[DisplayTable]:
    """Return the tables of a comparison: standings, costs, counters and exponents of each accuracy.

    The last one is about tuning.
    Tables of the value gap have ``value_`` before their names.

    Parameters
    ----------
    results
        With runs to an accuracy or, for the last table alone, without.
    tuning_runs
        Number of tuning runs by problem.
    """
    found, tuned = [], [] if results.shift.empty else [results.shift]
    for accuracy, each in results.accuracies.items():
        prefix = PREFIXES.get(accuracy, "")
        found += [
            replace(table, name=prefix + table.name, caption=f"By {accuracy}: {table.caption}")
            for table in (
                _standings(each, results),
                _samples(each, results),
                _accounting(each),
                _summary(each, results),
            )
        ]
        tuned.append(each.outcomes)
    tuned = [each for each in tuned if not each.empty]
    if tuned:
        found.append(_tuning(pd.concat(tuned, ignore_index=True), tuning_runs))
    return found


def _standings(found: AccuracyResults, results: ComparisonResults) -> DisplayTable:
    rows: list[tuple[Entry, ...]] = [
        (
            results.methods[str(row["method"])].title,
            f"{row['met']}/{row['pairs']}",
            str(row["alone"]),
            str(row["tied"]),
            _quantity(row, "ratio"),
            _quantity(row, "iqm"),
            _quantity(row, "regret"),
            _alone(found.variation.get(str(row["method"]), math.nan)),
        )
        for _, row in found.standings.iterrows()
    ]
    return DisplayTable(
        "standings",
        "methods by the targets that they meet",
        (
            "method",
            "targets met",
            "cheapest alone",
            "tied with the cheapest",
            "samples / fewest (median)",
            "samples / fewest (interquartile mean)",
            "regret / least (median)",
            "another tuning",
        ),
        rows,
        (
            "Medians and interquartile means over pairs of problem and target, a missed target as "
            "infinite; intervals by resampling problems.",
            "Cheapest alone: no other cost lies within what the intervals of both allow; otherwise tied.",
            "Another tuning: median factor between the costs of a target in repetitions of the study.",
        ),
    )


def _samples(found: AccuracyResults, results: ComparisonResults) -> DisplayTable:
    costs = found.costs
    targets = sorted(costs["target"].unique(), reverse=True)
    rows: list[tuple[Entry, ...]] = []
    for (problem, method), part in costs.groupby(["problem", "method"], sort=False):
        entries = {row["target"]: _cost(row) for _, row in part.iterrows()}
        unit = _unit(bool(part["exact"].all()))
        rows.append((str(problem), str(method), unit, *(entries.get(at, "") for at in targets)))
    return DisplayTable(
        "samples",
        "cost of each accuracy relative to the start, with seeds that reached it",
        ("problem", "method", "cost", *map(number, targets)),
        rows,
        (
            "Geometric means over repetitions of the median over seeds; failures count as infinite.",
            "Intervals of 95 %: what another study of as many repetitions would report on the problem, "
            "its tuning included. With a single repetition between order statistics of the seeds, "
            "without tuning.",
            "After > stands what the runs had spent when they failed. (edge): a search ended at an edge; "
            "(cut): the technical limit on iterations decided.",
            *(
                f"{method.title[:1].upper()}{method.title[1:]} starts at the reference policy, which "
                "implies reward 0, and not where the others do: its costs are not ranked."
                for method in results.methods.values()
                if not method.learns_reward
            ),
        ),
    )


def _accounting(found: AccuracyResults) -> DisplayTable:
    rows: list[tuple[Entry, ...]] = [
        (
            str(row["problem"]),
            str(row["method"]),
            _alone(row["target"]),
            *(_alone(row[counter]) for counter in COUNTERS),
        )
        for _, row in found.costs.iterrows()
    ]
    return DisplayTable(
        "accounting",
        "medians of what was counted until each accuracy was reached",
        ("problem", "method", "target", *(name.replace("_", " ") for name in COUNTERS)),
        rows,
        (
            "Samples are trajectories plus labels; environment steps of discounted rollouts are "
            "expected ones; exact calls are those of methods that draw no samples.",
            "Infinite where most seeds failed.",
        ),
    )


def _cost(row: pd.Series) -> Quantity:
    return Quantity(
        Interval(row["median"], row["low"], row["high"]),
        row["spent"],
        ("reached", f"{row['reached']}/{row['seeds']}{_mark(row)}"),
    )


def _mark(row: pd.Series) -> str:
    """Return what is to be known of the search, nothing where it ended inside."""
    if math.isinf(row["median"]):
        return ""
    marks = [] if row["interior"] else ["edge"]
    return "".join(f", {mark}" for mark in [*marks, *(["cut"] if row["cut"] else [])])


def _unit(exact: bool) -> str:
    return "exact calls" if exact else "samples"


def _summary(found: AccuracyResults, results: ComparisonResults) -> DisplayTable:
    rates = {(each.problem, each.method): each for each in found.rates}
    rows = [
        _summary_row(row, rates[row["problem"], row["method"]], results)
        for _, row in found.outcomes.iterrows()
    ]
    shown = dict.fromkeys(each.verdict for each in found.rates)
    return DisplayTable(
        "summary",
        "exponents p of cost = accuracy^-p against the stated ones, and what the runs to the "
        "smallest accuracy end up with",
        (
            "problem",
            "method",
            "cost",
            "p (squared norm)",
            "2p (norm)",
            "judged",
            "judged p (squared norm)",
            "judged 2p (norm)",
            "stated p",
            "verdict",
            "floor",
            "remarks",
            "true return",
            "optimal return",
            "policy regret",
            "reward error",
            "exact calls",
            "ms per iteration",
            "diverged",
        ),
        rows,
        (
            "95 % intervals over seeds: of exponents by resampling, of returns and regrets by "
            "Student's t; reward errors, modulo what no comparison sees, are medians. Those of exponents "
            "contain the variance between repetitions. Floor: the largest target that most seeds miss.",
            *(f"{word}: {MEANING[word]}." for word in shown),
            *(
                f"{method.id}: p = {number(method.rate.exponent)} of {method.rate.cost}"
                f"{FOR_ACCURACY[method.rate.accuracy]} is stated in "
                f"{method.rate.source} [{method.rate.provenance}]."
                for method in results.methods.values()
                if method.rate is not None
            ),
        ),
    )


def _summary_row(
    row: pd.Series, rate: RateFinding, results: ComparisonResults
) -> tuple[Entry, ...]:
    # Of this accuracy: a method whose source speaks about another one has no rate here.
    stated = None if math.isnan(rate.stated) else results.methods[rate.method].rate
    return (
        rate.problem,
        rate.method,
        _unit(row["exact"]),
        Quantity(rate.cost_exponent),
        Quantity(rate.cost_exponent.scaled(2.0)),
        rate.judged if rate.judged == "iterations" else _unit(row["exact"]),
        Quantity(rate.exponent),
        Quantity(rate.exponent.scaled(2.0)),
        "-" if stated is None else _alone(stated.exponent, ("tag", stated.provenance)),
        rate.verdict,
        _alone(rate.floor),
        _remarks(rate),
        _quantity(row, "true_return"),
        _alone(row["optimal_return"]),
        _quantity(row, "policy_regret"),
        _alone(row["reward_error"]),
        _alone(row["exact_calls"]),
        _alone(row["milliseconds"]),
        f"{row['diverged']}/{row['seeds']}",
    )


def _remarks(rate: RateFinding) -> str:
    """Return what the numbers of a row do not say of its verdict."""
    if rate.verdict in ("tight", "faster", "violated"):
        left_out = ", ".join(map(number, rate.left_out))
        return f"without {left_out}, which some seeds miss" if left_out else ""
    return "" if rate.verdict == "no stated rate" else rate.reason


def _alone(value: float, remark: tuple[str, str] | None = None) -> Quantity:
    """Return a number without an interval."""
    return Quantity(Interval(value, math.nan, math.nan), remark=remark)


def _quantity(row: pd.Series, name: str) -> Quantity:
    return Quantity(Interval(row[name], row[f"{name}_low"], row[f"{name}_high"]))


def _tuning(found: pd.DataFrame, tuning_runs: Mapping[str, int]) -> DisplayTable:
    rows = [tuple(_tuning_row(row, tuning_runs)) for _, row in found.iterrows()]
    return DisplayTable(
        "tuning",
        "What was chosen for the smallest accuracy that each method was run to, and what that spent",
        (
            "problem",
            "method",
            "target",
            "chosen",
            "settings",
            "ended",
            "runs",
            "spent",
            "samples spent",
        ),
        rows,
        (
            "Constants are pure numbers, in units measured on each problem and equal for all methods; "
            "tuning runs are none of those reported. Settings, and what was spent: at this target, by "
            "the first repetition.",
            "Ended: inside, where every neighbour was tried and none is cheaper, or at an edge; cut, "
            "where the technical limit on iterations decided.",
        ),
    )


def _tuning_row(row: pd.Series, tuning_runs: Mapping[str, int]) -> Iterator[Entry]:
    chosen = json.loads(row["constants"])
    yield row["problem"]
    yield row["method"]
    yield _alone(row["target"])
    yield "; ".join(f"{name}: {number(float(value))}" for name, value in chosen.items())
    yield str(row["evaluations"])
    yield ("inside" if row["interior"] else "edge") + (", cut" if row["cut"] else "")
    yield str(tuning_runs[row["problem"]])
    yield _alone(row["tuning_cost"])
    yield _alone(row["tuning_samples"])
