from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import pytest

from theory_check.runs import progress
from theory_check.runs.progress import FileProgress, ProgressBar, progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_shown_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(3) as bar:
        assert bar.of_cell("a") is None
        bar.finish("a")
        assert bar.finished == 1
    assert capsys.readouterr() == ("", "")


def test_nothing_is_shown_within_the_first_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar(1) as bar:
        bar.finish("a")
    assert sys.stderr.getvalue() == ""


def test_a_long_sweep_shows_the_parts_of_running_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(progress, "DELAY", 0.01)
    monkeypatch.setattr(progress, "INTERVAL", 0.01)
    with progress_bar(4) as bar:
        cell = bar.of_cell("a")
        assert cell is not None
        bar.finish("b")
        cell(1, 2)
        deadline = time.monotonic() + 30
        while " 38% " not in sys.stderr.getvalue():  # (1 + 1/2) / 4, rounded
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert "1/4 cells [00:00<" in sys.stderr.getvalue()


def test_position_counts_finished_cells_once(tmp_path: Path) -> None:
    bar = ProgressBar(2, tmp_path)
    cell = FileProgress(tmp_path / "a")
    cell(3, 4)
    assert bar.position() == 0.75
    bar.finish("a")
    assert bar.position() == 1.0
    (tmp_path / "b").write_text("")  # caught while it is being written
    assert bar.position() == 1.0


def test_progress_is_written_at_a_limited_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([10.0, 10.1, 10.4, 10.6])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    cell = FileProgress(tmp_path / "a")
    seen = []
    for done in range(1, 5):
        cell(done, 4)
        seen.append(float((tmp_path / "a").read_text()))
    assert seen == [0.25, 0.25, 0.25, 1.0]


def test_progress_whose_folder_is_gone_costs_nothing(tmp_path: Path) -> None:
    FileProgress(tmp_path / "on another machine" / "a")(1, 2)
