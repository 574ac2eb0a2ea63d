"""From a claim to its verdict: run what is missing, load the table, judge it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from theory_check.analysis import verdict as verdicts
from theory_check.analysis.audits import AuditFinding, audit_problem, failures_of, not_audited
from theory_check.catalogue import Catalogue, installed
from theory_check.claims.audits import Audit
from theory_check.claims.base import Claim
from theory_check.errors import (
    TheoryCheckError,
    listed,
    require_choice,
    require_flag,
    require_instance,
    require_positive_integer,
)
from theory_check.runs import Experiment, Report, Store, execute, load_experiment, load_table
from theory_check.runs.backends import BACKENDS
from theory_check.runs.identity import plain
from theory_check.runs.locations import experiment_file, experiment_files
from theory_check.runs.tables import load_cells

if TYPE_CHECKING:
    import pandas as pd

    from theory_check.analysis.verdict import Verdict
    from theory_check.runs.spec import Cell


class FailedCellsError(TheoryCheckError):
    """A claim cannot be judged because cells of its experiment failed."""


@dataclass(frozen=True)
class RunOptions:
    """How missing cells are run.

    Attributes
    ----------
    store
        Directory of the results.
    jobs
        Worker processes.
    quick
        Whether the small version of each experiment is meant.
    retry_failed
        Whether cells whose failure is recorded are run again.
    backend
        Where they run, see :func:`theory_check.runs.backends.open_pool`.
    catalogue
        What there is.
    """

    store: str | Path = "results"
    jobs: int = 1
    quick: bool = False
    retry_failed: bool = False
    backend: str = "loky"
    catalogue: Catalogue = field(default_factory=installed)

    def __post_init__(self) -> None:
        """Refuse what nothing can be run with, before experiments are read."""
        Store(self.store)
        require_positive_integer("jobs", self.jobs)
        require_flag("quick", self.quick)
        require_flag("retry_failed", self.retry_failed)
        require_choice("backend", self.backend, BACKENDS)
        require_instance("catalogue", self.catalogue, Catalogue, "pass Catalogue.installed()")


@dataclass(frozen=True)
class Judgement:
    """A claim with its verdict, or with the reason why there is none.

    ``file`` is the experiment file that it rests on.
    """

    claim: Claim
    verdict: Verdict | None
    reason: str
    file: Path


@dataclass(frozen=True)
class Sweep:
    """Experiments after they were run.

    Attributes
    ----------
    experiments
        The experiments by name.
    report
        What became of their cells.
    options
        How they were run.
    """

    experiments: Mapping[str, Experiment]
    report: Report
    options: RunOptions
    # What the audits were measured on, by experiment and problem: many claims rest on the same rows.
    _rows: dict[str, pd.DataFrame] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def failures(self, name: str) -> str:
        """Return why the table of an experiment is not complete, ``""`` when it is."""
        return self._failed(self.experiments[name].cells(self.options.quick), name)

    def _failed(self, cells: Sequence[Cell], name: str) -> str:
        keys = {cell.key for cell in cells}
        failed = [failure for failure in self.report.failed if failure.cell.key in keys]
        if not failed:
            return ""
        return f"{len(failed)} of {len(keys)} cells of {name} failed, first: {failed[0]}"

    def table(self, name: str) -> pd.DataFrame:
        """Return the table of an experiment whose cells are complete."""
        return load_table(self.experiments[name], self.options.store, quick=self.options.quick)

    def judge(self, claim: Claim) -> Judgement:
        """Judge a claim whose experiment is part of the sweep."""
        reason = self.failures(claim.experiment)
        file = self.experiments[claim.experiment].path
        if reason:
            return Judgement(claim, None, reason, file)
        findings = self.audit(claim)
        table = self.table(claim.experiment)
        families = {
            cell.label: cell.sizes
            for cell in self.experiments[claim.experiment].cells(self.options.quick)
            if cell.instance is not None
        }
        verdict = verdicts.judge(claim, table, failures_of(findings), findings, families)
        return Judgement(claim, verdict, verdict.reason, file)

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
        if name not in self._rows:
            self._rows[name] = load_cells(evidence, self.options.store, quick=self.options.quick)
        taken = [cell.measurement.step_sizes() for cell in cells]
        steps = {
            "outer": max((step.outer for step in taken if step.outer is not None), default=None),
            "inner": max((step.inner for step in taken if step.inner is not None), default=None),
        }
        return audit_problem(audit, self._rows[name], label, steps)

    def _evidence(self, audit: Audit, wanted: Cell) -> list[Cell]:
        """Return the cells of an audit on the problem of a cell; none where it is not audited.

        One instance of a family says nothing about the others.
        """
        if wanted.instance is not None:
            return []
        parameters = plain(wanted.parameters)
        for name in audit.experiments:
            if name not in self.experiments:
                continue
            cells = self.experiments[name].cells(self.options.quick)
            for cell in cells:
                if cell.family == wanted.family and plain(cell.parameters) == parameters:
                    return [other for other in cells if other.label == cell.label]
        return []


def evidence_for(claims: Iterable[Claim], catalogue: Catalogue) -> list[str]:
    """Return the names of the experiments that judge some claims, those of their audits included.

    Audits whose experiments are not there have no evidence, which excuses nothing and is reported.
    """
    present = experiment_files(catalogue)
    names: dict[str, None] = {}
    for claim in claims:
        audited = (name for audit in claim.audits for name in catalogue.audit(audit).experiments)
        names |= dict.fromkeys((claim.experiment, *(name for name in audited if name in present)))
    return list(names)


def sweep(experiments: Iterable[str | Path], options: RunOptions) -> Sweep:
    """Run what is missing of some experiments, all their cells side by side.

    Parameters
    ----------
    experiments
        Paths of experiment files, or stems of files in ``experiments/``.
    options
        How to run them.

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
            load_experiment(experiment_file(name, options.catalogue), options.catalogue)
            for name in given
        )
    }
    cells = [cell for each in loaded.values() for cell in each.cells(options.quick)]
    report = execute(
        cells,
        Store(options.store),
        jobs=options.jobs,
        backend=options.backend,
        retry_failed=options.retry_failed,
    )
    return Sweep(loaded, report, options)


def verify(
    claim_name: str,
    *,
    store: str | Path = "results",
    jobs: int = 1,
    quick: bool = False,
    retry_failed: bool = False,
    backend: str = "loky",
    catalogue: Catalogue | None = None,
) -> Verdict:
    """Judge one claim, running what its experiment and those of its audits still lack.

    Experiment files are those in ``experiments/`` of the current folder, where it has one, else the
    package's.

    Parameters
    ----------
    claim_name
        Id of the claim, as listed by ``theory-check list``.
    store, jobs, quick, retry_failed, backend
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
        For an unknown claim or an experiment file that is not valid; before any work.
    StoreError
        When the store cannot be written; before any work.
    FailedCellsError
        When a cell failed, now or earlier; ``retry_failed=True`` runs such cells again.
    """
    catalogue = installed() if catalogue is None else catalogue
    options = RunOptions(store, jobs, quick, retry_failed, backend, catalogue)
    claim = catalogue.claim(claim_name)
    judgement = sweep(evidence_for([claim], catalogue), options).judge(claim)
    if judgement.verdict is None:
        raise FailedCellsError(f"{claim.id} cannot be judged: {judgement.reason}")
    return judgement.verdict
