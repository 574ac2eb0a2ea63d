"""Planted tables of a comparison, of known medians, exponents, failures and returns."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from theory_check.analysis.comparison import ComparedMethod
from theory_check.provenance import Accuracy, StatedRate

TARGETS = (0.3, 0.1, 0.03, 0.01, 0.003)
START = 2.5
"""Squared gradient that targets are relative to."""


def method(
    name: str,
    exponent: float | None,
    cost: Literal["samples", "iterations"] = "samples",
    requires: Literal["nothing", "realisable"] = "nothing",
    accuracy: Accuracy = "stationarity",
) -> ComparedMethod:
    rate = None if exponent is None else StatedRate(exponent, cost, "here", "V", requires, accuracy)
    return ComparedMethod(name, f"Method {name}", rate)


def planted(
    name: str,
    *,
    problem: str = "hill",
    exponent: float = 1.0,
    iterations_exponent: float = 1.0,
    level: float = 100.0,
    noise: float = 0.1,
    failures: Mapping[float, int] | None = None,
    seeds: int = 16,
    exact: bool = False,
    targets: tuple[float, ...] = TARGETS,
    reward_distance: float = 0.0,
    true_return: float = 0.5,
    policy_regret: float = 0.2,
    repetitions: int = 1,
    tuning_noise: float = 0.0,
    accuracy: str = "stationarity",
    interior: bool = True,
) -> pd.DataFrame:
    """Return ``cost = level target^-exponent`` times noise; the last seeds fail.

    The noise is that of normal quantiles, permuted at each target: its median over an even number
    of seeds is 1 up to the two middle ones, and its geometric mean is 1. Each repetition
    has costs that differ by ``exp(tuning_noise z)``, z standard normal, drawn for every target.
    """
    ranks = (np.arange(seeds) + 0.5) / seeds
    spread = np.sort(np.log(ranks / (1 - ranks)))  # logistic quantiles, symmetric about 0
    rows = []
    for at, target in enumerate(targets):
        order = np.random.default_rng([at, len(name)]).permutation(seeds)
        failed = 0 if failures is None else failures.get(target, 0)
        for repetition, seed in itertools.product(range(repetitions), range(seeds)):
            reached = seed < seeds - failed
            factor = float(np.exp(noise * spread[order[seed]]))
            drawn = np.random.default_rng([7, at, repetition, *f"{problem} {name}".encode()])
            factor *= float(np.exp(tuning_noise * drawn.standard_normal()))
            cost = level * target**-exponent * factor
            iterations = 10 * target**-iterations_exponent * factor
            rows.append(
                {
                    "seed": seed,
                    "problem": problem,
                    "method": name,
                    "repetition": repetition,
                    "accuracy": accuracy,
                    "target": target,
                    "epsilon": START * target,
                    "reached": reached,
                    "cost": cost if reached else np.nan,
                    # Two trajectories and a label make a pair of three samples.
                    "trajectories": _counted(reached and not exact, 2 * cost / 3),
                    "labels": _counted(reached and not exact, cost / 3),
                    "env_steps": _counted(reached and not exact, 10 * cost / 3),
                    "exact_calls": _counted(reached and exact, cost),
                    "iterations": iterations if reached else np.nan,
                    "spent": 2 * level * target**-exponent,
                    "ended": 0.9 if reached else 10.0,
                    "status": "ok",
                    "true_return": true_return,
                    "policy_regret": policy_regret,
                    "reward_error": 0.3,
                    "hyperobjective": 0.6,
                    "optimal_return": 1.0,
                    "reward_distance": reward_distance,
                    "seconds_per_iteration": 0.002,
                    "constants": json.dumps({"step_size": 0.5, "batch": 4.0}),
                    "tuned_cost": cost,
                    "evaluations": 12,
                    "interior": interior,
                    "cut": False,
                    "tuning_cost": 5678.0,
                    "tuning_samples": 0.0 if exact else 5678.0,
                }
            )
    return pd.DataFrame(rows)


def _counted(drawn: bool, number: float) -> float:
    return number if drawn else 0.0
