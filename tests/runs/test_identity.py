from __future__ import annotations

import sys

import pytest
from sweep_toys import Values, line

from theory_check.problems.spec import ProblemSpec
from theory_check.runs import Cell, identity
from theory_check.runs.identity import changed_sources, plain


def test_the_version_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def cell() -> Cell:
        return Cell("e", "l", (), Values((1.0,), "j"), ProblemSpec("line", {"slope": 1.0}, line), 1)

    before = cell().key
    assert cell().key == before
    monkeypatch.setattr(identity, "version_of", lambda name: "another")
    assert cell().key != before


def test_the_version_of_a_familys_library_is_part_of_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cell() -> Cell:
        return Cell("e", "l", (), Values((1.0,), "j"), ProblemSpec("line", {"slope": 1.0}, line), 1)

    before = cell().key
    monkeypatch.setattr(sys.modules[line.__module__], "LIBRARY", "numpy", raising=False)
    assert cell().key != before


def test_a_setting_without_a_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no canonical JSON form"):
        plain({"x": object()})


def test_a_reader_is_told_which_files_changed() -> None:
    cell = Cell("e", "l", (), Values((1.0,), "j"), ProblemSpec("line", {"slope": 1.0}, line), 1)
    recorded = dict(cell.sources)
    assert changed_sources(recorded, cell) == []
    recorded["errors.py"] = "another"
    recorded["solvers/parl.py"] = "no longer reached"
    del recorded["sweep_toys.py"]
    assert changed_sources(recorded, cell) == ["errors.py", "solvers/parl.py", "sweep_toys.py"]
