"""Runs small cells of this package and prints, as JSON, whose code each ran and whose it is said to."""

from __future__ import annotations

import gc
import json
import os
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

from theory_check import problems
from theory_check.catalogue import installed
from theory_check.measurements.attained import Attained
from theory_check.measurements.comparison import Comparison
from theory_check.measurements.lower_bound import LowerBound
from theory_check.problems.spec import ProblemSpec
from theory_check.runs import Cell, load_experiment
from theory_check.runs.backends.measuring import measure
from theory_check.runs.identity import PACKAGE
from theory_check.runs.progress import no_progress
from theory_check.tuning.reference_descent import REFERENCE

LONG = frozenset(
    {
        "advice",
        "bound-terms",
        "inner-error",
        "inner-sublinear",
        "attained",
        "comparison",
        "lower-bound",
    }
)
"""Kinds whose small cells take long while they are watched; the last three are made by hand."""

LESS = {
    "global-optimality": {"iterations": 20},
    "gradient-noise": {"draws": 2},
    "inner-linear": {"inner_steps": 200},
    "neural-bias": {"widths": (2,), "iterations": 20, "restarts": 1},
    "noise-along-runs": {"sigmas": (0.1,), "iterations": 10},
    "overoptimisation": {"iterations": 5},
    "sail-pl": {"policies": 20, "starts": 2},
}
"""Settings that leave of a small cell what leads through all of its code."""


def by_hand() -> Iterator[Cell]:
    """Yield cells of measurements of a method, of another one each."""
    methods = installed().methods
    attained = Attained(methods["penalty-shared"], (0.5,), runs=1, evaluations=2)
    yield Cell("by", "hand", (), attained, ProblemSpec("plateau", {}, problems.plateau), 2)
    compared = {
        "targets": (0.9,),
        "tuning_target": 0.9,
        "tuning_runs": 1,
        "iterations": 2,
        "evaluations": 2,
    }
    sizes = {"contexts": 2, "actions": 2}
    for method, build, given in (
        ("hpgd", problems.bandit, sizes),
        ("parl", problems.quadratic, {}),
    ):
        compare = Comparison(methods[method], **compared)  # type: ignore[arg-type]
        yield Cell("by", "hand", (), compare, ProblemSpec(build.__name__, given, build), 2)
    bound = LowerBound(REFERENCE, (1.1e-7,), trials=1, tuning_seeds=1, iterations=4)
    yield Cell(
        "by", "hand", (), bound, ProblemSpec("zero_chain", {}, problems.zero_chain), 2, 10**8
    )


def small() -> Iterator[Cell]:
    """Yield the first small cell of every other kind."""
    registry = installed()
    seen = set(LONG)
    for path in sorted(registry.experiments.values()):
        # Files are checked whole when they are loaded, which takes a second where they are long.
        kind = tomllib.loads(path.read_text(encoding="utf-8"))["measurement"]
        if kind not in seen:
            seen.add(kind)
            cell = load_experiment(path, registry).quick[0]
            measurement = replace(cell.measurement, **LESS.get(kind, {}))
            yield replace(cell, measurement=measurement, seeds=min(cell.seeds, 2))


def run(cell: Cell) -> tuple[set[str], str]:
    """Return the files of the package whose functions ran, and what went wrong.

    What an earlier cell has left, such as a generator, is not to be closed while this one is watched.
    """
    ran: set[str] = set()
    key = (
        cell.key
    )  # Before watching: it is no part of the work, and imports what is left to import.

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_name != "<module>":
            ran.add(frame.f_code.co_filename)

    gc.collect()
    gc.disable()
    sys.setprofile(note)
    try:
        outcome = measure(key, cell, no_progress)
    finally:
        sys.setprofile(None)
        gc.enable()
    inside = f"{PACKAGE}{os.sep}"
    files = {os.path.relpath(file, PACKAGE) for file in ran if file.startswith(inside)}
    return {file.replace(os.sep, "/") for file in files}, outcome.message


if __name__ == "__main__":
    results = []
    # What is imported stays: each collection would look through all of it.
    gc.freeze()
    for cell in (*by_hand(), *small()):
        ran, message = run(cell)
        results.append(
            {
                "kind": cell.measurement.kind,
                "cell": str(cell),
                "ran": sorted(ran),
                "reached": sorted(cell.sources),
                "message": message,
            }
        )
        print(json.dumps(results[-1]), flush=True)
