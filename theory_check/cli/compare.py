"""The command ``compare``: every method on the same problems, as tables, figures and sentences."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory_check.errors import InvalidArgumentError, StoreError, visible
from theory_check.files import read_file

if TYPE_CHECKING:
    from theory_check.analysis.comparison import ComparisonResults
    from theory_check.cli.display_table import DisplayTable
    from theory_check.runs import Report
    from theory_check.verification import RunOptions

BEGIN, END = "<!-- findings: begin -->", "<!-- findings: end -->"
"""Lines between which ``--findings`` writes."""

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
        For unknown methods or problems, an experiment file that is not valid, or a file for the
        findings without its lines; before any work.
    StoreError
        When something cannot be read or written.
    """
    from theory_check.cli.compare_tables import tables
    from theory_check.comparison import plan_comparison

    try:
        plan = plan_comparison(options.solvers, options.problems, how)
    except InvalidArgumentError as error:
        if error.argument not in ("solvers", "problems"):
            raise
        raise InvalidArgumentError(f"--{error.argument}", error.received, error.remedy) from error
    scripts = list(how.catalogue.comparison_figures.values())
    if options.findings is not None:
        _split_at_markers(options.findings)
    directory = output()
    compared = plan.run()
    sentences = compared.findings
    _publish(tables(compared.results, compared.tuning_seeds), sentences, directory, how, say)
    drawn = _draw(scripts, compared.results, directory, plan.files, how, say)
    if options.findings is not None:
        if compared.report.failed:
            say(f"{options.findings} is left as it was: some cells failed")
        else:
            before, after = _split_at_markers(options.findings)
            _write(options.findings, f"{before}\n{_bullets(sentences)}\n{after}")
            say(f"wrote {options.findings}")
    return compared.report, drawn


def _publish(
    shown: Sequence[DisplayTable],
    sentences: Sequence[str],
    directory: Path,
    how: RunOptions,
    say: Say,
) -> None:
    """Print the tables and the findings, and write them."""
    from theory_check.catalogue.catalogue import provenance
    from theory_check.cli.reporting import stamp, text_list

    version = stamp(how.quick)
    for line in (version, provenance(how.catalogue)):
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
