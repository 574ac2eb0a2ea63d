"""Statements across claims: sentences with their numbers, composed from verdicts and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from theory_check.analysis.intervals import Interval, clopper_pearson, median_interval
from theory_check.analysis.rate_verdict import Growth, RateVerdict
from theory_check.analysis.verdict import Verdict
from theory_check.claims.neural import ABSOLUTE, RELATIVE
from theory_check.errors import InvalidArgumentError
from theory_check.thresholds import VANISHED


@dataclass(frozen=True)
class Conclusion:
    """A statement across several claims, for the report.

    Attributes
    ----------
    id
        Name in the report.
    claims
        Ids of the claims whose verdicts it reads; the tables are those of their experiments.
    compose
        Of verdicts and tables, both by claim id: one sentence per entry, each with its number.
    """

    id: str
    claims: tuple[str, ...]
    compose: Callable[[Mapping[str, Verdict], Mapping[str, pd.DataFrame]], list[str]]


def saving(rows: pd.DataFrame, dear: str, cheap: str) -> Interval:
    """Return how many times the cost of one method another one has, with its 95 % interval.

    The geometric mean over replicates of the ratio, Student's t; where a replicate missed the target with
    one of the two, and its cost counts as infinite, the median with its order statistics.

    Parameters
    ----------
    rows
        Of one problem and one target, one for each replicate and method.
    dear, cheap
        The numerator and the denominator.
    """
    wide = rows.pivot(index="seed", columns="method", values="samples")
    numerator, denominator = (wide[name].to_numpy(dtype=np.float64) for name in (dear, cheap))
    judged = np.isfinite(numerator) | np.isfinite(denominator)
    if judged.sum() < 2 or np.isnan(numerator + denominator).any():
        raise InvalidArgumentError("rows", "costs that are missing", "compare complete tables only")
    ratios = numerator[judged] / denominator[judged]
    if not np.isfinite(ratios).all() or not ratios.all() or not judged.all():
        found = median_interval(ratios)
        return Interval(found.value, found.low, found.high)
    logs = np.log(ratios)
    centre, error = float(logs.mean()), float(logs.std(ddof=1) / np.sqrt(logs.size))
    reach = float(stats.t.ppf(0.975, logs.size - 1)) * error
    low, middle, high = np.exp([centre - reach, centre, centre + reach])
    return Interval(float(middle), float(low), float(high))


def compose_saving(
    verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]
) -> list[str]:
    """Return one sentence per problem, at its smallest target."""
    sentences = []
    for claim in COUPLING_SAVING.claims:
        for problem, target, rows in _at_smallest_targets(tables[claim]):
            if {"penalty", "penalty-shared"} <= set(rows["method"]):
                ratio = saving(rows, "penalty", "penalty-shared")
                sentences.append(
                    f"{problem}: tuned to reach a mean ‖∇Phi‖² of {target:.2g} over the second half, "
                    f"the penalty method draws {ratio:.3g} times as many samples "
                    "with independent batches as with a shared one."
                )
    return sentences


COUPLING_SAVING = Conclusion("coupling-saving", ("attained-3", "attained-hard"), compose_saving)


def compose_central_saving(
    verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]
) -> list[str]:
    """Return one sentence per problem, at its smallest target."""
    sentences = []
    for forward, central in (
        ("attained-3", "attained-central"),
        ("attained-hard", "attained-central-hard"),
    ):
        both = pd.concat([tables[forward], tables[central]], ignore_index=True)
        for problem, target, rows in _at_smallest_targets(both):
            pairs = {
                "independent batches": ("penalty", "penalty-central"),
                "a shared batch": ("penalty-shared", "penalty-central-shared"),
            }
            told = [
                f"{saving(rows, *names):.3g} times with {words}"
                for words, names in pairs.items()
                if {*names} <= set(rows["method"])
            ]
            if told:
                sentences.append(
                    f"{problem}: tuned to reach a mean ‖∇Phi‖² of {target:.2g} over the second half, "
                    "a forward difference draws the samples of a central one "
                    f"{' and '.join(told)}."
                )
    return sentences


CENTRAL_SAVING = Conclusion(
    "central-saving",
    ("attained-3", "attained-central", "attained-hard", "attained-central-hard"),
    compose_central_saving,
)


def _at_smallest_targets(table: pd.DataFrame) -> Iterator[tuple[str, float, pd.DataFrame]]:
    """Yield every problem, its smallest target and the rows there."""
    for problem, rows in table.groupby("problem", sort=False):
        target = rows["epsilon"].min()
        yield str(problem), float(target), rows[rows["epsilon"] == target]


SCHEDULES = {
    "7/2": (("schedule-7/2", "schedule-7/2-hard"), None, None),
    "3": (("schedule-3", "schedules-hard"), "attained-3", "independent"),
    "2": (("schedule-2", "schedule-2-hard"), "attained-2", "shared"),
}
"""Claims that it suffices, the claim on natural problems, and the rate within ``attained-hard``."""


def compose_needed(
    verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]
) -> list[str]:
    """Return one sentence per schedule."""
    sentences = []
    for exponent, (sufficient, natural, hard) in SCHEDULES.items():
        rates = [
            rate
            for claim in sufficient
            for rate in verdicts[claim].rates
            if not rate.rate.startswith("wasteful")
        ]
        kept = sum(rate.status == "holds" for rate in rates)
        text = (
            f"epsilon^-{exponent}: sufficient on {kept} of {len(rates)} problems ({_ratios(rates)})"
        )
        if natural is None or hard is None:
            text += "; not needed, since the schedule of epsilon^-3 suffices with less"
        else:
            text += f"; needed on natural problems? {_needed(verdicts[natural].rates)}"
            in_class = [rate for rate in verdicts["attained-hard"].rates if rate.rate == hard]
            text += f"; needed in the class? {_needed(in_class)}"
        sentences.append(f"{text}.")
    return sentences


def _ratios(rates: list[RateVerdict]) -> str:
    """Return the accuracy over the target, first to last, on every problem."""
    parts = []
    for rate in rates:
        if isinstance(rate.numbers, Growth) and rate.numbers.ratios:
            ratio = [each.value for each in rate.numbers.ratios]
            parts.append(f"{rate.problem} {ratio[0]:.2g} to {ratio[-1]:.2g}")
    return f"accuracy over target: {', '.join(parts)}" if parts else "not measured"


def _needed(rates: tuple[RateVerdict, ...] | list[RateVerdict]) -> str:
    parts = []
    for rate in rates:
        found = rate.numbers.estimate
        number = "" if found is None else f"{found:.2f}, "
        parts.append(f"{rate.problem} {number}{rate.status}")
    return ", ".join(parts)


NEEDED = Conclusion(
    "needed",
    tuple(
        dict.fromkeys(
            [
                *(claim for claims, _, _ in SCHEDULES.values() for claim in claims),
                *(natural for _, natural, _ in SCHEDULES.values() if natural is not None),
                "attained-hard",
            ]
        )
    ),
    compose_needed,
)


# A run away from the optimum is at a stationary point where ‖∇Phi‖² has fallen to this share of its
# start, and is slow where it has not.
STATIONARY = 1e-4


def reached(rows: pd.DataFrame) -> pd.Series:
    """Return whether each run ended within both tolerances, as a boolean column."""
    return (rows["optimality_gap"] <= ABSOLUTE) & (rows["relative_gap"] <= RELATIVE)


def attained(rows: pd.DataFrame) -> bool:
    """Return whether the optimum that gaps are measured from is certified."""
    return bool((rows["status"] != "optimum not certified").all())


def compose_optimality(
    verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]
) -> list[str]:
    """Return one sentence per problem and width."""
    return [
        _optimality_of(str(problem), str(width), rows)
        for table in tables.values()
        for (problem, width), rows in table.groupby(["problem", "width"], sort=False)
    ]


def _optimality_of(problem: str, width: str, rows: pd.DataFrame) -> str:
    arrived = reached(rows)
    share = clopper_pearson(int(arrived.sum()), len(rows))
    name = "Phi*" if attained(rows) else "the lowest value known (no optimum is certified)"
    text = (
        f"{problem}, width {width}: {int(arrived.sum())} of {len(rows)} runs ({share:.2f}) "
        f"end within {ABSOLUTE:g} nats and {RELATIVE:.0%} of the start of {name}"
    )
    if arrived.any():
        text += f", at a median reward error of {rows.loc[arrived, 'reward_error'].median():.2g}"
    away = rows[~arrived]
    if away.empty:
        return f"{text}."
    # A run that stopped before its end has a row without measurements.
    ended = away[away["optimality_gap"].notna()]
    cut = len(away) - len(ended)
    stopped = f"; stopped before their end: {cut}" if cut else ""
    if ended.empty:
        return f"{text}{stopped}."
    still = int((ended["stationarity"] <= STATIONARY * ended["initial_stationarity"]).sum())
    return (
        f"{text}; of the other {len(ended)}, {still} are stationary (‖∇Phi‖² below {STATIONARY:g} of its "
        f"start) and {len(ended) - still} still moving, at a median gap of "
        f"{ended['optimality_gap'].median():.2g} nats{stopped}."
    )


GLOBAL_OPTIMALITY = Conclusion(
    "global-optimality", ("global-optimality", "global-optimality-sequences"), compose_optimality
)


def compose_bias(verdicts: Mapping[str, Verdict], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return one sentence per problem, class and activation."""
    names = ["problem", "parametric_class", "activation"]
    return [
        _floors_of(str(problem), str(parametric_class), str(activation), rows)
        for table in tables.values()
        for (problem, parametric_class, activation), rows in table.groupby(names, sort=False)
    ]


def _floors_of(problem: str, parametric_class: str, activation: str, rows: pd.DataFrame) -> str:
    size = "layers" if "layers" in rows.columns else "width"
    medians = rows.groupby(size)["floor"].median()
    curve = ", ".join(f"{value:.2g} ({size[0]} = {number})" for number, value in medians.items())
    text = f"{problem}, {parametric_class} class, {activation}: median floor {curve}."
    open_floors = rows[rows["floor"] > VANISHED]
    if open_floors.empty:
        return text
    floor = open_floors["floor"]
    late = (open_floors["late_decrease"] / floor).quantile(0.9)
    spread = (open_floors["median_random"] / floor).median()
    nested = (open_floors["start"] == "nested").mean()
    return (
        f"{text} Optimisation error where the floor exceeds {VANISHED:g}: nine in ten of the best fits "
        f"gained at most {late:.0%} of their value in the second half of the iterations, the median "
        f"random start ended at {spread:.2f} times the best, and {nested:.0%} of the best began from the "
        "smaller network."
    )


NEURAL_BIAS = Conclusion(
    "neural-bias",
    ("neural-bias", "neural-bias-sequences", "neural-bias-sequences-layers"),
    compose_bias,
)
