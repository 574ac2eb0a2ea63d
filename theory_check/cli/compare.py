"""The command ``compare``: every method on the same problems, as tables, figures and sentences."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory_check.errors import InvalidArgumentError, StoreError, visible
from theory_check.files import read_file

if TYPE_CHECKING:
    import pandas as pd

    from theory_check.analysis.comparison import ComparedMethod, ComparisonResults
    from theory_check.cli.display_table import DisplayTable
    from theory_check.runs import Report
    from theory_check.runs.spec import Cell
    from theory_check.solvers.method import Method
    from theory_check.verification import RunOptions

BEGIN, END = "<!-- findings: begin -->", "<!-- findings: end -->"
"""Lines between which ``--findings`` writes."""

FIGURES = "paper_figures/comparison"
"""Folder of the figures."""

Say = Callable[[str], None]


def add_words(parser: argparse.ArgumentParser) -> None:
    """Add the words of the command to its parser."""
    parser.add_argument(
        "--solvers",
        metavar="A,B",
        type=_names,
        nargs="+",
        action=_Flattened,
        default=(),
        help="ids of methods, or names of solvers for all of their methods; all if absent",
    )
    parser.add_argument(
        "--problems",
        metavar="X,Y",
        type=_names,
        nargs="+",
        action=_Flattened,
        default=(),
        help="labels of problems, or what they start with before a hyphen; all if absent",
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help="folder of what is written (STORE/comparison)"
    )
    parser.add_argument(
        "--findings",
        metavar="FILE",
        type=Path,
        help=f"also put the findings between the lines '{BEGIN}' and '{END}' of this file",
    )


class _Flattened(argparse.Action):
    """Names separated by commas, by spaces, or by both."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Keep the names of all words, once each."""
        names = tuple(dict.fromkeys(name for part in values for name in part))
        setattr(namespace, self.dest, names)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if "" in names:
        raise argparse.ArgumentTypeError(f"received {text!r}; pass names separated by commas")
    return names


def run(
    options: argparse.Namespace, how: RunOptions, output: Callable[[], Path], say: Say
) -> tuple[Report, bool]:
    """Run what is missing, print and write the comparison.

    Returns what became of the cells, and whether no figure script failed.

    Parameters
    ----------
    options
        The words of the command.
    how
        How missing cells are run.
    output
        Returns the folder to write into, which exists then; called before any work.
    say
        Tells the user something beside the results.

    Raises
    ------
    InvalidArgumentError
        For unknown methods or problems, an experiment file that is not valid, figure scripts that are
        nowhere, or a file for the findings without its lines; before any work.
    StoreError
        When something cannot be read or written.
    """
    from theory_check.analysis.comparison import compare, findings
    from theory_check.cli.compare_tables import tables
    from theory_check.runs import Store, execute
    from theory_check.runs.comparisons import (
        chosen_cells,
        chosen_methods,
        load_comparisons,
        settings_of,
    )
    from theory_check.runs.locations import directory as find

    known = how.catalogue.methods
    chosen = chosen_methods(options.solvers, known)
    experiments = load_comparisons(chosen, how.catalogue)
    cells = chosen_cells(experiments.values(), options.problems, how.quick)
    _refuse_shared_labels(cells)
    scripts = sorted(find(FIGURES).glob("*.py"))
    if options.findings is not None:
        _split_at_markers(options.findings)
    directory = output()
    report = execute(
        cells,
        Store(how.store),
        jobs=how.jobs,
        backend=how.backend,
        retry_failed=how.retry_failed,
    )
    failed = {failure.cell.key for failure in report.failed}
    complete = [cell for cell in cells if cell.key not in failed]
    to_accuracy = [cell for cell in complete if settings_of(cell).stop_when_reached]
    under_shift = [cell for cell in complete if not settings_of(cell).stop_when_reached]
    results = compare(
        _table(to_accuracy, how),
        _table(under_shift, how),
        {name: _record(known[name]) for name in chosen},
        {cell.label: cell.parameters.get("objective", "") for cell in to_accuracy},
    )
    seeds = {cell.label: settings_of(cell).tuning_seeds for cell in complete}
    sentences = [_scope(complete, how.quick), *findings(results)] if complete else []
    _publish(tables(results, seeds), sentences, directory, how, say)
    files = [experiment.path for experiment in experiments.values()]
    drawn = _draw(scripts, results, directory, files, how, say)
    if options.findings is not None:
        if failed:
            say(f"{options.findings} is left as it was: some cells failed")
        else:
            before, after = _split_at_markers(options.findings)
            _write(options.findings, f"{before}\n{_bullets(sentences)}\n{after}")
            say(f"wrote {options.findings}")
    return report, drawn


def _refuse_shared_labels(cells: Iterable[Cell]) -> None:
    """Refuse two problems of one label: their rows could not be told apart."""
    places: dict[str, str] = {}
    for cell in cells:
        place = places.setdefault(cell.label, cell.experiment)
        if place != cell.experiment:
            raise InvalidArgumentError(
                f"problems.{cell.label}",
                f"this label in {place}.toml and in {cell.experiment}.toml",
                "give one of them another label",
            )


def _table(cells: Sequence[Cell], how: RunOptions) -> pd.DataFrame:
    """Return the rows of cells, in the order of the problems and then of the methods."""
    import pandas as pd

    from theory_check.runs.tables import load_cells

    order = {label: at for at, label in enumerate(dict.fromkeys(cell.label for cell in cells))}
    ordered = sorted(cells, key=lambda cell: order[cell.label])
    return load_cells(ordered, how.store, quick=how.quick) if ordered else pd.DataFrame()


def _record(method: Method) -> ComparedMethod:
    from theory_check.analysis.comparison import ComparedMethod, StatedExponent

    rate = method.rate
    stated = (
        None
        if rate is None
        else StatedExponent(rate.exponent, rate.cost, rate.source, rate.provenance, rate.requires)
    )
    return ComparedMethod(
        method.id,
        method.title,
        stated,
        ignores_response=method.ignores_response,
        learns_reward=method.learns_reward,
        baseline=method.baseline,
        shared_batch_of=method.shared_batch_of,
    )


def _scope(cells: Sequence[Cell], quick: bool) -> str:
    """Say what was compared."""
    problems = len({cell.label for cell in cells})
    methods = len({cell.axes for cell in cells})
    seeds = sorted({cell.seeds for cell in cells})
    version = ", small version" if quick else ""
    return (
        f"Compared: {methods} methods on {problems} problems, "
        f"{' or '.join(map(str, seeds))} seeds each{version}."
    )


def _publish(
    shown: Sequence[DisplayTable],
    sentences: Sequence[str],
    directory: Path,
    how: RunOptions,
    say: Say,
) -> None:
    """Print the tables and the findings, and write them."""
    from theory_check.cli.reporting import stamp, text_list
    from theory_check.runs.comparisons import FOLDER
    from theory_check.runs.locations import provenance

    version = stamp(how.quick)
    for line in (version, provenance(FOLDER)):
        if line:
            print(f"{line}\n")
    for table in shown:
        print(table.text())
        for suffix, content in (
            ("csv", table.csv()),
            ("md", f"{version}\n\n{table.markdown()}" if version else table.markdown()),
            ("tex", f"% {version}\n{table.latex()}" if version else table.latex()),
        ):
            _write(directory / f"{table.name}.{suffix}", content)
            say(f"wrote {directory / f'{table.name}.{suffix}'}")
    if sentences:
        print(text_list(sentences))
        _write(directory / "findings.md", _bullets(sentences))
        say(f"wrote {directory / 'findings.md'}")


def _bullets(sentences: Sequence[str]) -> str:
    return "".join(f"* {visible(sentence)}\n" for sentence in sentences)


def _draw(
    scripts: Sequence[Path],
    results: ComparisonResults,
    directory: Path,
    files: Sequence[Path],
    how: RunOptions,
    say: Say,
) -> bool:
    """Draw every figure whose results are there, name the others, and tell whether none failed."""
    from theory_check.cli.figures import Drawing, draw_all, stamp, tell
    from theory_check.runs.locations import is_shipped, provenance

    if not all(map(is_shipped, scripts)):
        say(provenance(FIGURES))
    drawings = [
        Drawing(path, "draw(results)", (results,), stamp(path, files, small=how.quick))
        for path in scripts
    ]
    empty = "nothing that was chosen belongs into it"
    return tell(draw_all(drawings, directory, how.jobs), say, empty)


def _split_at_markers(file: Path) -> tuple[str, str]:
    """Return a file up to the end of its first marker, and from its second one on.

    Raises
    ------
    InvalidArgumentError
        When the file cannot be read, or does not have each marker once, in order.
    """
    try:
        text = read_file(file).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(
            "--findings", f"{file}, which cannot be read ({error})", "pass a text file"
        ) from error
    lines = text.splitlines(keepends=True)
    places = [[at for at, line in enumerate(lines) if line.strip() == m] for m in (BEGIN, END)]
    if [len(found) for found in places] != [1, 1] or places[0] > places[1]:
        raise InvalidArgumentError(
            "--findings",
            f"{file} without its two lines",
            f"put a line '{BEGIN}' and, below it, a line '{END}' where the findings belong",
        )
    (first,), (second,) = places
    return "".join(lines[: first + 1]), "".join(lines[second:])


def _write(file: Path, content: str) -> None:
    try:
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {file} ({error.strerror})") from error
