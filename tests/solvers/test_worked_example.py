"""The examples of CONTRIBUTING.md as a study: listed, kept to the contracts, run and compared."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from helpers.worked_examples import write_study

from theory_check.catalogue import Catalogue
from theory_check.cli.commands import main

Capture = pytest.CaptureFixture[str]

COMPARISON = """\
measurement = "comparison"
description = "A bandit."
seeds = 4

[settings]
targets = [0.5, 0.25]
tuning_target = 0.5
tuning_runs = 2
iterations = 40

[problems.arms]
family = "bandit"
contexts = 2
actions = 2
features = 2
objective = "excess_risk"
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The study, beside a folder to work in."""
    monkeypatch.chdir(tmp_path)
    return write_study(tmp_path / "worked")


def run(*words: str) -> int:
    return main(["--study", "worked", *words], Catalogue.shipped())


def test_it_is_found_and_listed(study: Path, capsys: Capture) -> None:
    assert run("list") == 0
    listed = re.sub(r"\n {20,}", " ", capsys.readouterr().out)  # lines go on below their text
    assert re.findall(r"^  heavy-ball +(.*)", listed, re.M) == [
        "Hypergradient descent with momentum, ``x <- x - eta m`` and ``m <- 0.8 m + 0.2 estimate``.",
        "heavy ball: samples, no stated rate",
    ]
    for name in ("arms", "state", "worked"):
        assert re.search(rf"^  {name}\b", listed, re.M), name


def test_it_keeps_the_contracts(study: Path, capsys: Capture) -> None:
    assert run("check") == 0
    out = capsys.readouterr().out
    for component in (
        "problem +worked/arms",
        "reward +state",
        "method +heavy-ball",
        "solver +heavy",
    ):
        assert re.search(rf"^{component}", out, re.M), component
    assert re.search(r" checks: 0 fail, 0 files cannot be imported$", out, re.M)


def test_its_experiment_runs(study: Path, capsys: Capture) -> None:
    assert run("run", "worked", "--jobs", "1") == 0
    assert "2 cells: 2 run, 0 reused, 0 failed" in capsys.readouterr().err


@pytest.mark.slow
def test_it_is_compared(study: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = study / "experiments" / "comparisons"
    folder.mkdir(parents=True)
    (folder / "tiny.toml").write_text(COMPARISON, encoding="utf-8")
    words = ["--solvers", "heavy-ball,exact", "--problems", "arms", "--jobs", "1"]
    assert run("compare", *words) == 0
    assert "heavy ball" in capsys.readouterr().out
    with (tmp_path / "results" / "comparison" / "samples.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"heavy-ball", "exact"}
