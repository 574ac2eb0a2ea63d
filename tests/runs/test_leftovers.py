"""What a killed sweep leaves on its machine: no worker, and nothing that the next does not remove."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from dask_processes import wait_until
from test_interruption import start

from theory_check.runs import processes as leftovers
from theory_check.runs.processes import alive, remove_leftovers, signature, workspace

Text = Callable[..., str]

DEAD = 2**22 + 1  # Linux numbers its processes below


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the tests look into /proc")
def test_workers_end_with_the_process_that_feeds_them(
    temporary: Path, tmp_path: Path, text: Text
) -> None:
    gate = tmp_path / "gate"  # never opened: the two steep cells would not end by themselves
    (tmp_path / "lines.toml").write_text(text(("[settings]", f'[settings]\ngate = "{gate}"')))
    program = [sys.executable, str(Path(__file__).with_name("sweep_program.py"))]
    store = tmp_path / "store"
    process = start([*program, "run", "lines.toml", "--jobs", "2", "--store", str(store)], tmp_path)
    try:
        wait_until(lambda: len(list(tmp_path.glob("gate.*"))) == 2, "no two workers")
        workers = [int(path.suffix[1:]) for path in tmp_path.glob("gate.*")]
        assert all(map(alive, workers))
        # That of the workers, and that in which their progress stands.
        assert len(list(temporary.glob("theory-check-*"))) == 2
        process.kill()  # alone
        process.wait()
        wait_until(lambda: not any(map(alive, workers)), "a worker goes on")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    remove_leftovers()
    assert not list(temporary.glob("theory-check-*"))


def test_only_what_dead_processes_of_this_machine_left_is_removed(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    semaphores = tmp_path / "shm"
    semaphores.mkdir()
    monkeypatch.setattr(leftovers, "SEMAPHORES", semaphores)
    record = json.loads(signature())
    for name, changes in {
        "theory-check-dead": {"process": DEAD},
        "theory-check-far": {"process": DEAD, "machine": "another"},
        "theory-check-living": {},
        "somebody-else": {"process": DEAD},
    }.items():
        (temporary / name).mkdir()
        (temporary / name / "owner.json").write_text(json.dumps({**record, **changes}))
    (temporary / "theory-check-unsigned").mkdir()
    for process in (DEAD, os.getpid(), DEAD + 1):
        (semaphores / f"sem.loky-{process}-abc").touch()
    with workspace() as own:
        found = {path.name for path in temporary.iterdir()}
        assert found == {
            own.name,
            "theory-check-far",
            "theory-check-living",
            "theory-check-unsigned",
            "somebody-else",
        }
        left = {path.name for path in semaphores.iterdir()}
        assert left == {f"sem.loky-{process}-abc" for process in (os.getpid(), DEAD + 1)}
    assert not own.exists()
