"""What a comparison found, in sentences that each rest on a number and its interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from theory_check.analysis.comparison.aggregates import (
    best_of_pairs,
    improvement,
    over_problems,
    weighted_median,
)
from theory_check.analysis.comparison.rates import REALISABLE, ComparedMethod, RateFinding
from theory_check.analysis.comparison.results import (
    AccuracyResults,
    ComparisonResults,
    by_majority,
    ranked,
)
from theory_check.analysis.intervals import Interval, listed, number, plural

STARTING = 2
"""Iterations within which a target is met by where a method starts."""

SMALLEST = 1e-12
"""Regrets below this are rounding, and stand for it where others are divided by them."""

EVEN = 0.5
"""Probability of improvement of methods that do not differ."""

Methods = Mapping[str, ComparedMethod]


def findings(results: ComparisonResults) -> list[str]:
    """Return one sentence per finding; without results for one, it is left out.

    Parameters
    ----------
    results
        Of any selection of methods and problems.
    """
    sentences: list[str] = []
    for accuracy, found in results.accuracies.items():
        for part in (
            _cheapest,
            _first_two,
            _coupling,
            _without_reward,
            _exact_information,
            _rates,
            _missed,
            _regrets,
            _tuning,
        ):
            sentences += [f"By {accuracy}: {sentence}" for sentence in part(found, results.methods)]
    if not results.shift.empty:
        sentences += _under_shift(results)
    return sentences


def _title(methods: Methods, method: object) -> str:
    return methods[str(method)].title


def _cheapest(results: AccuracyResults, methods: Methods) -> Iterator[str]:
    """Name the methods that are the cheapest alone, and count where none is."""
    best, sampled = best_of_pairs(results.costs), ranked(results.costs)
    pairs = sampled.groupby(["problem", "target"]).ngroups
    if sampled["method"].nunique() < 2 or best.empty:
        return
    alone = best[[len(each) == 1 for each in best["tied"]]]
    apart = alone["runner_up"][np.isfinite(alone["runner_up"])]
    won = [
        f"{_title(methods, name)} on {count}"
        for name, count in alone["best"].value_counts(sort=True).items()
    ]
    margin = (
        f", by a median factor of {number(float(apart.median()))} over the next"
        if len(apart)
        else ""
    )
    told = f"cheapest alone are {listed(won)}{margin}; " if won else "no method is cheapest alone; "
    yield (
        f"of {_pairs(pairs)} and {sampled['method'].nunique()} sampled methods, "
        f"{told}on {len(best) - len(alone)} the cheapest are tied within their intervals, and on "
        f"{pairs - len(best)} no method meets the target."
    )


def _pairs(number: int) -> str:
    return f"{plural(number, 'pair')} of problem and target"


def _first_two(results: AccuracyResults, methods: Methods) -> Iterator[str]:
    """Compare the two methods at the top of the table."""
    if len(results.standings) < 2:
        return
    rows = [row for _, row in results.standings.iloc[:2].iterrows()]
    one, two = (str(row["method"]) for row in rows)
    chance = improvement(results.costs, one, two)
    told = " and ".join(
        f"{_title(methods, row['method'])} ({row['met']} of {row['pairs']}{_over_cheapest(row)})"
        for row in rows
    )
    if chance is None:
        return
    # Without a pair that all methods have there is no cheapest to be compared with.
    medians = "" if np.isnan([row["ratio"] for row in rows]).all() else ", medians over pairs"
    yield (
        f"most targets are met by {told}{medians}; the first is cheaper than the second "
        f"{_chance(chance)}."
    )


def _over_cheapest(row: pd.Series) -> str:
    ratio = Interval(row["ratio"], row["ratio_low"], row["ratio_high"])
    return "" if math.isnan(ratio.value) else f", {ratio} times the cheapest"


def _chance(chance: Interval) -> str:
    if math.isnan(chance.low):
        return f"with probability {chance}, on one problem, which shows no variation over problems"
    differ = chance.low > EVEN or chance.high < EVEN
    word = "" if differ else ", which is no difference beyond the variation over problems"
    return f"with probability {chance}{word}"


def _coupling(results: AccuracyResults, methods: Methods) -> Iterator[str]:
    """Compare independent with shared batches."""
    costs = results.costs
    table = costs.pivot(index=["problem", "target"], columns="method", values="median")
    for shared in methods.values():
        independent = shared.shared_batch_of
        if independent is None or not {independent, shared.id} <= {*table.columns}:
            continue
        both = table[[independent, shared.id]]
        finite = both[(np.isfinite(both) & (both > 0)).all(axis=1)]
        chance = improvement(costs, shared.id, independent)
        if finite.empty or chance is None:
            continue
        ratio = (finite[independent] / finite[shared.id]).reset_index(name="value")
        found = over_problems(ratio, weighted_median)
        yield (
            f"independent batches take a median of {found} times the samples of a shared one in "
            f"{_title(methods, independent)}, over {_pairs(len(ratio))} that both "
            f"reach; the shared batch is cheaper {_chance(chance)}."
        )


def _without_reward(results: AccuracyResults, methods: Methods) -> Iterator[str]:
    """Say how much of what unranked methods reach is where they start."""
    costs = results.costs
    unranked = [method.id for method in methods.values() if not method.learns_reward]
    for method, part in costs[costs["method"].isin(unranked)].groupby("method", sort=False):
        reached = part[by_majority(part)]
        at_once = int((reached["iterations"] <= STARTING).sum())
        yield (
            f"{_title(methods, method)} is not ranked: it has no reward model and starts at the "
            f"reference policy, which implies reward 0. Of {plural(len(part), 'target')} it meets "
            f"{len(reached)} in most seeds, {at_once} of them within {STARTING} iterations."
        )


def _exact_information(results: AccuracyResults, methods: Methods) -> Iterator[str]:
    """Compare the iterations of exact descent with those of the cheapest sampled method."""
    costs, pairs = results.costs, ["problem", "target"]
    sampled = ranked(costs)
    sampled = sampled[np.isfinite(sampled["median"])]
    cheapest = sampled.sort_values("median", kind="stable").drop_duplicates(pairs)
    for baseline in methods.values():
        if not baseline.baseline:
            continue
        exact = costs[costs["method"] == baseline.id].set_index(pairs)["iterations"]
        exact = exact[np.isfinite(exact)]
        ratio = (cheapest.set_index(pairs)["iterations"] / exact).replace(0.0, np.nan).dropna()
        if not ratio.empty:
            found = over_problems(ratio.reset_index(name="value"), weighted_median)
            yield (
                f"the cheapest sampled method takes a median of {found} times the iterations of "
                f"{baseline.title} descent ({_pairs(len(ratio))})."
            )


def _rates(results: AccuracyResults, methods: Methods) -> Iterator[str]:
    """Count the verdicts, and name the rates that are exceeded."""
    stated = [found for found in results.rates if found.verdict != "no stated rate"]
    if not stated:
        return
    counts = Counter(found.verdict for found in stated)
    told = listed([f"{count} {word}" for word, count in counts.most_common()])
    floors = sum(np.isfinite(found.floor) for found in stated)
    yield (
        f"of {plural(len(stated), 'stated rate')} on a problem: {told}; {floors} "
        f"{'ends' if floors == 1 else 'end'} at a floor, below which most seeds meet no target."
    )
    for method in methods:
        violated = [f for f in stated if f.method == method and f.verdict == "violated"]
        if violated:
            yield (
                f"{_title(methods, method)} exceeds its stated exponent "
                f"{number(violated[0].stated)} (norm {number(2 * violated[0].stated)}) on "
                f"{listed([_exceeded(found) for found in violated])}."
            )


def _exceeded(found: RateFinding) -> str:
    return f"{found.problem} (p = {found.exponent}; norm {found.exponent.scaled(2.0)})"


def _missed(results: AccuracyResults, methods: Methods) -> Iterator[str]:
    """Count the targets that most seeds miss, and say where the accuracy stays."""
    told = []
    for method, part in results.costs.groupby("method", sort=False):
        missed = part[~by_majority(part)]
        if missed.empty:
            continue
        first = missed.sort_values("target", ascending=False, kind="stable")
        ended = first.drop_duplicates("problem")["ended"].to_numpy(dtype=np.float64)
        told.append(
            f"{_title(methods, method)} {len(missed)} of {len(part)}, "
            f"on {plural(len(ended), 'problem')}, ending at {_floor(ended)}"
        )
    if told:
        yield f"targets that most seeds miss: {'; '.join(told)}."


def _floor(ratios: np.ndarray) -> str:
    """Return the median of the accuracies that are left, over the first targets that were missed."""
    known = ratios[np.isfinite(ratios)]
    if not known.size:
        return "no accuracy (0 finite runs)"
    return f"a median of {number(float(np.median(known)))} times the first one"


def _regrets(results: AccuracyResults, methods: Methods) -> Iterator[str]:
    """Compare the regret of final policies where the reward class is misspecified."""
    outside = results.outcomes[results.outcomes["reward_distance"] > REALISABLE]
    regrets = outside.pivot(index="problem", columns="method", values="policy_regret").dropna(
        axis="columns"
    )
    if regrets.empty or regrets.shape[1] < 2:
        return
    relative = regrets.div(regrets.min(axis=1).clip(lower=SMALLEST), axis=0)
    ordered = relative.median().sort_values(kind="stable")
    ignoring = [name for name in ordered.index if methods[str(name)].ignores_response]
    shown = dict.fromkeys([*ordered.index[:3], *ignoring])
    shown[ordered.index[-1]] = None
    told = []
    for name in shown:
        found = over_problems(relative[name].reset_index(name="value"), weighted_median)
        told.append(f"{_title(methods, name)} {found}")
    yield (
        f"on {plural(len(regrets), 'misspecified problem')} the regret of the final policy under the "
        f"true reward, KL term included, is in the median over problems so many times the least of "
        f"{regrets.shape[1]} methods: {listed(told)}."
    )


def _tuning(results: AccuracyResults, methods: Methods) -> Iterator[str]:
    """Say what another tuning changes, and where the search ended."""
    costs = results.costs
    reached = costs[np.isfinite(costs["median"])]
    if reached.empty:
        return
    edges, cut = int((~reached["interior"]).sum()), int(reached["cut"].sum())
    repeated = ""
    if results.variation:
        factors = pd.Series(results.variation)
        repeated = (
            f"; another tuning and other seeds change the cost of a target by a median factor of "
            f"{number(float(factors.median()))}, at most {number(float(factors.max()))}, of "
            f"{_title(methods, factors.idxmax())}"
        )
    yield (
        f"of {plural(len(reached), 'setting')} that {'reaches' if len(reached) == 1 else 'reach'} a "
        f"target {edges} {'is' if edges == 1 else 'are'} at an edge of the search and {cut} "
        f"{'was' if cut == 1 else 'were'} decided by the technical limit on iterations{repeated}."
    )


def _under_shift(results: ComparisonResults) -> Iterator[str]:
    """Say, per family of problems, what regret is left as the true reward leaves the class."""
    shift = results.shift.dropna(subset=["policy_regret"])
    watched = [method.id for method in results.methods.values() if method.ignores_response]
    family = [label.rpartition("-")[0] or label for label in shift["problem"]]
    for name, part in shift.groupby(family, sort=False):
        if part["reward_distance"].nunique() < 2:
            continue
        far = part[part["reward_distance"] == part["reward_distance"].max()]
        near = part[part["reward_distance"] == part["reward_distance"].min()].set_index("method")
        ranked = far.sort_values("policy_regret", kind="stable")
        told = dict.fromkeys([ranked.index[0], *ranked.index[ranked["method"].isin(watched)]])
        told[ranked.index[-1]] = None
        changes = [
            f"{_title(results.methods, far.loc[at, 'method'])} from "
            f"{number(float(near['policy_regret'].get(far.loc[at, 'method'], np.nan)))} to "
            f"{_regret(far.loc[at])}"
            for at in told
        ]
        yield (
            f"Distribution shift, {name}: as the distance of the true reward to the class grows "
            f"from {_distance(part['reward_distance'].min())} to "
            f"{_distance(part['reward_distance'].max())}, the regret of the final policy goes, from "
            f"the least to the most of {plural(len(far), 'method')}, in {listed(changes)}."
        )


def _distance(value: float) -> str:
    """Return a distance to the class, 0 where it is rounding."""
    return number(float(value) if value > REALISABLE else 0.0)


def _regret(row: pd.Series) -> Interval:
    return Interval(row["policy_regret"], row["policy_regret_low"], row["policy_regret_high"])
