"""Commands about results that are there, ``store`` and ``export``; and which results others read."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from theory_check.cli import words
from theory_check.cli.advise import add_problem_words, named_problem
from theory_check.errors import InvalidArgumentError, StoreError

if TYPE_CHECKING:
    from theory_check.runs.holdings import Holding
    from theory_check.runs.problem_table import OwnProblem
    from theory_check.verification import Sweep

STORE_EPILOG = """\
examples:
  theory-check store                              what results/ holds
  theory-check store --prune --dry-run            what --prune would remove
  theory-check --study mine store --prune         a study's results are kept where it is named

--prune removes results and failures under keys that no cell has: of other source or version, and of no
experiment here, full or small, comparisons included. A claim judged with verify --problem is such a
result. Files that cannot be read, and all that is not named like a result, are left.

exit codes:
  0    everything as it should be
  2    bad input: an argument, an experiment file or the store; nothing was removed
"""

EXPORT_EPILOG = """\
DIR receives a CSV and a Parquet file for every experiment that is complete, and manifest.json, which says
what they are and which experiments are not complete.

exit codes:
  0    something was written; incomplete experiments are named
  2    bad input: a folder that is not empty, an experiment file, or a store without a complete experiment
"""

AddCommand = Callable[..., argparse.ArgumentParser]


def add_commands(command: AddCommand) -> None:
    """Add the commands by means of ``command(name, function, text, epilog)``."""
    store = command("store", _store, "count what the store holds, or prune it", STORE_EPILOG)
    export = command("export", _export, "write tables as CSV and Parquet", EXPORT_EPILOG)
    export.add_argument("directory", metavar="DIR", type=Path, help="folder to write into")
    for parser in (store, export):
        parser.add_argument(
            "--store", metavar="DIR", type=Path, default=Path("results"), help="(%(default)s)"
        )
    store.add_argument(
        "--prune", action="store_true", help="remove results and failures of no cell there is"
    )
    store.add_argument(
        "--dry-run", action="store_true", help="with --prune: say what would go, remove nothing"
    )
    export.add_argument("--quick", action="store_true", help="the small version of experiments")
    export.add_argument(
        "--overwrite", action="store_true", help="replace files of a folder that is not empty"
    )
    add_any_source(export)


def add_any_source(parser: argparse.ArgumentParser) -> None:
    """Add the word that lets results of other source count."""
    parser.add_argument(
        "--any-source",
        action="store_true",
        help="read the latest result of other source or version, where there is one, instead of running "
        "the cell; all that is shown says so",
    )


def add_own_problem(parser: argparse.ArgumentParser) -> None:
    """Add the words that name the problem on which claims are judged."""
    add_problem_words(
        parser, use="judge the named claims, and their audits, on this problem alone: "
    )


def own_problem(options: argparse.Namespace) -> OwnProblem | None:
    """Return the problem on which the named claims are judged, None where it is those of their files.

    Raises
    ------
    InvalidArgumentError
        Without a claim, for settings of no problem, or a problem that does not exist.
    """
    if options.problem is None:
        if options.set:
            raise InvalidArgumentError("--set", options.set[0], "name a family with --problem")
        return None
    if not options.claims:
        raise InvalidArgumentError("CLAIM", "none", "name the claims to judge on the --problem")
    return named_problem(options.problem, options.set, options.catalogue)


def heading(whose: str, done: Sweep) -> str:
    """Return whose experiments were run, and which of their results are of other source."""
    other = done.other_source(done.experiments)
    return f"{whose} Read in place of runs: {other}." if other else whose


def _store(options: argparse.Namespace) -> int:
    """Print what a store holds, and remove what nothing can reach where that is asked for."""
    from theory_check.runs.holdings import holdings, prune, unreached
    from theory_check.runs.store import Store
    from theory_check.runs.tables import every_experiment

    if options.dry_run and not options.prune:
        raise InvalidArgumentError("--dry-run", "no --prune", "give both, or neither")
    store = Store(options.store)
    if not store.path.is_dir():
        raise StoreError(f"store: no folder {store.path}; name one that is there with --store")
    experiments = every_experiment(options.catalogue)
    cells = [cell for each in experiments.values() for cell in (*each.full, *each.quick)]
    found = holdings(store, cells)
    if not options.prune:
        print(words.joined(_counts(found)))
        return 0
    known = {name.rpartition("/")[2] for name in experiments}
    if options.dry_run:
        print(
            words.joined(
                [_sum("would be removed", unreached(found)), *_by_experiment(found, known)]
            )
        )
        return 0
    removed, left = prune(store, found)
    lines = [_sum("removed", removed), *_by_experiment(removed, known)]
    print(words.joined(lines + ([_sum("left, somebody runs them", left)] if left else [])))
    return 0


def _counts(found: Sequence[Holding]) -> list[str]:
    """Return a line for each kind of files, those of other source with what changed."""
    from theory_check.cli.reporting import aligned
    from theory_check.runs.holdings import KIND_MEANING

    rows = [("", "files", "MB", "")]
    for kind, meaning in KIND_MEANING.items():
        part = [each for each in found if each.kind == kind]
        rows.append((kind, str(len(part)), _megabytes(part), meaning))
        changed = Counter(each.difference for each in part if each.difference)
        rows += [("", str(number), "", f"  {text}") for text, number in changed.most_common(5)]
    return aligned(rows)


def _by_experiment(found: Iterable[Holding], known: Iterable[str]) -> list[str]:
    """Return how many of the files that go are of which experiment, and which of these are not here."""
    from theory_check.runs.holdings import unreached

    numbers = Counter(each.experiment for each in unreached(found))
    here = set(known)
    return [
        f"  {number} of {name}" + ("" if name in here else ", no experiment here")
        for name, number in sorted(numbers.items())
    ]


def _sum(what: str, part: Sequence[Holding]) -> str:
    return f"{what}: {len(part)} file{'s' * (len(part) != 1)}, {_megabytes(part)} MB"


def _megabytes(part: Iterable[Holding]) -> str:
    return f"{sum(each.size for each in part) / 1e6:.2f}"


def _export(options: argparse.Namespace) -> int:
    """Write the tables of all experiments that are complete, and name the others."""
    from theory_check.runs.tables import export_tables

    written = export_tables(
        options.directory,
        options.store,
        quick=options.quick,
        any_source=options.any_source,
        overwrite=options.overwrite,
        catalogue=options.catalogue,
    )
    for name, reason in written.incomplete.items():
        words.say(f"{name} is not exported: {reason}")
    number = len(written.tables)
    words.say(f"wrote {number} table{'s' * (number != 1)} to {options.directory}")
    return 0
