"""A small project for the command line to work on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from theory_check.analysis.audits import AuditFinding
from theory_check.analysis.intervals import Interval
from theory_check.analysis.rate_verdict import Exponents, RateVerdict, Status
from theory_check.analysis.replicate_verdicts import DecayFactor
from theory_check.analysis.verdict import Verdict
from theory_check.claims.base import Claim

EXPERIMENT = """\
measurement = "values"
description = "Values of {name} lines."
seeds = 2

[settings]
points = [1.0, 2.0]
journal = "{journal}"
fail_if = "{failing}"

[problems.{name}]
family = "line"
slope = {slope}

[quick]
seeds = 1
"""

FIGURE = """\
from matplotlib.figure import Figure

CLAIMS = ("flatness",)
EXPERIMENTS = ("steep",)


def draw(verdicts, tables):
    figure = Figure()
    axes = figure.add_subplot()
    axes.set_title(verdicts["flatness"].status)
    axes.plot(tables["flat"]["x"], tables["flat"]["y"])
    axes.plot(tables["steep"]["x"], tables["steep"]["y"])
    return figure
"""


@dataclass
class Laboratory:
    """A folder with two experiments, two claims and a figure; the claims' statuses can be set."""

    folder: Path
    journal: Path
    failing: Path
    statuses: dict[str, Status]
    measured: float = 0.5

    def judge(
        self,
        claim: Claim,
        table: pd.DataFrame,
        failed: Mapping[str, Mapping[str, str]],
        findings: Sequence[AuditFinding],
        families: Mapping[str, str],
    ) -> Verdict:
        assert set(table["problem"]) == {claim.experiment}
        assert not failed
        assert not families
        status = self.statuses[claim.id]
        decay: Status = status if claim.expected == "violated" else "holds"
        rates = (
            RateVerdict(
                "bias",
                claim.experiment,
                status,
                "",
                Exponents(1.0, Interval(2 * self.measured, 0.9, 1.1), units=(0.5, 1.0)),
                population="2 random starts on one instance",
                spread={"between starts": 0.25},
            ),
            RateVerdict(
                "decay", claim.experiment, decay, "", DecayFactor(Interval(0.25, 0.2, 0.3))
            ),
        )
        return Verdict(claim, status, f"{len(table)} rows", rates)

    def executions(self) -> int:
        return len(self.journal.read_text().splitlines())
