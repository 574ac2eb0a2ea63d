"""Advice, worst cases, exports and what a store holds, as text and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory_check.catalogue import Catalogue
from theory_check.errors import InvalidArgumentError, StoreError
from theory_check.report.text import aligned, finite_numbers, joined
from theory_check.runs.holdings import KIND_MEANING, Holding, holdings, unreached
from theory_check.runs.holdings import prune as remove_unreached
from theory_check.runs.store import Store
from theory_check.runs.tables import MANIFEST, every_experiment

if TYPE_CHECKING:
    from theory_check.advice.advisor import Advice
    from theory_check.advice.check import AdviceCheck
    from theory_check.advice.plan import SchedulePlan
    from theory_check.runs.tables import Export
    from theory_check.worst_cases.base import Evaluation
    from theory_check.worst_cases.search import Worst


FIRST_NAMES = 3
"""Of what an export leaves out; its manifest names all."""


def text_of_export(written: Export, directory: Path) -> list[str]:
    """Return how many experiments an export left out, the first of them by name, and what it wrote."""
    names = list(written.incomplete)
    number = len(written.tables)
    lines = [f"wrote {number} table{'s' * (number != 1)} to {directory}"]
    if names:
        left = len(names) - FIRST_NAMES
        named = ", ".join(names[:FIRST_NAMES]) + (f" and {left} more" if left > 0 else "")
        count = f"{len(names)} experiment{'s are' if len(names) > 1 else ' is'} not exported"
        lacking = f"{directory / MANIFEST} says what each lacks"
        lines.insert(0, f"{count}, for want of results: {named}; {lacking}")
    return lines


def text_of_advice(advice: Advice, check: AdviceCheck | None) -> str:
    """Return the advice for a terminal."""
    from theory_check.advice.model import CHECKED_SEEDS, REQUIRED_SHARE

    measured, best = advice.constants, advice.best
    steps = best.solver.inner_steps
    transient = measured.transient[steps]
    noise = ", ".join(
        f"{by_steps[min(by_steps, key=lambda k: abs(k - steps))]:.3g} ({coupling})"
        for coupling, by_steps in measured.noise.items()
    )
    lines = [
        f"{advice.problem}: mean of the squared gradient norm at most {advice.epsilon:g}, starts of "
        f"scale {advice.initial_scale:g}",
        "",
        f"measured: L = {measured.outer_curvature:.3g} (outer), "
        f"{measured.inner_curvature:.3g} (inner); at K = {steps}: "
        f"a = {transient.planned:.3g}, b = {measured.bias:.3g}, c = {noise}",
        f"the pilot drew {advice.pilot.samples:.3g} samples, {advice.rehearsed.samples:.3g} of them "
        "in the rehearsal",
        "",
        *aligned([_HEADER, *(_row(plan, plan is best) for plan in advice.plans)]),
        "",
        f"* cheapest: T = {best.iterations}, of which {best.predicted_iterations} should do for "
        f"{REQUIRED_SHARE * CHECKED_SEEDS:g} of {CHECKED_SEEDS} runs; "
        f"inner step {best.solver.inner_step_size:.4g}",
        "rehearsal: whether sampled pilot runs met the target; T and predicted cost are theirs where "
        "met, the model's elsewhere",
        "shares of epsilon by the model: transient a/T, bias b sigma^2, noise c/n (c/(sigma^2 n) when "
        "independent)",
        *sorted(
            {
                f"{plan.schedule.id} [{plan.schedule.provenance}] {plan.schedule.source}"
                for plan in advice.plans
            }
        ),
    ]
    if check is not None:
        lines += ["", *_check_lines(check)]
    return joined(lines)


_HEADER = (
    "", "schedule", "sigma", "T", "K", "n = B", "eta",
    "transient", "bias", "noise", "trajectories", "labels", "env steps", "samples", "predicted",
    "rehearsal",
)  # fmt: skip


def _row(plan: SchedulePlan, best: bool) -> tuple[str, ...]:
    solver, terms, total = plan.solver, plan.terms, plan.planned
    return (
        "*" if best else "",
        f"{plan.schedule.id} [{plan.schedule.provenance}]",
        f"{solver.sigma:.3g}",
        str(plan.iterations),
        str(solver.inner_steps),
        str(solver.trajectories),
        f"{solver.step_size:.3g}",
        *(f"{value:.2e}" for value in (terms.transient, terms.bias, terms.noise)),
        *(f"{value:.3e}" for value in (total.trajectories, total.labels, total.env_steps)),
        f"{total.samples:.3e}",
        f"{plan.predicted.samples:.3e}",
        plan.rehearsal,
    )


def _check_lines(check: AdviceCheck) -> list[str]:
    from theory_check.advice.model import COST_FACTOR

    ratios = sorted(check.samples / check.predicted)
    return [
        f"check: {check.reached} of {len(check.seeds)} seeds met the target by T "
        f"({check.required} needed)",
        f"{check.required} of them had after {check.cost:.3e} samples, {check.cost_ratio:.2f} of the "
        f"predicted {check.predicted:.3e} (within a factor {COST_FACTOR:g} needed); single seeds "
        f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
        "check passed" if check.passed else "check failed",
    ]


def json_of_advice(advice: Advice, check: AdviceCheck | None) -> str:
    """Return advice and check as a JSON object; numbers that are not finite are null."""
    record: dict[str, Any] = {
        "problem": advice.problem,
        "epsilon": advice.epsilon,
        "initial_scale": advice.initial_scale,
        "constants": dataclasses.asdict(advice.constants),
        "pilot": dataclasses.asdict(advice.pilot) | {"samples": advice.pilot.samples},
        "best": advice.best.schedule.id,
        "plans": [
            dataclasses.asdict(plan) | {"coupling": plan.solver.coupling} for plan in advice.plans
        ],
    }
    if check is not None:
        record["check"] = {
            "seeds": list(check.seeds),
            "accuracy": check.accuracy.tolist(),
            "samples": check.samples.tolist(),
            "reached": check.reached,
            "required": check.required,
            "cost": check.cost,
            "cost_ratio": check.cost_ratio,
            "passed": check.passed,
        }
    return json.dumps(finite_numbers(record), indent=2, allow_nan=False)


def text_of_worst(worst: Worst, file: Path | None) -> str:
    """Return the outcome of a search for a terminal."""
    case, space = worst.case, worst.space
    summary = _summary(worst)
    agreement = f"both routes agree within {case.tolerance:g}"
    if worst.rejected:
        agreement += f"; {len(worst.rejected)} worse instances rejected, on which they do not"
    lines = [
        f"{case.id} on {space}",
        f"  {case.quantity}",
        f"  claimed: {case.predicted}",
        "",
        f"{worst.budget} evaluations of the optimiser in {worst.restarts} restarts, and as many of "
        f"random search, over {space.dimension} parameters, seed {worst.seed}",
        *aligned(
            [
                ("  ", "median", "90 %", "worst", "not certified"),
                *(
                    (f"  {name}", *(f"{row[key]:.4g}" for key in ("median", "upper_decile", "worst")),
                     str(row["not_certified"]))
                    for name, row in summary.items()
                ),
            ]
        ),
        "  worst of each restart: "
        + ", ".join(f"{value:.4g}" for value in worst.optimised.best_of_runs()),
        "",
        f"worst instance ({worst.source}): {worst.first.value:.4g} {case.unit}, by the second route "
        f"{worst.second.value:.4g} ({agreement})",
        *_details("first route", worst.first),
        *_details("second route", worst.second),
        "",
        "what the claim predicts holds on it" if worst.kept else "what the claim predicts FAILS on it",
    ]  # fmt: skip
    if file is not None:
        lines.append(f"kept as {file}")
    return joined(lines)


def _summary(worst: Worst) -> dict[str, dict[str, Any]]:
    """Return the distribution of the values of both searches."""
    import numpy as np

    return {
        name: {
            "median": float(np.nanmedian(trials.values)),
            "upper_decile": float(np.nanquantile(trials.values, 0.9)),
            "worst": float(np.nanmax(trials.values)),
            "not_certified": trials.failed,
        }
        for name, trials in (("random", worst.random), ("optimiser", worst.optimised))
        if trials.failed < len(trials.values)
    }


def _details(title: str, evaluation: Evaluation) -> list[str]:
    return [
        f"  {title}, {name}: "
        + (
            ", ".join(f"{each:.4g}" for each in value)
            if isinstance(value, tuple)
            else f"{value:.4g}"
        )
        for name, value in evaluation.details.items()
    ]


def json_of_worst(worst: Worst, file: Path | None) -> str:
    """Return the outcome as a JSON object; numbers that are not finite are null."""
    record = worst.origin() | {
        "predicted": worst.case.predicted,
        "tolerance": worst.case.tolerance,
        "routes_agree": True,
        "rejected": [list(pair) for pair in worst.rejected],
        "searches": _summary(worst),
        "worst_of_restarts": worst.optimised.best_of_runs().tolist(),
        "first_route": dict(worst.first.details),
        "second_route": dict(worst.second.details),
        "file": None if file is None else str(file),
    }
    return json.dumps(finite_numbers(record), indent=2, allow_nan=False)


def tidy_store(
    path: Path, catalogue: Catalogue, *, prune: bool = False, dry_run: bool = False
) -> str:
    """Count what a store holds or, where that is asked for, remove what no cell can reach; say what.

    Parameters
    ----------
    path
        Of the store.
    catalogue
        Whose cells count.
    prune
        Whether results and failures of no cell are removed.
    dry_run
        Whether it is said what would be removed, and nothing is.

    Raises
    ------
    InvalidArgumentError
        For ``dry_run`` without ``prune``.
    StoreError
        Where there is no such folder, or it cannot be written.
    """
    if dry_run and not prune:
        raise InvalidArgumentError("dry_run", "no --prune", "give both, or neither")
    store = Store(path)
    if not store.path.is_dir():
        raise StoreError(f"store: no folder {store.path}; name one that is there with --store")
    experiments = every_experiment(catalogue)
    cells = [cell for each in experiments.values() for cell in (*each.full, *each.quick)]
    found = holdings(store, cells)
    if not prune:
        return joined(_counts(found))
    known = {name.rpartition("/")[2] for name in experiments}
    if dry_run:
        gone = unreached(found)
        return joined([_sum("would be removed", gone), *_by_experiment(gone, known)])
    removed, left = remove_unreached(store, found)
    lines = [_sum("removed", removed), *_by_experiment(removed, known)]
    return joined(lines + ([_sum("left, somebody runs them", left)] if left else []))


def _counts(found: Sequence[Holding]) -> list[str]:
    """Return a line for each kind of files of a store, those of other source with what changed."""
    rows = [("", "files", "MB", "")]
    for kind, meaning in KIND_MEANING.items():
        part = [each for each in found if each.kind == kind]
        rows.append((kind, str(len(part)), _megabytes(part), meaning))
        changed = Counter(each.difference for each in part if each.difference)
        rows += [("", str(number), "", f"  {text}") for text, number in changed.most_common(5)]
    return aligned(rows)


def _by_experiment(found: Iterable[Holding], known: Iterable[str]) -> list[str]:
    """Return how many of the files that go are of which experiment, and which of these are not here."""
    numbers = Counter(each.experiment for each in found)
    here = set(known)
    return [
        f"  {number} of {name}" + ("" if name in here else ", no experiment here")
        for name, number in sorted(numbers.items())
    ]


def _sum(what: str, part: Sequence[Holding]) -> str:
    return f"{what}: {len(part)} file{'s' * (len(part) != 1)}, {_megabytes(part)} MB"


def _megabytes(part: Iterable[Holding]) -> str:
    return f"{sum(each.size for each in part) / 1e6:.2f}"
