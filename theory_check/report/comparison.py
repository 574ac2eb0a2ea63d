"""A comparison as tables, sentences and figures: costs, what methods end up with, and their tuning."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from theory_check.analysis.comparison import ComparisonResults, Interval, RateFinding
from theory_check.analysis.comparison.rates import MEANING
from theory_check.analysis.comparison.results import COUNTERS
from theory_check.analysis.intervals import number
from theory_check.catalogue.catalogue import provenance
from theory_check.errors import StoreError
from theory_check.report.figures import Drawing, Drawn, Say, draw_all, stamp, tell
from theory_check.report.tables import DisplayTable, Entry, Quantity
from theory_check.report.text import markdown_list, text_list
from theory_check.report.text import stamp as small_version
from theory_check.studies.comparison import Compared


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
    shown = [table.text() for table in tables(compared.results, compared.tuning_seeds)]
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
    for table in tables(compared.results, compared.tuning_seeds):
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


def tables(results: ComparisonResults, tuning_seeds: Mapping[str, int]) -> list[DisplayTable]:
    """Return the tables of a comparison: costs, counters, what methods end up with, and tuning.

    Parameters
    ----------
    results
        With runs to an accuracy or, for the last table alone, without.
    tuning_seeds
        Number of tuning seeds by problem.
    """
    found = []
    if not results.costs.empty:
        found += [_samples(results), _accounting(results), _summary(results)]
    tuned = [each for each in (results.outcomes, results.shift) if not each.empty]
    if tuned:
        found.append(_tuning(pd.concat(tuned, ignore_index=True), tuning_seeds))
    return found


def _samples(results: ComparisonResults) -> DisplayTable:
    costs = results.costs
    targets = sorted(costs["target"].unique(), reverse=True)
    rows: list[tuple[Entry, ...]] = []
    for (problem, method), part in costs.groupby(["problem", "method"], sort=False):
        entries = {row["target"]: _cost(row) for _, row in part.iterrows()}
        unit = _unit(bool(part["exact"].all()))
        rows.append((str(problem), str(method), unit, *(entries.get(at, "") for at in targets)))
    lowest = 100 * costs["coverage"].min()
    return DisplayTable(
        "samples",
        "Median cost of each accuracy relative to the start (squared norm), with seeds that "
        "reached it",
        ("problem", "method", "cost", *map(number, targets)),
        rows,
        (
            "Intervals lie between order statistics, whatever the distribution, and cover at least "
            f"{lowest:.1f} %; failures count as infinite.",
            "After > stands what the runs had spent when they failed.",
            *(
                f"{method.title[:1].upper()}{method.title[1:]} starts at the reference policy, which "
                "implies reward 0, and not where the others do: its costs are not ranked."
                for method in results.methods.values()
                if not method.learns_reward
            ),
        ),
    )


def _accounting(results: ComparisonResults) -> DisplayTable:
    rows: list[tuple[Entry, ...]] = [
        (
            str(row["problem"]),
            str(row["method"]),
            _alone(row["target"]),
            *(_alone(row[counter]) for counter in COUNTERS),
        )
        for _, row in results.costs.iterrows()
    ]
    return DisplayTable(
        "accounting",
        "Medians of what was counted until each accuracy was reached",
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
        ("reached", f"{row['reached']}/{row['seeds']}"),
    )


def _unit(exact: bool) -> str:
    return "exact calls" if exact else "samples"


def _summary(results: ComparisonResults) -> DisplayTable:
    rates = {(found.problem, found.method): found for found in results.rates}
    rows = [
        _summary_row(row, rates[row["problem"], row["method"]], results)
        for _, row in results.outcomes.iterrows()
    ]
    shown = dict.fromkeys(found.verdict for found in results.rates)
    return DisplayTable(
        "summary",
        "Exponents p of cost = accuracy^-p against the stated ones, and what the runs to the "
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
            "Student's t; reward errors, modulo what no comparison sees, are medians.",
            *(f"{word}: {MEANING[word]}." for word in shown),
            *(
                f"{method.id}: p = {number(method.rate.exponent)} of {method.rate.cost} is stated in "
                f"{method.rate.source} [{method.rate.provenance}]."
                for method in results.methods.values()
                if method.rate is not None
            ),
        ),
    )


def _summary_row(
    row: pd.Series, rate: RateFinding, results: ComparisonResults
) -> tuple[Entry, ...]:
    stated = results.methods[rate.method].rate
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


def _tuning(found: pd.DataFrame, tuning_seeds: Mapping[str, int]) -> DisplayTable:
    rows = [tuple(_tuning_row(row, tuning_seeds)) for _, row in found.iterrows()]
    return DisplayTable(
        "tuning",
        "What each method was tuned over, what was chosen, and what that spent",
        (
            "problem",
            "method",
            "grid",
            "reached in time",
            "chosen",
            "seeds",
            "cost",
            "spent",
            "samples spent",
        ),
        rows,
        (
            "Constants are pure numbers, in units measured on each problem and equal for all methods; "
            "tuning seeds are none of those reported.",
            "A setting is stopped when it has spent more than the best so far; reached in time are "
            "those that met the accuracy before.",
        ),
    )


def _tuning_row(row: pd.Series, tuning_seeds: Mapping[str, int]) -> Iterator[Entry]:
    chosen, settings = json.loads(row["constants"]), json.loads(row["tuning"])
    levels = {name: sorted({float(setting[name]) for setting in settings}) for name in chosen}
    yield row["problem"]
    yield row["method"]
    yield "; ".join(f"{name}: {', '.join(map(number, all_))}" for name, all_ in levels.items())
    reached = sum(setting["cost"] is not None for setting in settings)
    yield f"{reached}/{len(settings)}"
    yield "; ".join(f"{name}: {number(float(value))}" for name, value in chosen.items())
    yield str(tuning_seeds[row["problem"]])
    yield _unit(row["exact"])
    yield _alone(row["tuning_cost"])
    yield _alone(row["tuning_samples"])
