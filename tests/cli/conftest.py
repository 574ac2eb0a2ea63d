from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from theory_check import claims
from theory_check.analysis import verdict
from theory_check.catalogue import Catalogue, Root
from theory_check.claims.base import Claim
from theory_check.cli import listing
from theory_check.runs import locations, registry

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
    find: Callable[[], Mapping[str, Claim]] = lambda: known  # noqa: E731
    monkeypatch.setattr(claims, "all_claims", find)
    toys = Path(sweep_toys.__file__).read_text(encoding="utf-8")
    for room, module in (("problems", "line"), ("solvers", "toys"), ("measurements", "toys")):
        (tmp_path / "toys" / room).mkdir(parents=True)
        (tmp_path / "toys" / room / f"{module}.py").write_text(toys, encoding="utf-8")
    rooms = {room: (room,) for room in ("problems", "solvers", "measurements")}

    def shown() -> Catalogue:
        beside = locations.home()
        folders = beside / "experiments", beside / "paper_figures"
        return Catalogue((Root(tmp_path / "toys", "toys", rooms, *folders),))

    monkeypatch.setattr(listing, "shown", shown)
    monkeypatch.setattr(verdict, "judge", made.judge)
    monkeypatch.setattr(registry, "discover", lambda: sweep_toys.REGISTRY)
    monkeypatch.chdir(tmp_path)
    return made
