from __future__ import annotations

import sys
from pathlib import Path

import grimp
import pytest
from sweep_toys import Values, line

from theory_check.runs import Cell, identity
from theory_check.runs.identity import (
    PACKAGE,
    WITHOUT_NUMBERS,
    numerical_sources,
    plain,
    source_fingerprint,
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name in ("solvers/one.py", "runs/measurements/a.py", "runs/store.py", "claims/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    return tmp_path


@pytest.mark.parametrize("name", ["solvers/one.py", "runs/measurements/a.py", "new/room.py"])
def test_numerical_source_changes_the_fingerprint(package: Path, name: str) -> None:
    before = source_fingerprint.__wrapped__(package)
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text("x = 2\n")
    assert source_fingerprint.__wrapped__(package) != before


@pytest.mark.parametrize("name", ["runs/store.py", "claims/c.py", "analysis/fit.py", "cli/x.py"])
def test_other_source_does_not(package: Path, name: str) -> None:
    before = source_fingerprint.__wrapped__(package)
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text("x = 2\n")
    assert source_fingerprint.__wrapped__(package) == before


def test_moving_a_line_between_files_changes_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x\ny\n")
    (tmp_path / "b.py").write_text("z\n")
    before = source_fingerprint.__wrapped__(tmp_path)
    (tmp_path / "a.py").write_text("x\n")
    (tmp_path / "b.py").write_text("y\nz\n")
    assert source_fingerprint.__wrapped__(tmp_path) != before


def test_every_excluded_name_exists() -> None:
    assert [name for name in WITHOUT_NUMBERS if not (PACKAGE / name).exists()] == []


def test_no_numerical_module_uses_an_excluded_one() -> None:
    graph = grimp.build_graph("theory_check", cache_dir=None)
    names = {
        path.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", ".")
        for path in numerical_sources()
    }
    numerical = {name.removesuffix(".__init__") for name in names}
    # These two decide which component is found and how an error reads, not its numbers.
    allowed = numerical | {"theory_check.errors", "theory_check.discovery"}
    wrong = [
        f"{name} imports {imported}"
        for name in sorted(numerical)
        for imported in sorted(graph.find_modules_directly_imported_by(name) - allowed)
    ]
    assert "theory_check.runs.measurements.base" in numerical
    assert wrong == []


def test_the_version_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def cell() -> Cell:
        return Cell("e", "l", (), Values((1.0,), "j"), "line", {"slope": 1.0}, line, 1)

    before = cell().key
    assert cell().key == before
    monkeypatch.setattr(identity, "version_of", lambda name: "another")
    assert cell().key != before


def test_the_version_of_a_familys_library_is_part_of_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cell() -> Cell:
        return Cell("e", "l", (), Values((1.0,), "j"), "line", {"slope": 1.0}, line, 1)

    before = cell().key
    monkeypatch.setattr(sys.modules[line.__module__], "LIBRARY", "numpy", raising=False)
    assert cell().key != before


def test_a_setting_without_a_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no canonical JSON form"):
        plain({"x": object()})
