"""A sweep killed at any moment continues where it was, and its results are the same."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from helpers.fresh import Started
from sweep_toys import CATALOGUE

from theory_check.catalogue import Catalogue
from theory_check.cli import main

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0  # seconds; only a hanging program reaches it


def start(
    command: list[str], folder: Path, output: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    """Start ``command`` as the leader of a process group that its workers belong to."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def forked(program: Path, words: Sequence[str], folder: Path) -> Started:
    """Start a program as ``start`` does, without the time that its libraries take."""
    descriptor, printed = tempfile.mkstemp(prefix="printed-", dir=folder)
    os.close(descriptor)
    return Started(program, words, folder, Path(printed))


def last_line(process: Started) -> str:
    """Return the last line of a program, which must come to a good end."""
    printed = process.printed(timeout=PATIENCE)
    assert process.returncode == 0, printed
    return printed.splitlines()[-1]


def results(store: Path) -> dict[str, Path]:
    return {path.stem: path for path in store.glob("*.parquet")}


def living(group: int) -> list[str]:
    """Return the command lines of the processes of a group, those that only await burial left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # "number (name) state parent group ...", and the name may hold anything.
            state, _, number = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(number) == group and state not in "ZX":
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # ended in the meantime
    return found


def kill_with(process: Started, store: Path, enough: int) -> set[str]:
    """Kill a program and its workers once it stored ``enough`` results; return their keys."""
    deadline = time.monotonic() + PATIENCE
    try:
        while len(results(store)) < enough:
            assert process.poll() is None, "the sweep ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return set(results(store))


def check_resumption(
    words: Sequence[str],
    program: Path,
    catalogue: Catalogue,
    folder: Path,
    *,
    enough: int,
    jobs: int,
    before_kill: Callable[[], None] = lambda: None,
    after_kill: Callable[[], None] = lambda: None,
) -> None:
    """Compare a sweep that was killed and continued with one that was left alone.

    ``words`` are the command and ``program`` the file that runs it with ``catalogue``; ``folder`` is
    where we are. The one left alone runs in this process, cell after cell; the one that is killed in
    two workers, and the one that continues it in ``jobs``. ``before_kill`` and ``after_kill``
    prepare the latter two.
    """

    def begin(jobs: int) -> Started:
        return forked(program, [*words, "--jobs", str(jobs), "--store", "broken"], folder)

    broken = folder / "broken"
    assert main([*words, "--jobs", "1", "--store", "whole"], catalogue) == 0
    expected = results(folder / "whole")

    before_kill()
    kept = kill_with(begin(2), broken, enough)
    assert 0 < len(kept) < len(expected)
    written = {key: results(broken)[key].stat().st_mtime_ns for key in kept}

    after_kill()
    last = last_line(begin(jobs))
    missing = len(expected) - len(kept)
    assert last == f"{len(expected)} cells: {missing} run, {len(kept)} reused, 0 failed"
    found = results(broken)
    assert {key: found[key].stat().st_mtime_ns for key in kept} == written
    assert found.keys() == expected.keys()
    for key, path in expected.items():
        pd.testing.assert_frame_equal(
            pd.read_parquet(found[key]), pd.read_parquet(path), check_exact=True
        )
    assert list(broken.glob(".*")) == []


@pytest.mark.slow
def test_a_killed_sweep_loses_nothing_and_runs_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: Path, text: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    gate = tmp_path / "gate"
    gate.touch()
    (tmp_path / "lines.toml").write_text(text(("[settings]", f'[settings]\ngate = "{gate}"')))
    # With the gate closed the two steep cells cannot end, and the two flat ones do.
    check_resumption(
        ["run", "lines.toml"],
        Path(__file__).with_name("sweep_program.py"),
        CATALOGUE,
        tmp_path,
        enough=2,
        jobs=2,
        before_kill=gate.unlink,
        after_kill=gate.touch,
    )
    runs = journal.read_text().splitlines()
    assert runs.count("0.5 sum") == runs.count("0.5 product") == 2  # once per store


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted in /proc")
def test_a_terminated_sweep_leaves_no_process(tmp_path: Path, text: Callable[..., str]) -> None:
    gate = tmp_path / "gate"  # never opened: the two steep cells would not end by themselves
    (tmp_path / "lines.toml").write_text(text(("[settings]", f'[settings]\ngate = "{gate}"')))
    program = [sys.executable, str(Path(__file__).with_name("sweep_program.py"))]
    store = tmp_path / "store"
    process = start([*program, "run", "lines.toml", "--jobs", "2", "--store", str(store)], tmp_path)
    try:
        deadline = time.monotonic() + PATIENCE
        while len(results(store)) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert len(living(process.pid)) >= 3  # the command and its two workers
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 143
        deadline = time.monotonic() + 10
        while left := living(process.pid):
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert len(results(store)) == 2
