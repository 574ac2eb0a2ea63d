"""The contract of a claim, and tables that are drawn from what it states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from theory_check.analysis.verdict import judge
from theory_check.catalogue import Catalogue, installed
from theory_check.claims.base import Claim
from theory_check.claims.rates import (
    AttainedRate,
    BoundRate,
    CurveRate,
    GeometricRate,
    InequalityRate,
    PowerRate,
    Rate,
    RatioRate,
    ScheduleRate,
)
from theory_check.errors import TheoryCheckError
from theory_check.provenance import PROVENANCE_MEANING
from theory_check.runs import Experiment, load_experiment
from theory_check.testing.contract import Check, Contract, checked, known

KEPT = (CurveRate, GeometricRate, InequalityRate, ScheduleRate)
"""Rates that hold where what they state is so; the others are tight."""

SEEDS, CONFIDENT_SEEDS = 16, 59
"""Replicates of a planted table: 59 without an exception show a share of 95 % at confidence 95 %."""

NOISE = 0.05
"""Relative, of every planted number."""

WORSE = 0.3
"""By how much the planted rate is worse where there is no exponent to change by 1."""


@dataclass(frozen=True)
class ClaimCase:
    """A claim and what there is beside it."""

    claim: Claim
    catalogue: Catalogue

    @cached_property
    def experiment(self) -> Experiment:
        """Its experiment."""
        return load_experiment(self.catalogue.experiments[self.claim.experiment], self.catalogue)


def check_claim(
    claim: Claim, catalogue: Catalogue | None = None, *, measured: bool = True
) -> tuple[Check, ...]:
    """Check that a claim is complete, that there is evidence for it, and that it can fail.

    Parameters
    ----------
    claim
        The claim.
    catalogue
        What there is; all that is installed when absent.
    measured
        Whether the first cell of the small version of its experiment is run with two seeds, to see its
        columns: as long as that takes.

    Returns
    -------
    tuple of Check
        One for each contract.
    """
    contracts = CLAIM_CONTRACTS + ((its_rates_read_columns_that_exist,) if measured else ())
    return checked(claim.id, contracts, ClaimCase(claim, catalogue or installed()))


def it_says_what_it_states_and_where_that_is_from(case: ClaimCase) -> str:
    """Statement, source, assumptions and a known provenance."""
    for argument in ("statement", "source"):
        if not getattr(case.claim, argument).strip():
            return f"its {argument} is empty; write one sentence"
    if not case.claim.assumptions:
        return "it names no assumption; write one phrase for each, or that there is none"
    return known("provenance", case.claim.provenance, PROVENANCE_MEANING)


def its_audits_exist(case: ClaimCase) -> str:
    """Every audit that it names is known."""
    found = (known("audits", name, case.catalogue.audits) for name in case.claim.audits)
    return next(filter(None, found), "")


def its_experiment_exists(case: ClaimCase) -> str:
    """Find the file that it names, and read it."""
    missing = known("experiment", case.claim.experiment, case.catalogue.experiments)
    if missing:
        return missing
    try:
        return "" if case.experiment.full else "its experiment has no cell"
    except TheoryCheckError as error:
        return str(error)


def its_rates_read_columns_that_exist(case: ClaimCase) -> str:
    """Those of the measurement, and the axes of the grid with the values that rates ask for."""
    if case.claim.experiment not in case.catalogue.experiments:
        return "its experiment does not exist"
    cell = case.experiment.quick[0]
    problem = cell.problem.build()
    table = cell.measurement.measure(problem, cell.replicates[:2], lambda done, total: None)
    axes: dict[str, set[Any]] = {}
    for each in (*case.experiment.quick, *case.experiment.full):
        for axis, value in each.axes:
            axes.setdefault(axis, set()).add(value)
    columns = {*table.columns, *axes}
    for rate in case.claim.rates:
        for column in (rate.x, rate.y, *_beside(rate), *rate.where):
            missing = known(f"a column of rate {rate.name!r}", column, columns)
            if missing:
                return missing
        for axis, wanted in rate.where.items():
            if axis in axes and wanted not in axes[axis]:
                return f"rate {rate.name!r} asks for {axis} = {wanted!r}, which no cell has"
    return ""


def _beside(rate: Rate) -> tuple[str, ...]:
    """Return the column that a rate compares with, where there is one."""
    if isinstance(rate, CurveRate):
        return (rate.bound,)
    return (rate.predicted,) if isinstance(rate, RatioRate) else ()


def it_is_kept_by_what_it_states(case: ClaimCase) -> str:
    """Judge a table that is drawn from its rates tight, or find that it holds."""
    return next(_misjudged(case.claim, lambda one: (one, planted_table(one)), kept=True), "")


def it_can_fail(case: ClaimCase) -> str:
    """With its exponents changed by 1, it is violated by a table that is drawn from those it states.

    Where it states no exponent, by a table that is drawn from a worse rate.
    """

    def wronged(one: Claim) -> tuple[Claim, pd.DataFrame]:
        changed = replace(one, rates=tuple(map(strengthened, one.rates)))
        return changed, planted_table(one, worse_by=0.0 if changed.rates != one.rates else WORSE)

    return next(_misjudged(case.claim, wronged, kept=False), "")


def _misjudged(
    claim: Claim, planted: Callable[[Claim], tuple[Claim, pd.DataFrame]], *, kept: bool
) -> Iterator[str]:
    """Yield, for rates that are not judged as a planted table demands, how they are."""
    for rate in claim.rates:
        # Each alone: several may read the same rows.
        one, table = planted(replace(claim, rates=(rate,), identity_rates=()))
        verdict = judge(one, table)
        wanted = ("holds" if isinstance(rate, KEPT) else "tight") if kept else "violated"
        found = [each for each in verdict.rates if each.status != wanted]
        if found:
            drawn = "a table that is drawn from it" if kept else "a table of a rate that is worse"
            yield (
                f"rate {rate.name!r} is found {found[0].status!r}, not {wanted!r}, by {drawn}: "
                f"{found[0].reason}"
            )


def strengthened(rate: Rate) -> Rate:
    """Return the rate with an exponent that is better by 1; as it is where it has none to change."""
    if isinstance(rate, PowerRate):
        by = 1.0 if rate.better == "larger" else -1.0
    elif isinstance(rate, AttainedRate):
        by = -1.0
    else:
        return rate
    rivals = tuple(rival + by for rival in rate.rivals)
    return replace(rate, exponent=rate.exponent + by, rivals=rivals)


CLAIM_CONTRACTS: tuple[Contract[ClaimCase], ...] = (
    it_says_what_it_states_and_where_that_is_from,
    its_audits_exist,
    its_experiment_exists,
    it_is_kept_by_what_it_states,
    it_can_fail,
)


def planted_table(claim: Claim, worse_by: float = 0.0) -> pd.DataFrame:
    """Return rows for every rate at its stated value, or with exponents worse by ``worse_by``.

    Power rates: x over three decades below 1 (limit zero) or above 1, 16 points. Geometric
    rates: 0.8**k at the prediction, k**-1 when worse. Schedules: half of the target, growing. Costs:
    exponents larger by ``worse_by``. Curves: half of the bound, or above it by the share ``worse_by``;
    ratios as stated, or larger by that share. A bound of several terms has its own table.
    """
    rng = np.random.default_rng(0)
    frames = []
    for rate in claim.rates:
        if isinstance(rate, BoundRate):
            exponents = {"optimisation 1/T": 1 - 1.5 * worse_by}
            return planted_bound(coupled=rate.coupled, exponents=exponents, deviation=NOISE)
        x, curve = _curve(rate, worse_by)
        confident = isinstance(rate, InequalityRate) and rate.confidence is not None
        seeds = CONFIDENT_SEEDS if confident else SEEDS
        # A band of a ratio may be as narrow as the noise.
        share = min(NOISE, rate.within / 4) if isinstance(rate, RatioRate) else NOISE
        noise = np.exp(share * rng.standard_normal((seeds, x.size)))
        values, x = (curve * noise).ravel(), np.tile(x, seeds)
        frame = pd.DataFrame({rate.x: x, rate.y: values, **rate.where})
        if isinstance(rate, ScheduleRate):
            frame[rate.noise] = 0.1
        for column in _beside(rate):
            frame[column] = x**-1.0
        if isinstance(rate, AttainedRate):
            frame = frame.assign(interior=True, iterations=1 / x, trajectories=2 / x)
        seed = np.repeat(np.arange(seeds), x.size // seeds)
        frames.append(frame.assign(problem="planted", seed=seed, status="ok"))
    table = pd.concat(frames, ignore_index=True)
    # Rates that share their conditions and x share rows, so that every seed and x occurs once.
    keys = ["problem", "seed", "status", *sorted({rate.x for rate in claim.rates})]
    keys += sorted({column for rate in claim.rates for column in rate.where} - set(keys))
    return table.groupby(keys, dropna=False, as_index=False).first()


def _curve(rate: Rate, worse_by: float) -> tuple[np.ndarray, np.ndarray]:
    """Return abscissae and values of a rate without noise."""
    if isinstance(rate, ScheduleRate):
        x = np.geomspace(1e-1, 1e-3, 5)
        return x, 0.5 * x ** (1 - worse_by)
    if isinstance(rate, AttainedRate):
        x = np.geomspace(1e-1, 1e-3, 5)
        return x, x ** -(rate.exponent + worse_by)
    if isinstance(rate, CurveRate | RatioRate):
        # Against 1/x: half of a curve, where it is kept.
        x = np.geomspace(1, 1000, 16)
        at = 0.5 * rate.factor if isinstance(rate, CurveRate) else rate.stated
        if worse_by > 0:
            at = (2 if isinstance(rate, CurveRate) else 1) * (1 + worse_by) * at
        return x, at / x
    if isinstance(rate, InequalityRate):
        # In the middle of the bounds, far from both against the noise; or well outside.
        low, high = rate.low, rate.high
        inside = low + 0.3 if low is not None else high / 2 if high is not None else 0.0
        outside = high + 1.0 if high is not None else low - 1.0 if low is not None else np.inf
        # At the abscissae of a power rate of the same claim, which may share its rows.
        x = 1 / np.geomspace(1, 1000, 16)
        return x, np.full_like(x, outside if worse_by > 0 else inside)
    if isinstance(rate, PowerRate):
        x = np.geomspace(1, 1000, 16)
        x = 1 / x if rate.limit == "zero" else x
        exponent = rate.exponent + (-worse_by if rate.better == "larger" else worse_by)
        return x, x ** (-exponent if rate.reciprocal else exponent)
    x = np.arange(1.0, 101.0)
    return x, x**-1.0 if worse_by > 0 else 0.8**x


RHO = 0.5
CONSTANTS = {"optimisation": 0.5, "bias": 0.02, "sampling": 4.0, "inner": 1e-5}
EXPONENTS = {
    "optimisation 1/T": 1.0,
    "bias sigma": 2.0,
    "sampling 1/sigma": 2.0,
    "sampling 1/n": 1.0,
    "inner 1/sigma": 2.0,
}


def planted_bound(
    *,
    coupled: bool,
    exponents: Mapping[str, float] | None = None,
    constants: Mapping[str, float] | None = None,
    extra: float = 0.0,
    deviation: float = 0.1,
    seed: int = 0,
) -> pd.DataFrame:
    """Return one problem's table over a design in which the first three terms dominate somewhere.

    Parameters
    ----------
    coupled
        Whether the sampling term is c/n; its predicted exponent of 1/sigma is then 0.
    exponents, constants
        What differs from :data:`EXPONENTS` and :data:`CONSTANTS`. A term with another exponent
        keeps its value at the median level of the factor.
    extra
        A constant that the bound does not have.
    deviation
        Of lognormal noise of mean one.
    """
    iterations, sigmas, steps = (30, 60, 120, 240, 480), (1.5, 0.75, 0.3, 0.12), (1, 3, 6)
    batches = (200.0, 2000.0, 1e10) if coupled else (3e3, 3e4, 1e10)
    points = np.array(list(product(iterations, sigmas, batches, steps)))
    t, sigma, n, k = points.T
    law = EXPONENTS | ({"sampling 1/sigma": 0.0} if coupled else {})
    power = law | dict(exponents or {})
    size = CONSTANTS | dict(constants or {})

    def tilted(name: str, factor: np.ndarray) -> np.ndarray:
        centre = np.median(factor)
        sign = 1.0 if name == "bias sigma" else -1.0
        tilt: np.ndarray = factor ** (sign * law[name]) * (factor / centre) ** (
            sign * (power[name] - law[name])
        )
        return tilt

    error = (
        size["optimisation"] * tilted("optimisation 1/T", t)
        + size["bias"] * tilted("bias sigma", sigma)
        + size["sampling"] * tilted("sampling 1/sigma", sigma) * tilted("sampling 1/n", n)
        + size["inner"] * RHO**k * tilted("inner 1/sigma", sigma)
        + extra
    )
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((SEEDS, error.size))
    errors = error * np.exp(deviation * noise - deviation**2 / 2)
    return pd.concat(
        pd.DataFrame(
            {
                "problem": "planted",
                "seed": replicate,
                "iterations": t.astype(int),
                "sigma": sigma,
                "trajectories": n.astype(int),
                "inner_steps": k.astype(int),
                "ergodic_stationarity": row,
                "penalty_bias": 0.1 * sigma**2,
                "sampling_error": 4 / n / (1.0 if coupled else sigma**2),
                "inner_error": 1 / t,
                "status": "ok",
            }
        )
        for replicate, row in enumerate(errors)
    )
