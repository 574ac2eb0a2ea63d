"""What a comparison found, in sentences that each rest on a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd

from theory_check.analysis.comparison.rates import REALISABLE, RateFinding
from theory_check.analysis.comparison.results import (
    ComparisonResults,
    by_majority,
    cost_ratios,
    ranked,
)
from theory_check.analysis.intervals import Interval, listed, number

STARTING = 2
"""Iterations within which a target is met by where a method starts."""

SMALLEST = 1e-12
"""Regrets below this are rounding, and stand for it where others are divided by them."""

TIE = 1 + 1e-12
"""Ratio to the best that is rounding."""


def findings(results: ComparisonResults) -> list[str]:
    """Return one sentence per finding; without results for one, it is left out.

    Parameters
    ----------
    results
        Of any selection of methods and problems.
    """
    sentences: list[str] = []
    if not results.costs.empty:
        for part in (
            _fewest,
            _per_problem,
            _without_reward,
            _coupling,
            _exact_information,
            _rates,
            _missed,
        ):
            sentences += part(results)
        sentences += _regrets(results)
    if not results.shift.empty:
        sentences += _under_shift(results)
    return sentences


def _title(results: ComparisonResults, method: object) -> str:
    return results.methods[str(method)].title


def _fewest(results: ComparisonResults) -> Iterator[str]:
    """Say which sampled method is the cheapest most often, and by how much."""
    ratios = cost_ratios(results.costs)
    if ratios.shape[1] < 2 or ratios.empty:
        return
    values = ratios.to_numpy(dtype=np.float64)
    wins = pd.Series((values <= TIE).sum(0), index=ratios.columns)
    unreached = int(np.isinf(values).all(axis=1).sum())
    if wins.max() > 0:
        best = [name for name in wins.index if wins[name] == wins.max()]
        won = values[(ratios[best] <= TIE).any(axis=1).to_numpy()]
        runner_up = np.sort(won, axis=1)[:, 1]
        contested = runner_up[np.isfinite(runner_up)]
        margin = (
            f", by a median factor of {number(float(np.median(contested)))} over the runner-up "
            f"({len(contested)} pairs with one)"
            if contested.size
            else ""
        )
        names = listed([_title(results, name) for name in best])
        verb = "needs" if len(best) == 1 else "each need"
        yield (
            f"Of {ratios.shape[1]} sampled methods {names} {verb} the fewest samples on "
            f"{wins.max()} of {len(ratios)} pairs of problem and target{margin}."
        )
    if unreached:
        yield f"No sampled method reaches {unreached} of {len(ratios)} pairs of problem and target."


def _per_problem(results: ComparisonResults) -> Iterator[str]:
    """Name the cheapest sampled method at the smallest target of each problem that one reaches."""
    costs = results.costs
    reached = ranked(costs)
    reached = reached[np.isfinite(reached["median"])]
    won: dict[str, list[str]] = {}
    for problem, part in reached.groupby("problem", sort=False):
        last = part[part["target"] == part["target"].min()].sort_values("median", kind="stable")
        best = last.iloc[0]
        found = Interval(best["median"], best["low"], best["high"])
        won.setdefault(best["method"], []).append(
            f"{problem} ({found} samples for {number(best['target'])})"
        )
    for method, places in sorted(won.items(), key=lambda entry: -len(entry[1])):
        yield (
            f"{_title(results, method)} is the cheapest at the smallest target that a sampled method "
            f"reaches on {len(places)} of {reached['problem'].nunique()} problems: {listed(places)}."
        )


def _without_reward(results: ComparisonResults) -> Iterator[str]:
    """Say how much of what unranked methods reach is where they start."""
    costs = results.costs
    unranked = [method.id for method in results.methods.values() if not method.learns_reward]
    for method, part in costs[costs["method"].isin(unranked)].groupby("method", sort=False):
        reached = part[by_majority(part)]
        at_once = int((reached["iterations"] <= STARTING).sum())
        yield (
            f"{_title(results, method)} is not ranked: it has no reward model and starts at the "
            f"reference policy, which implies reward 0. Of {len(part)} targets it meets "
            f"{len(reached)} in most seeds, {at_once} of them within {STARTING} iterations."
        )


def _coupling(results: ComparisonResults) -> Iterator[str]:
    """Compare independent with shared batches."""
    table = results.costs.pivot(index=["problem", "target"], columns="method", values="median")
    for shared in results.methods.values():
        independent = shared.shared_batch_of
        if independent is None or not {independent, shared.id} <= {*table.columns}:
            continue
        both = table[[independent, shared.id]]
        finite = both[np.isfinite(both).all(axis=1)]
        ratio = finite[independent] / finite[shared.id]
        if ratio.empty:
            continue
        yield (
            f"With independent batches the {independent} method needs a median of "
            f"{number(float(ratio.median()))} times the samples of a shared batch, from "
            f"{number(float(ratio.min()))} to {number(float(ratio.max()))} over {len(ratio)} pairs of "
            "problem and target that both reach."
        )


def _exact_information(results: ComparisonResults) -> Iterator[str]:
    """Compare the iterations of exact descent with those of the cheapest sampled method."""
    costs = results.costs
    pairs = ["problem", "target"]
    sampled = ranked(costs)
    sampled = sampled[np.isfinite(sampled["median"])]
    cheapest = sampled.sort_values("median", kind="stable").drop_duplicates(pairs)
    for baseline in results.methods.values():
        if not baseline.baseline:
            continue
        exact = costs[costs["method"] == baseline.id].set_index(pairs)["iterations"]
        ratio = (cheapest.set_index(pairs)["iterations"] / exact).replace(0.0, np.nan).dropna()
        if not ratio.empty:
            yield (
                f"The cheapest sampled method takes a median of {number(float(ratio.median()))} times "
                f"the iterations of {baseline.title} descent ({len(ratio)} pairs of problem and target)."
            )


def _rates(results: ComparisonResults) -> Iterator[str]:
    """Count the verdicts, and name the rates that are exceeded."""
    stated = [found for found in results.rates if found.verdict != "no stated rate"]
    if not stated:
        return
    counts = Counter(found.verdict for found in stated)
    told = listed([f"{count} {word}" for word, count in counts.most_common()])
    yield f"Of {len(stated)} stated rates on a problem: {told}."
    for method in results.methods:
        violated = [f for f in stated if f.method == method and f.verdict == "violated"]
        if violated:
            yield (
                f"{_title(results, method)} exceeds its stated exponent "
                f"{number(violated[0].stated)} (norm {number(2 * violated[0].stated)}) on "
                f"{listed([_exceeded(found) for found in violated])}."
            )


def _exceeded(found: RateFinding) -> str:
    return f"{found.problem} (p = {found.exponent}; norm {found.exponent.scaled(2.0)})"


def _missed(results: ComparisonResults) -> Iterator[str]:
    """Count the targets that most seeds miss, and say where the accuracy stays."""
    costs = results.costs
    told = []
    for method, part in costs.groupby("method", sort=False):
        missed = part[~by_majority(part)]
        if missed.empty:
            continue
        last = missed.sort_values("target", kind="stable").drop_duplicates("problem")
        ends = (last["failed_accuracy"] / last["epsilon"]).to_numpy(dtype=np.float64)
        told.append(
            f"{_title(results, method)} {len(missed)} of {len(part)}, on {len(last)} problems, ending at "
            f"{_floor(ends)}"
        )
    if told:
        yield f"Targets that most seeds miss: {'; '.join(told)}."


def _floor(ratios: np.ndarray) -> str:
    """Return the median of the accuracies that are left, relative to their targets."""
    known = ratios[np.isfinite(ratios)]
    if not known.size:
        return "no accuracy (0 finite runs)"
    return f"a median of {number(float(np.median(known)))} times the smallest target"


def _regrets(results: ComparisonResults) -> Iterator[str]:
    """Compare the regret of final policies where the reward class is misspecified."""
    outside = results.outcomes[results.outcomes["reward_distance"] > REALISABLE]
    regrets = outside.pivot(index="problem", columns="method", values="policy_regret").dropna()
    if regrets.empty or regrets.shape[1] < 2:
        return
    relative = regrets.div(regrets.min(axis=1).clip(lower=SMALLEST), axis=0).median()
    ranked = relative.sort_values(kind="stable")
    ignoring = [name for name in ranked.index if results.methods[name].ignores_response]
    shown = dict.fromkeys([*ranked.index[:3], *ignoring])
    shown[ranked.index[-1]] = None
    told = [f"{_title(results, method)} {number(float(ranked[method]))}" for method in shown]
    yield (
        f"On {len(regrets)} misspecified problems the regret of the final policy under the true "
        f"reward, KL term included, is in the median over problems so many times that of the best of "
        f"{regrets.shape[1]} methods: {listed(told)}."
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
            f"{_title(results, far.loc[at, 'method'])} from "
            f"{number(float(near['policy_regret'].get(far.loc[at, 'method'], np.nan)))} to "
            f"{_regret(far.loc[at])}"
            for at in told
        ]
        yield (
            f"Distribution shift, {name}: as the distance of the true reward to the class grows "
            f"from {_distance(part['reward_distance'].min())} to "
            f"{_distance(part['reward_distance'].max())}, the regret of the final policy goes, from "
            f"the least to the most of {len(far)} methods, in {listed(changes)}."
        )


def _distance(value: float) -> str:
    """Return a distance to the class, 0 where it is rounding."""
    return number(float(value) if value > REALISABLE else 0.0)


def _regret(row: pd.Series) -> Interval:
    return Interval(row["policy_regret"], row["policy_regret_low"], row["policy_regret_high"])
