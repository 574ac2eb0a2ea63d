"""Comparison of methods: run what is missing, analyse it, and say what was found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from theory_check.analysis.comparison import ComparedMethod, ComparisonResults, findings
from theory_check.analysis.comparison import compare as analysed
from theory_check.analysis.intervals import plural
from theory_check.catalogue import Catalogue, installed
from theory_check.errors import (
    InvalidArgumentError,
    listed,
    require_instance,
    require_text,
)
from theory_check.runs import Report
from theory_check.runs.comparisons import (
    chosen_cells,
    chosen_methods,
    load_comparisons,
    settings_of,
)
from theory_check.runs.execute import RunOptions
from theory_check.runs.holdings import StoredResult, of_other_source
from theory_check.runs.store import ReadOnce, Store
from theory_check.runs.tables import load_cells

if TYPE_CHECKING:
    import pandas as pd

    from theory_check.runs.spec import Cell
    from theory_check.solvers.method import Method


@dataclass(frozen=True, eq=False)
class Compared:
    """What a comparison found, and what it rests on.

    Attributes
    ----------
    results
        Costs, outcomes, exponents against stated rates and profile: what is tabled and drawn.
    findings
        One sentence each, the first of which says what was compared; none where nothing is complete.
    runs, shift_runs
        Rows of the measurement, one per seed and target: runs to an accuracy, and those under
        distribution shift, which use all of their iterations; empty without such runs.
    tuning_runs
        Number of tuning runs by problem.
    report
        What became of the cells; those that failed take no part.
    files
        The experiment files that state the problems.
    options
        How missing cells were run.
    """

    results: ComparisonResults
    findings: tuple[str, ...]
    runs: pd.DataFrame
    shift_runs: pd.DataFrame
    tuning_runs: Mapping[str, int]
    report: Report
    files: tuple[Path, ...]
    options: RunOptions

    def __repr__(self) -> str:
        """Say on one line how much was compared."""
        results = self.results
        problems = {*self.tuning_runs}
        return (
            f"<Compared: {plural(len(results.methods), 'method')} on "
            f"{plural(len(problems), 'problem')}, {plural(len(self.findings), 'finding')}, "
            f"{plural(len(self.report.failed), 'failed cell')}>"
        )


@dataclass(frozen=True, eq=False)
class ComparisonPlan:
    """What is to be compared, checked and not yet run.

    Attributes
    ----------
    methods
        Ids of the methods.
    cells
        One per method and problem.
    files
        The experiment files that state them.
    options
        How missing cells are run.
    """

    methods: tuple[str, ...]
    cells: tuple[Cell, ...]
    files: tuple[Path, ...]
    options: RunOptions

    def run(self) -> Compared:
        """Run what is missing and analyse what is complete.

        Raises
        ------
        StoreError
            When the store cannot be read or written.
        """
        options, known = self.options, self.options.catalogue.methods
        store = ReadOnce(options.store)
        instead = of_other_source(store, self.cells) if options.any_source else {}
        report = options.execute([cell for cell in self.cells if cell.key not in instead], store)
        lacking = {failure.cell.key for failure in report.failed}
        lacking |= {cell.key for cell in report.absent}
        complete = [cell for cell in self.cells if cell.key not in lacking]
        to_accuracy = [cell for cell in complete if settings_of(cell).stop_when_reached]
        under_shift = [cell for cell in complete if not settings_of(cell).stop_when_reached]
        runs, shift_runs = (
            _table(cells, store, options.quick, instead) for cells in (to_accuracy, under_shift)
        )
        results = analysed(
            runs,
            shift_runs,
            {name: _record(known[name]) for name in self.methods},
            {name_of(cell): cell.problem.parameters.get("objective", "") for cell in to_accuracy},
        )
        sentences = [_scope(complete, options.quick), *findings(results)] if complete else []
        tuning_runs = {name_of(cell): settings_of(cell).tuning_runs for cell in complete}
        return Compared(
            results,
            tuple(sentences),
            runs,
            shift_runs,
            tuning_runs,
            report,
            self.files,
            options,
        )


def plan_comparison(
    solvers: Iterable[str], problems: Iterable[str], options: RunOptions
) -> ComparisonPlan:
    """Return what is to be compared; arguments and errors are those of :func:`compare`."""
    require_instance("options", options, RunOptions, "pass RunOptions(...)")
    names, labels = (_names(*each) for each in (("solvers", solvers), ("problems", problems)))
    chosen = chosen_methods(names, options.catalogue.methods)
    experiments = load_comparisons(chosen, options.catalogue)
    cells = chosen_cells(experiments.values(), labels, options.quick)
    _refuse_shared_labels(cells)
    files = tuple(experiment.path for experiment in experiments.values())
    return ComparisonPlan(tuple(chosen), tuple(cells), files, options)


def compare(
    solvers: Iterable[str] = (),
    problems: Iterable[str] = (),
    *,
    store: str | Path = "results",
    jobs: int = 1,
    quick: bool = False,
    retry_failed: bool = False,
    backend: str = "loky",
    catalogue: Catalogue | None = None,
) -> Compared:
    """Compare methods on the problems of the comparisons, running what is missing.

    What ``theory-check compare`` prints, writes and draws is made of what is returned, by
    ``theory_check.report.comparison.publish``.

    Parameters
    ----------
    solvers
        Ids of methods, or names of solvers for all of their methods; all when empty.
    problems
        Labels of problems, or what they start with before a hyphen; all when empty.
    store, jobs, quick, retry_failed, backend
        As in :class:`~theory_check.runs.execute.RunOptions`.
    catalogue
        What there is, such as ``Catalogue.installed().with_folder("my_study")``; all that is installed
        when absent.

    Raises
    ------
    InvalidArgumentError
        For unknown methods or problems, or an experiment file that is not valid; before any work.
    StoreError
        When the store cannot be read or written.
    """
    catalogue = installed() if catalogue is None else catalogue
    options = RunOptions(store, jobs, quick, retry_failed, backend, catalogue)
    return plan_comparison(solvers, problems, options).run()


def _names(argument: str, given: Iterable[str]) -> list[str]:
    """Return names once each, in the order in which they were given."""
    if isinstance(given, str):
        raise InvalidArgumentError(argument, repr(given), f"pass a list, as in [{given!r}]")
    names = listed(argument, given, "pass a list of names")
    for name in names:
        require_text(argument, name)
    return list(dict.fromkeys(names))


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


def _table(
    cells: Sequence[Cell], store: Store, quick: bool, instead: Mapping[str, StoredResult]
) -> pd.DataFrame:
    """Return the rows of cells, in the order of the problems and then of the methods."""
    import pandas as pd

    order = {label: at for at, label in enumerate(dict.fromkeys(cell.label for cell in cells))}
    ordered = sorted(cells, key=lambda cell: order[cell.label])
    if not ordered:
        return pd.DataFrame()
    table = load_cells(ordered, store, quick=quick, instead=instead)
    if "instance" in table:
        # Every instance is a problem of its own: its units, its tuning, its costs.
        named = table["problem"] + " " + table["instance"].astype("Int64").astype(str)
        table["problem"] = named.where(table["instance"].notna(), table["problem"])
    return table


def name_of(cell: Cell) -> str:
    """Return what a problem is called in tables: its label, and the number of an instance."""
    return cell.label if cell.instance is None else f"{cell.label} {cell.instance}"


def _record(method: Method) -> ComparedMethod:
    return ComparedMethod(
        method.id,
        method.title,
        method.rate,
        ignores_response=method.ignores_response,
        learns_reward=method.learns_reward,
        baseline=method.baseline,
        shared_batch_of=method.shared_batch_of,
    )


def _scope(cells: Sequence[Cell], quick: bool) -> str:
    """Say what was compared."""
    problems = len({name_of(cell) for cell in cells})
    methods = len({settings_of(cell).method.id for cell in cells})
    repetitions = len({settings_of(cell).repetition for cell in cells})
    seeds = sorted({cell.seeds for cell in cells})
    version = ", small version" if quick else ""
    return (
        f"Compared: {plural(methods, 'method')} on {plural(problems, 'problem')}, "
        f"{' or '.join([*map(str, seeds[:-1]), plural(seeds[-1], 'seed')])} each, "
        f"{plural(repetitions, 'repetition')} of tuning and runs{version}."
    )
