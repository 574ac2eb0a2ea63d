from __future__ import annotations

import io
import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from theory_check.catalogue import Catalogue
from theory_check.runs import load_experiment, progress
from theory_check.runs.progress import FileProgress, SweepProgress, sweep_progress
from theory_check.runs.remaining import Work

WORK = {key: Work("run", 1.0, 10.0) for key in "abcd"}
NAMES = {key: f"sweep/{key}" for key in WORK}
PATIENCE = 30.0
DELAY = progress.DELAY  # before a fixture of these tests sets another


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.01)
    monkeypatch.setattr(progress, "INTERVAL", 0.01)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the sweep sees, to be set."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def until(condition: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        waiting.wait(0.01)
    raise AssertionError("it never came")


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_is_shown_of_what_ends_at_once(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "DELAY", PATIENCE)
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    with sweep_progress(WORK, NAMES, 2) as shown:
        shown.start("a")
        shown.finish("a")
    assert sys.stderr.getvalue() == ""


def test_the_first_line_comes_within_two_seconds() -> None:
    """Of the sweep; what comes before it is announced by the command."""
    assert DELAY + progress.INTERVAL < 2.0


def test_where_a_sweep_stands(tmp_path: Path, clock: list[float]) -> None:
    """One of ten seconds done in 20, one half done after 10, two to come on two workers.

    The half done one says 20 in all: 10 are left. Cells take twice as long as earlier, so the two take
    20 each. The free worker ends the first at 20, the other the second at 10 + 20.
    """
    state = SweepProgress(WORK, tmp_path, 2)
    state.start("a")
    clock[0] += 20
    state.finish("a")
    cell = state.start("b")
    clock[0] += 10
    cell(1, 2)
    found = state.standing()
    assert (found.done, found.running, found.left) == (1, 1, 2)
    assert found.seconds == pytest.approx(30.0)
    assert found.share == pytest.approx(30 / (30 + 10 + 40))
    assert found.cells == "1 done, 1 running, 2 left"
    assert found.time == "about 30 s"
    assert state.seconds_of("a") == pytest.approx(20.0)


def test_a_cell_of_another_process_is_done_and_says_nothing_of_time(tmp_path: Path) -> None:
    state = SweepProgress({"a": Work("run", 1.0), "b": Work("run", 1.0)}, tmp_path, 1)
    state.finish("a")
    found = state.standing()
    assert (found.done, found.running, found.left) == (1, 0, 1)
    assert math.isnan(found.seconds)
    assert found.time == "time not known yet"
    assert math.isnan(state.seconds_of("a"))


def test_what_is_being_written_counts_as_nothing(tmp_path: Path, clock: list[float]) -> None:
    state = SweepProgress(WORK, tmp_path, 1)
    state.start("a")
    clock[0] += 4
    (tmp_path / "a").write_text("")
    found = state.standing()
    assert found.seconds == pytest.approx(6.0 + 3 * 10.0)


def test_a_terminal_has_one_display(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    with sweep_progress(WORK, NAMES, 2) as shown:
        shown.start("b")
        shown.finish("b")
        shown.start("a")
        until(lambda: "1 done, 1 running, 2 left, about" in terminal.getvalue())
        # What is said meanwhile stands above it, and is not read as markup.
        print("theory-check: waiting for [bold]nobody[/bold]", file=sys.stderr)
        until(lambda: "[bold]nobody[/bold]" in terminal.getvalue())
    assert sys.stderr is terminal
    text = terminal.getvalue()
    assert "\x1b[3" not in text  # no colours, which NO_COLOR declines
    assert "1 done, 1 running, 2 left" in text.rsplit("\r", 1)[-1]


def test_elsewhere_each_cell_of_a_short_sweep_has_a_line(
    quick: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(progress, "_tell", lines.append)
    with sweep_progress(WORK, NAMES, 2) as shown:
        until(lambda: len(lines) == 1)
        assert lines[0] == "4 cells, 2 at a time, about 20 s"
        shown.start("a")
        shown.start("b")
        shown.finish("a")
        until(lambda: len(lines) == 2)
        assert lines[1].startswith("sweep/a took ")
        assert "; 1 done, 1 running, 2 left, " in lines[1]
        shown.finish("c")
        until(lambda: len(lines) == 3)
        assert lines[2].startswith("sweep/c run by another process; 2 done, 1 running, 1 left")
    assert capsys.readouterr() == ("", "")


def test_a_long_sweep_has_a_line_now_and_then(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(progress, "_tell", lines.append)
    monkeypatch.setattr(progress, "EVERY_CELL", 3)
    with sweep_progress(WORK, NAMES, 1) as shown:
        until(lambda: len(lines) == 1)
        shown.start("a")
        shown.finish("a")
        time.sleep(0.2)  # twenty looks
        assert len(lines) == 1
        monkeypatch.setattr(progress, "QUIET", 0.0)
        until(lambda: len(lines) >= 2)
    assert lines[1].startswith("1 done, 0 running, 3 left, about ")


def test_a_name_cannot_forge_a_line(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    progress._tell("a\x1b[2J\nb")
    assert capsys.readouterr().err == "theory-check: a\\x1b[2J\\nb\n"


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


def test_cells_of_shipped_experiments_take_what_was_recorded_unless_they_were_run_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half a second per relative cost; of a study's own experiment nothing is recorded."""
    cells = load_experiment(Catalogue.shipped().experiments["schedule-3"]).full[:2]
    monkeypatch.setattr(progress, "usual_seconds", lambda: {"schedule-3": 0.5})
    first, second = cells
    found = progress.work_of({"first": first, "second": second}, {"second": 7.0})
    assert found["first"].seconds == 0.5 * first.measurement.relative_cost()
    assert found["second"].seconds == 7.0
    other = progress.work_of({"own": replace(first, experiment="own")}, {})
    assert math.isnan(other["own"].seconds)


def test_what_was_recorded_is_of_experiments_that_are_shipped() -> None:
    shipped = Catalogue.shipped()
    recorded = progress.usual_seconds()
    assert recorded.keys() == {*shipped.experiments, *shipped.comparisons}
    assert all(seconds > 0 for seconds in recorded.values())
