"""From a claim to its verdict: run what is missing, load the table, judge it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from theory_check.analysis import verdict as verdicts
from theory_check.claims import get_claim
from theory_check.claims.base import Claim
from theory_check.errors import TheoryCheckError
from theory_check.runs import Experiment, Report, Store, execute, load_experiment, load_table
from theory_check.runs.locations import experiment_file

if TYPE_CHECKING:
    from theory_check.analysis.verdict import Verdict


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
        Joblib backend, see :func:`theory_check.runs.backends.parallel_backend`.
    """

    store: str | Path = "results"
    jobs: int = 1
    quick: bool = False
    retry_failed: bool = False
    backend: str = "loky"


@dataclass(frozen=True)
class Judgement:
    """A claim with its verdict, or with the reason why there is none."""

    claim: Claim
    verdict: Verdict | None
    reason: str


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

    def failures(self, name: str) -> str:
        """Return why the table of an experiment is not complete, ``""`` when it is."""
        cells = self.experiments[name].cells(self.options.quick)
        keys = {cell.key for cell in cells}
        failed = [failure for failure in self.report.failed if failure.cell.key in keys]
        if not failed:
            return ""
        return f"{len(failed)} of {len(keys)} cells of {name} failed, first: {failed[0]}"

    def judge(self, claim: Claim) -> Judgement:
        """Judge a claim whose experiment is part of the sweep."""
        reason = self.failures(claim.experiment)
        if reason:
            return Judgement(claim, None, reason)
        table = load_table(
            self.experiments[claim.experiment], self.options.store, quick=self.options.quick
        )
        verdict = verdicts.judge(claim, table)
        return Judgement(claim, verdict, verdict.reason)


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
    loaded = {
        experiment.name: experiment
        for experiment in (load_experiment(experiment_file(name)) for name in experiments)
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
) -> Verdict:
    """Judge one claim, running what its experiment still lacks.

    Parameters
    ----------
    claim_name
        Id of the claim, as listed by ``theory-check list``.
    store, jobs, quick, retry_failed, backend
        As in :class:`RunOptions`.

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
    claim = get_claim(claim_name)
    options = RunOptions(store, jobs, quick, retry_failed, backend)
    judgement = sweep([claim.experiment], options).judge(claim)
    if judgement.verdict is None:
        raise FailedCellsError(f"{claim.id} cannot be judged: {judgement.reason}")
    return judgement.verdict
