"""A small project for the command line to work on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

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


@dataclass(frozen=True)
class Verdict:
    claim: str
    status: str
    measured: float
    predicted: float
    reason: str
    passed: bool
    evidence: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass
class Laboratory:
    """A folder with two experiments, two claims and a figure; the claims' statuses can be set."""

    folder: Path
    journal: Path
    failing: Path
    statuses: dict[str, str]
    measured: float = 0.5

    def judge(self, claim: Claim, table: pd.DataFrame) -> Verdict:
        assert set(table["problem"]) == {claim.experiment}
        status = self.statuses[claim.id]
        passed = (status == "violated") == (claim.expected == "violated")
        return Verdict(claim.id, status, self.measured, 1.0, f"{len(table)} rows", passed)

    def executions(self) -> int:
        return len(self.journal.read_text().splitlines())
