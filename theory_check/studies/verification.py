"""From a claim to its verdict: run what is missing, load the table, judge it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from theory_check.analysis import verdict as verdicts
from theory_check.analysis.audits import AuditFinding, audit_problem, failures_of, not_audited
from theory_check.catalogue import Catalogue, installed
from theory_check.catalogue.catalogue import experiment_file
from theory_check.claims.audits import Audit
from theory_check.claims.base import Claim
from theory_check.errors import InvalidArgumentError, TheoryCheckError, listed, require_instance
from theory_check.runs import Experiment, Report, load_experiment
from theory_check.runs.execute import RunOptions
from theory_check.runs.holdings import StoredResult, of_other_source, results_in_words
from theory_check.runs.identity import plain
from theory_check.runs.own_problem import (
    given_problem,
    is_audited_in,
    require_fitting,
)
from theory_check.runs.problem_table import OwnProblem
from theory_check.runs.store import ReadOnce
from theory_check.runs.tables import load_cells

if TYPE_CHECKING:
    import pandas as pd

    from theory_check.analysis.verdict import Verdict
    from theory_check.problems import Problem
    from theory_check.runs.spec import Cell


class FailedCellsError(TheoryCheckError):
    """A claim cannot be judged because cells of its experiment failed."""


@dataclass(frozen=True)
class Judgement:
    """A claim with its verdict, or with the reason why there is none.

    ``file`` is the experiment file that it rests on, ``other_source`` says which of its results are of
    other source, ``""`` where none is.
    """

    claim: Claim
    verdict: Verdict | None
    reason: str
    file: Path
    other_source: str = ""


class Results:
    """Experiments after they were run: what became of their cells, and their tables, each read once.

    Claims, conclusions and figures are made of one such object.

    Parameters
    ----------
    experiments
        The experiments by name.
    report
        What became of their cells.
    options
        How they were run.
    store
        The store of the options, with what it has read already; a new one when absent.
    instead
        Results of other source, by the key of the cell, that are read in place of its own.
    """

    def __init__(
        self,
        experiments: Mapping[str, Experiment],
        report: Report,
        options: RunOptions,
        store: ReadOnce | None = None,
        instead: Mapping[str, StoredResult] | None = None,
    ) -> None:
        self.experiments = experiments
        self.report = report
        self.options = options
        self.instead = {} if instead is None else instead
        self._store = ReadOnce(options.store) if store is None else store
        # By experiment, label and key of the cells: an audit reads some of those of an experiment.
        self._tables: dict[tuple[tuple[str, str, str], ...], pd.DataFrame] = {}

    def failures(self, name: str) -> str:
        """Return why the table of an experiment is not complete, ``""`` when it is."""
        return self._failed(self.experiments[name].cells(self.options.quick), name)

    def _failed(self, cells: Sequence[Cell], name: str) -> str:
        keys = {cell.key for cell in cells}
        absent = sum(cell.key in keys for cell in self.report.absent)
        if absent:
            return f"{absent} of {len(keys)} cells of {name} have no result"
        failed = [failure for failure in self.report.failed if failure.cell.key in keys]
        if not failed:
            return ""
        return f"{len(failed)} of {len(keys)} cells of {name} failed, first: {failed[0]}"

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of one's own of an experiment whose cells are complete."""
        return self._load(self.experiments[name].cells(self.options.quick)).copy()

    def _load(self, cells: Sequence[Cell]) -> pd.DataFrame:
        """Return the table of some cells, which is not to be changed."""
        which = tuple((cell.experiment, cell.label, cell.key) for cell in cells)
        if which not in self._tables:
            self._tables[which] = load_cells(
                cells, self._store, quick=self.options.quick, instead=self.instead
            )
        return self._tables[which]

    def other_source(self, names: Iterable[str]) -> str:
        """Return how many results of some experiments are of other source, ``""`` where none is."""
        cells = (
            cell for name in names for cell in self.experiments[name].cells(self.options.quick)
        )
        return results_in_words(cells, self.instead)

    def heading(self, whose: str) -> str:
        """Return whose experiments were run, and which of their results are of other source."""
        other = self.other_source(self.experiments)
        return f"{whose} Read in place of runs: {other}." if other else whose

    def judge(self, claim: Claim) -> Judgement:
        """Judge a claim whose experiment is part of the sweep."""
        reason = self.failures(claim.experiment)
        file = self.experiments[claim.experiment].path
        rests_on = evidence_for([claim], self.options.catalogue)
        other = self.other_source([name for name in rests_on if name in self.experiments])
        if reason:
            return Judgement(claim, None, reason, file, other)
        findings = self.audit(claim)
        table = self._load(self.experiments[claim.experiment].cells(self.options.quick))
        families = {
            cell.label: cell.sizes
            for cell in self.experiments[claim.experiment].cells(self.options.quick)
            if cell.instance is not None
        }
        verdict = verdicts.judge(claim, table, failures_of(findings), findings, families)
        return Judgement(claim, verdict, verdict.reason, file, other)

    def audit(self, claim: Claim) -> tuple[AuditFinding, ...]:
        """Return what the audits found of a claim's assumptions on the problems it is judged on.

        Problems are matched by family and parameters, whatever they are called, and steps are
        the largest that the claim's own experiment takes on each problem.
        """
        problems: dict[str, list[Cell]] = {}
        for cell in self.experiments[claim.experiment].cells(self.options.quick):
            problems.setdefault(cell.label, []).append(cell)
        return tuple(
            self._audit_one(self.options.catalogue.audit(name), label, cells)
            for label, cells in problems.items()
            for name in claim.audits
        )

    def _audit_one(self, audit: Audit, label: str, cells: Sequence[Cell]) -> AuditFinding:
        evidence = self._evidence(audit, cells[0])
        if not evidence:
            present = [name for name in audit.experiments if name in self.experiments]
            missing = (
                f"this problem is not among those of {' and '.join(present)}"
                if present
                else f"there is no experiment {' or '.join(audit.experiments)} here"
            )
            return not_audited(audit, label, missing)
        name = f"{evidence[0].experiment} on {evidence[0].label}"
        reason = self._failed(evidence, name)
        if reason:
            return not_audited(audit, label, reason)
        taken = [cell.measurement.step_sizes() for cell in cells]
        steps = {
            "outer": max((step.outer for step in taken if step.outer is not None), default=None),
            "inner": max((step.inner for step in taken if step.inner is not None), default=None),
        }
        return audit_problem(audit, self._load(evidence), label, steps)

    def _evidence(self, audit: Audit, wanted: Cell) -> list[Cell]:
        """Return the cells of an audit on the problem of a cell; none where it is not audited.

        One instance of a family says nothing about the others.
        """
        if wanted.instance is not None:
            return []
        parameters = plain(wanted.problem.parameters)
        for name in audit.experiments:
            if name not in self.experiments:
                continue
            cells = self.experiments[name].cells(self.options.quick)
            for cell in cells:
                spec = cell.problem
                if spec.family == wanted.problem.family and plain(spec.parameters) == parameters:
                    return [other for other in cells if other.label == cell.label]
        return []


def conclude(results: Results, judgements: Sequence[Judgement]) -> list[str]:
    """Return the sentences of every conclusion whose claims are all judged."""
    verdicts = {each.claim.id: each.verdict for each in judgements if each.verdict is not None}
    catalogue = results.options.catalogue
    sentences = []
    for name, conclusion in catalogue.conclusions.items():
        if not verdicts.keys() >= set(conclusion.claims):
            continue
        tables = {
            claim: results.table(catalogue.claim(claim).experiment) for claim in conclusion.claims
        }
        try:
            sentences += conclusion.compose(verdicts, tables)
        except InvalidArgumentError as refusal:
            sentences.append(f"{name}: nothing concluded, {refusal.argument}: {refusal.received}.")
    return sentences


def evidence_for(
    claims: Iterable[Claim], catalogue: Catalogue, problem: OwnProblem | None = None
) -> list[str]:
    """Return the names of the experiments that judge some claims, those of their audits included.

    Audits whose experiments are not there have no evidence, which excuses nothing and is reported. On a
    problem of one's own an audit is run by the first of its experiments that is about such problems.

    Raises
    ------
    InvalidArgumentError
        For a problem of a kind that a claim says nothing about, and for a file of problems that cannot
        be read.
    """
    catalogue.require_problems()
    present = catalogue.experiments

    @functools.cache
    def stated(name: str) -> Experiment:
        return load_experiment(experiment_file(name, catalogue), catalogue)

    names: dict[str, None] = {}
    for claim in claims:
        audited = [catalogue.audit(audit).experiments for audit in claim.audits]
        names[claim.experiment] = None
        if problem is None:
            names |= dict.fromkeys(name for each in audited for name in each if name in present)
            continue
        built = problem.spec.build()
        require_fitting(claim, stated(claim.experiment), built)
        fitting = (
            (name for name in each if name in present and is_audited_in(stated(name), built))
            for each in audited
        )
        names |= dict.fromkeys(name for each in fitting for name in itertools.islice(each, 1))
    return list(names)


def sweep(
    experiments: Iterable[str | Path], options: RunOptions, problem: OwnProblem | None = None
) -> Results:
    """Run what is missing of some experiments, all their cells side by side.

    Parameters
    ----------
    experiments
        Paths of experiment files, or stems of files in ``experiments/``.
    options
        How to run them.
    problem
        The only problem of all of them, in place of those that the files state.

    Raises
    ------
    InvalidArgumentError
        When a file is not valid; before any work.
    StoreError
        When the store cannot be written; before any work.
    """
    require_instance("options", options, RunOptions, "pass RunOptions(...)")
    remedy = "pass a list of names or paths of experiment files"
    given = listed("experiments", experiments, remedy)
    loaded = {
        experiment.name: experiment
        for experiment in (
            load_experiment(
                experiment_file(name, options.catalogue), options.catalogue, problem=problem
            )
            for name in given
        )
    }
    cells = [cell for each in loaded.values() for cell in each.cells(options.quick)]
    store = ReadOnce(options.store)
    instead: Mapping[str, StoredResult] = {}
    if options.any_source:
        instead = of_other_source(store, cells)
    report = options.execute([cell for cell in cells if cell.key not in instead], store)
    read = {cell.key: cell for cell in cells if cell.key in instead}
    report = replace(report, reused=(*report.reused, *read.values()))
    return Results(loaded, report, options, store, instead)


def verify(
    claim_name: str,
    *,
    problem: Problem | None = None,
    store: str | Path = "results",
    jobs: int = 1,
    quick: bool = False,
    retry_failed: bool = False,
    backend: str = "loky",
    catalogue: Catalogue | None = None,
    any_source: bool = False,
) -> Verdict:
    """Judge one claim, running what its experiment and those of its audits still lack.

    Parameters
    ----------
    claim_name
        Id of the claim, as listed by ``theory-check list``.
    problem
        Judge it on this problem alone, such as ``problems.garnet(...)``, and run its audits on it; the
        settings, the grid and the number of seeds are those of the claim's experiment. Results are
        kept under the digest of the problem's content.
    store, jobs, quick, retry_failed, backend, any_source
        As in :class:`RunOptions`.
    catalogue
        What there is, such as ``Catalogue.installed().with_folder("my_study")``; all that is installed
        when absent.

    Returns
    -------
    Verdict
        ``.status``, ``.measured``, ``.predicted`` and ``.evidence``.

    Raises
    ------
    InvalidArgumentError
        For an unknown claim, an experiment file that is not valid, or a problem of a kind that the claim
        says nothing about; before any work.
    StoreError
        When the store cannot be written; before any work.
    FailedCellsError
        When a cell failed, now or earlier; ``retry_failed=True`` runs such cells again.
    """
    catalogue = installed() if catalogue is None else catalogue
    options = RunOptions(store, jobs, quick, retry_failed, backend, catalogue, any_source)
    claim = catalogue.claim(claim_name)
    own = None if problem is None else given_problem(problem)
    judgement = sweep(evidence_for([claim], catalogue, own), options, own).judge(claim)
    if judgement.verdict is None:
        raise FailedCellsError(f"{claim.id} cannot be judged: {judgement.reason}")
    return judgement.verdict
