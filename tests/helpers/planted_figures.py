"""Results for every script of ``paper_figures/``: as the claims state, on the problems of their files.

Names of problems are those of the experiments, since long ones are what does not fit. Scripts that read
columns of which their claims know nothing have a function of their own in :data:`TABLES`; a script whose
columns nobody planted fails with a ``KeyError`` that names them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from types import ModuleType

import numpy as np
import pandas as pd

from helpers.experiments import experiment_in
from theory_check.analysis import Verdict, judge
from theory_check.catalogue import Catalogue
from theory_check.claims.base import Claim
from theory_check.claims.overoptimisation import METHODS as OVEROPTIMISED
from theory_check.claims.overoptimisation import SCARCE
from theory_check.claims.rates import AttainedRate, PowerRate
from theory_check.testing.claims import planted_bound, planted_table

SEEDS = range(8)


def planted_results(module: ModuleType) -> tuple[dict[str, Verdict], dict[str, pd.DataFrame]]:
    """Return the verdicts and tables that a script's ``draw`` takes."""
    catalogue = Catalogue.shipped()
    verdicts: dict[str, Verdict] = {}
    frames: dict[str, list[pd.DataFrame]] = {}
    for name in module.CLAIMS if hasattr(module, "CLAIMS") else ():
        claim = catalogue.claim(name)
        problems = labels(claim.experiment)
        plant = TABLES.get(claim.experiment)
        table = plant(problems) if plant else stated(claim, problems)
        verdicts[name] = judge(claim, table)
        if not (plant and claim.experiment in frames):
            frames.setdefault(claim.experiment, []).append(table)
    for name in getattr(module, "EXPERIMENTS", ()):
        frames[name] = [audited(labels(name))]
    return verdicts, {name: pd.concat(parts) for name, parts in frames.items()}


def labels(experiment: str) -> list[str]:
    """Return the labels of an experiment's problems."""
    cells = experiment_in(Catalogue.shipped().experiments[experiment]).full
    return list(dict.fromkeys(str(cell.label) for cell in cells))


def stated(claim: Claim, problems: list[str]) -> pd.DataFrame:
    """Return a table that is drawn from the claim, on each problem at a level of its own."""
    # What has to fail is planted failing, where it is a rate that is too slow.
    one = planted_table(claim, worse_by=0.4 if claim.expected == "violated" else 0.0)
    columns = {rate.y for rate in claim.rates if isinstance(rate, PowerRate | AttainedRate)}
    if any(isinstance(rate, AttainedRate) for rate in claim.rates):
        one["predicted_samples"] = one["samples"] / 2
    return pd.concat(
        [
            one.assign(problem=problem, **{name: 2.0**place * one[name] for name in columns})
            for place, problem in enumerate(problems)
        ],
        ignore_index=True,
    )


def _rows(problems: list[str], **axes: object) -> pd.DataFrame:
    """Return the product of problems, seeds and axes."""
    names = ["problem", "seed", *axes]
    values = [problems, SEEDS, *axes.values()]
    table = pd.DataFrame(list(product(*values)), columns=names)  # type: ignore[arg-type]
    return table.assign(status="ok")


def _noise(table: pd.DataFrame, size: float = 0.2) -> np.ndarray:
    return np.exp(size * np.random.default_rng(0).standard_normal(len(table)))


def _sublinear(problems: list[str]) -> pd.DataFrame:
    claim = Catalogue.shipped().claim("inner-sublinear")
    table = stated(claim, problems)
    late = table["inner_iteration"]
    return table.assign(leading_ratio=late / (late + 10.0) * _noise(table))


def _geometry(problems: list[str]) -> pd.DataFrame:
    table = _rows(problems, iteration=range(40))
    level = 1.0 + np.array([problems.index(name) for name in table["problem"]])
    table["lower_gap"] = 10.0 ** (-0.4 * table["iteration"]) * _noise(table)
    table["ratio"] = 3.0 * 10**level * _noise(table)
    return table.assign(paper_ratio=2 * table["ratio"], resolved=True)


def _domination(problems: list[str]) -> pd.DataFrame:
    table = _rows(
        problems,
        half=("measured", "held out"),
        level=("lower", "upper"),
        initial_scale=(1.0, 4.0),
        iteration=range(12),
    )
    gap = 10.0 ** (-table["iteration"] / 4) * _noise(table)
    bound = 5 * gap * _noise(table) + 0.01
    broken = (table["seed"] == 3) & (table["iteration"] == 4) & (table["problem"] == problems[0])
    table = table.assign(gap=gap, floor=0.01, bound=bound.mask(broken, 0.5 * gap))
    return table.assign(share_of_bound=table["gap"] / table["bound"])


def _sail(problems: list[str]) -> pd.DataFrame:
    table = _rows(problems, pull=(0.0, 0.1, 0.3, 1.0, 2.0), radius=(0.25, 0.5, 1.0, 2.0, 4.0, 8.0))
    kept = (table["pull"] >= 1) | (table["radius"] < 2)
    return table.assign(constant=np.where(kept, _noise(table) / table["radius"], 1e-30))


def _optimality(problems: list[str]) -> pd.DataFrame:
    table = _rows(problems, width=(2, 8, 32))
    gap = 1e-4 * _noise(table, 1.0)
    failed = (table["seed"] == 0) & (table["problem"] == problems[-1])
    table = table.assign(optimality_gap=np.where(failed, 0.3, gap))
    table = table.assign(relative_gap=table["optimality_gap"] / 0.7, reward_error=0.1)
    return table.assign(
        status=np.where(table["problem"] == problems[0], "ok", "optimum not certified")
    )


def _floors(
    problems: list[str],
    size: str = "width",
    sizes: Sequence[int] = (1, 2, 4, 8, 16, 32),
    activations: Sequence[str] = ("tanh", "gelu"),
) -> pd.DataFrame:
    table = _rows(
        problems, parametric_class=("policy", "reward"), activation=activations, **{size: sizes}
    )
    # One seed of one size stands far above the others.
    stray = (table["seed"] == 0) & (table[size] == sizes[-2])
    floor = 10.0 ** (-table[size] / 4) * _noise(table)
    return table.assign(floor=floor.mask(stray, 1e-3)).assign(largest_floor=1e-9, floor_ratio=0.5)


def _chain(problems: list[str]) -> pd.DataFrame:
    methods = (
        "reference",
        "penalty",
        "penalty-shared",
        "f2sa",
        "f3sa",
        "parl",
        "aho",
        "reference-reused",
    )
    table = _rows(problems, method=methods, epsilon=(1e-8, 3e-8, 1e-7))
    kept = ~table["method"].isin(("aho", "reference-reused"))
    ratio = np.where(kept, 3.0, 0.1) * _noise(table)
    return table.assign(first_ratio=ratio, chance=np.where(kept, 0.5, 1e-30))


def _overoptimisation(problems: list[str]) -> pd.DataFrame:
    methods = (*OVEROPTIMISED, "true reward")
    weights = np.geomspace(10, 0.01, 13).tolist()
    budget = _rows(problems, method=methods, pairs=(SCARCE,), kl_weight=weights)
    training = _rows(problems, method=methods[:-1], pairs=(SCARCE,), iteration=range(1, 14))
    distance = 1.3 / (1 + budget["kl_weight"])
    budget = budget.assign(path="budget", distance=distance, iteration=13)
    distance = 0.1 * training["iteration"]
    training = training.assign(path="training", distance=distance, kl_weight=0.3)
    table = pd.concat([budget, training], ignore_index=True)
    beta = 1.0 + 0.1 * np.array([methods.index(name) for name in table["method"]])
    d = table["distance"]
    table = table.assign(kl=d**2, learned_return=1.4 * d * _noise(table, 0.05), attainable=1.0)
    table["true_return"] = d * (0.7 - beta * np.log(d)) * _noise(table, 0.05)
    lost = np.where(table["method"] == "true reward", 0.0, 0.2)
    drawn = np.array([name.endswith("-family") for name in table["problem"]])
    return table.assign(lost=lost, delay=0.1, instance=np.where(drawn, table["seed"], np.nan))


def _bound(coupled: bool) -> Callable[[list[str]], pd.DataFrame]:
    def plant(problems: list[str]) -> pd.DataFrame:
        one = planted_bound(coupled=coupled)
        return pd.concat([one.assign(problem=problem) for problem in problems])

    return plant


def audited(problems: list[str]) -> pd.DataFrame:
    """Return what audits read, along runs that meet them all with constants of their own."""
    table = _rows(problems, iteration=range(12), **{"solver.sigma": (0.1, 0.03, 0.01)})
    gap = 10.0 ** (-table["iteration"])
    level = 2.0 ** -np.array([problems.index(name) for name in table["problem"]])
    return table.assign(
        lower_gap=gap,
        lower_gradient=(0.2 * level * gap) ** 0.5,
        penalised_distance=gap**0.5,
        penalised_gradient=0.1 * level * gap**0.5,
        outer_curvature=level,
        inner_curvature=0.3 * level,
        min_policy_probability=0.3 * level,
    )


TABLES: Mapping[str, Callable[[list[str]], pd.DataFrame]] = {
    "inner-sublinear": _sublinear,
    "non-uniform-pl": _geometry,
    "weak-gradient-domination": _domination,
    "overoptimisation": _overoptimisation,
    "sail-pl": _sail,
    "global-optimality": _optimality,
    "global-optimality-sequences": _optimality,
    "neural-bias": _floors,
    "neural-bias-sequences": partial(_floors, sizes=(3, 6, 12), activations=("gelu",)),
    "neural-bias-sequences-layers": partial(
        _floors, size="layers", sizes=(1, 2, 3), activations=("gelu",)
    ),
    "zero-chain": _chain,
    "bound-terms": _bound(coupled=False),
    "bound-terms-coupled": _bound(coupled=True),
}
"""By experiment."""
