"""The solver of CONTRIBUTING.md: one file, then it is listed, enrolled by the contract and compared."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from theory_check import solvers
from theory_check.catalogue import Catalogue, Root, installed
from theory_check.cli.commands import main

ROOT = Path(__file__).parents[2]
MODULE = "theory_check.solvers.heavy_ball"

# Before the tests are collected: the room is searched where the new file lies as well.
PLUGIN = """\
from pathlib import Path

from theory_check import solvers

solvers.__path__.append(str(Path(__file__).parent / "room"))
"""

EXPERIMENT = """\
measurement = "comparison"
description = "A bandit."
seeds = 4

[settings]
targets = [0.5, 0.25]
tuning_target = 0.5
tuning_seeds = 2
iterations = 40

[problems.bandit]
family = "bandit"
contexts = 2
actions = 2
features = 2
objective = "excess_risk"
"""


def example() -> str:
    """Return the Python block of the section on solvers."""
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## A solver\n")[1]
    return section.split("```python\n")[1].split("```")[0]


@pytest.fixture
def room(tmp_path: Path) -> Path:
    folder = tmp_path / "room"
    folder.mkdir()
    (folder / "heavy_ball.py").write_text(example(), encoding="utf-8")
    return folder


@pytest.fixture
def enrolled(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solvers, "__path__", [*solvers.__path__, str(room)])
    monkeypatch.setitem(sys.modules, MODULE, None)  # so that it is forgotten afterwards
    del sys.modules[MODULE]


@pytest.mark.slow
@pytest.mark.usefixtures("enrolled")
def test_it_is_found_and_listed(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "heavy-ball" in installed().solvers
    assert installed().methods["heavy-ball"].title == "heavy ball"
    root = Root(room.parent, "example", {"solvers": (room.name,)}, room, room)
    assert main(["list"], Catalogue((Root.shipped(), root))) == 0
    assert re.findall(r"^  heavy-ball +(.*)", capsys.readouterr().out, re.M) == [
        "Hypergradient descent with momentum, ``x <- x - eta m`` and ``m <- 0.8 m + 0.2 estimate``.",
        "heavy ball: samples, no stated rate",
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("enrolled")
def test_it_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "experiments" / "comparisons"
    folder.mkdir(parents=True)
    (folder / "tiny.toml").write_text(EXPERIMENT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    known = Catalogue((Root.shipped(),), {"methods": installed().methods})
    assert main(["compare", "--solvers", "heavy-ball,exact", "--jobs", "1"], known) == 0
    assert "heavy ball" in capsys.readouterr().out
    with (tmp_path / "results" / "comparison" / "samples.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"heavy-ball", "exact"}


@pytest.mark.slow
def test_the_contract_enrols_it(room: Path) -> None:
    """In a process of its own, since tests are parametrised when they are collected."""
    (room.parent / "enrol_heavy_ball.py").write_text(PLUGIN, encoding="utf-8")
    # Without the checker of shapes, which has to come before any import of the package.
    arguments = ["-p", "enrol_heavy_ball", "-p", "no:cacheprovider", "-o", "addopts="]
    arguments += ["--benchmark-disable", "-q", "-k", "heavy-ball"]
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "tests/solvers/test_solvers.py",
         "tests/solvers/test_estimates.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(room.parent)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-3000:]
    passed = re.search(r"(\d+) passed", found.stdout)
    # Of each contract at least one case: twelve of solvers, one of hypergradients, one of sampling.
    assert passed is not None
    assert int(passed[1]) >= 14
