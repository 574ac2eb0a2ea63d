"""The command ``worst-case``: its words, what it prints and what it keeps."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory_check.cli import words
from theory_check.cli.advise import parse_setting
from theory_check.errors import (
    InvalidArgumentError,
    StoreError,
    require_choice,
    shortened,
)

if TYPE_CHECKING:
    from theory_check.worst_cases.base import Evaluation
    from theory_check.worst_cases.search import Worst
    from theory_check.worst_cases.spaces import Space

EPILOG = """\
example:
  theory-check worst-case penalty-smoothness --family garnet --budget 500 --label my-worst

The optimiser (CMA-ES) and, beside it, random search have --budget exact evaluations each. The worst
instance is evaluated again by a second route; where the two disagree it is rejected. It is kept as
STORE/worst-cases/LABEL.json, to be loaded by problems.stored("STORE/worst-cases/LABEL.json") or, in an
experiment file, by family = "stored" and file = "STORE/worst-cases/LABEL.json".

exit codes:
  0    what the claim predicts holds on the worst instance
  1    it does not
  2    bad input, or no instance on which both routes agree
  70   a defect of theory-check, whose traceback is printed
  130  interrupted
  141  the reader of the output left before its end
  143  terminated
"""

_OPTIONS = ("family", "budget", "restarts", "seed", "label")


def add_words(parser: argparse.ArgumentParser) -> None:
    """Add the words of the command to its parser."""
    parser.add_argument(
        "claim", metavar="CLAIM", help="a claim, or another quantity of one; theory-check list"
    )
    parser.add_argument("--family", metavar="NAME", required=True, help="bandit, garnet or tabular")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a size or bound of the family, as in --set states=3 or --set kl_weight_low=0.1",
    )
    parser.add_argument(
        "--budget",
        metavar="N",
        type=int,
        default=500,
        help="exact evaluations of the optimiser, and again of random search (%(default)s)",
    )
    parser.add_argument(
        "--restarts", metavar="N", type=int, default=4, help="independent restarts (%(default)s)"
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, default=0, help="of the search (%(default)s)"
    )
    parser.add_argument("--label", metavar="LABEL", help="keep the worst instance under this name")
    parser.add_argument(
        "--store", metavar="DIR", type=Path, default=Path("results"), help="results (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of text")


def run(options: argparse.Namespace) -> bool:
    """Search, print and keep; return whether the claim's prediction holds on what was found."""
    # Here, so that help comes at once.
    from theory_check.problems.stored import as_record
    from theory_check.worst_cases.search import find_worst

    known = options.catalogue.worst_cases
    require_choice("claim", options.claim, known)
    case = known[options.claim]
    space = find_space(options.family, dict(parse_setting(text) for text in options.set))
    file = None if options.label is None else _new_file(options.store, options.label)

    def say(line: str) -> None:
        if not options.json and sys.stderr.isatty():
            words.say(line)

    with _named_as_options():
        worst = find_worst(
            case,
            space,
            budget=options.budget,
            restarts=options.restarts,
            seed=options.seed,
            report=say,
        )
    if file is not None:
        record = as_record(worst.problem, options.label, worst.origin())
        try:
            file.write_text(record, encoding="utf-8")
        except OSError as error:
            raise StoreError(f"cannot write {file} ({error.strerror})") from error
    print(as_json(worst, file) if options.json else as_text(worst, file))
    return worst.kept


def find_space(family: str, settings: Mapping[str, object]) -> Space:
    """Return the search space that ``--family`` and ``--set`` stand for.

    Raises
    ------
    InvalidArgumentError
        For an unknown family or key, or a value that does not fit.
    """
    from theory_check.errors import require_choice
    from theory_check.runs.build import Components, build
    from theory_check.worst_cases.spaces import SPACES

    require_choice("--family", family, SPACES)
    space: Space = build(SPACES[family], settings, "--set", Components())
    return space


def _new_file(store: Path, label: str) -> Path:
    """Return where a label is kept, having made sure before any work that it can be."""
    from theory_check.problems.stored import labels, require_label

    require_label("--label", label)
    file = store / "worst-cases" / f"{label}.json"
    if os.path.lexists(file) or label in labels():
        raise InvalidArgumentError(
            "--label",
            shortened(label),
            f"{file} exists; pass another label"
            if os.path.lexists(file)
            else "the package brings an instance of that name; pass another label",
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        file.unlink()
    except OSError as error:
        raise StoreError(
            f"cannot write {file} ({error.strerror}); pass another folder with --store"
        ) from error
    return file


@contextmanager
def _named_as_options() -> Iterator[None]:
    """Let refusals name the option instead of the argument of a function."""
    try:
        yield
    except InvalidArgumentError as error:
        if error.argument not in _OPTIONS:
            raise
        raise InvalidArgumentError(f"--{error.argument}", error.received, error.remedy) from error


def as_text(worst: Worst, file: Path | None) -> str:
    """Return the outcome of a search for a terminal."""
    from theory_check.cli.reporting import aligned

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
    return words.joined(lines)


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


def as_json(worst: Worst, file: Path | None) -> str:
    """Return the outcome as a JSON object; numbers that are not finite are null."""
    from theory_check.cli.reporting import finite_numbers

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
