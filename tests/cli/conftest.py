from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from theory_check import catalogue
from theory_check.analysis import verdict
from theory_check.catalogue import Catalogue, Root
from theory_check.claims.base import Claim
from theory_check.report import text
from theory_check.runs import progress
from theory_check.studies import verification

# The toys of the sweeps are shared with the tests of the command line.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runs"))

import sweep_toys
from laboratory import EXPERIMENT, FIGURE, Laboratory


@pytest.fixture
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    journal, failing = tmp_path / "journal", tmp_path / "failing"
    journal.touch()
    for name, slope in (("flat", 0.5), ("steep", 4.0)):
        path = tmp_path / "experiments" / f"{name}.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(EXPERIMENT.format(name=name, slope=slope, journal=journal, failing=failing))
    (tmp_path / "paper_figures").mkdir()
    (tmp_path / "paper_figures" / "lines.py").write_text(FIGURE)
    made = Laboratory(tmp_path, journal, failing, {"flatness": "tight", "steepness": "violated"})
    known: Mapping[str, Claim] = {
        "flatness": Claim(
            "flatness", "It is flat.", "here", "V", "measured", "Yes: a hill.", (), "flat", ()
        ),
        "steepness": Claim(
            "steepness",
            "It is not steep.",
            "there",
            "R",
            "identity",
            "No.",
            (),
            "steep",
            (),
            expected="violated",
        ),
    }
    monkeypatch.setattr(verdict, "judge", made.judge)
    root = Root(tmp_path, "theory_check", {}, tmp_path / "experiments", tmp_path / "paper_figures")
    given = {**sweep_toys.CATALOGUE.given, "claims": known}
    for user in (catalogue, verification):
        # Anew at each call, since tests add files.
        monkeypatch.setattr(user, "installed", lambda: Catalogue((root,), given))
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture(autouse=True)
def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be told of commands that take long, which on a busy machine all do."""
    monkeypatch.setattr(text, "SOON", 3600.0)
    monkeypatch.setattr(progress, "DELAY", 3600.0)
