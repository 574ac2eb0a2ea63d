"""Sweeps on a real Ray cluster; ``make test-ray`` installs what they need."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from dask_processes import wait_until
from test_interruption import ROOT

from theory_check.errors import InvalidArgumentError
from theory_check.runs import Experiment, Store, execute, load_table

pytest.importorskip("ray", reason="Ray is not installed: make test-ray")

Load = Callable[[str], Experiment]
Text = Callable[..., str]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A cluster of two CPUs, at the address that the environment names."""
    port = free_port()
    python_path = os.pathsep.join(map(str, (ROOT, Path(__file__).parent)))
    for name, value in {
        "PYTHONPATH": python_path,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": uuid.uuid4().hex,
        "RAY_ADDRESS": f"127.0.0.1:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    words = ["start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *words, "--block"],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    wait_until(lambda: b"Ray runtime started" in (tmp_path / "log").read_bytes(), "no cluster")
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def command(text: Text, tmp_path: Path, store: Store) -> list[str]:
    """A sweep whose two steep cells are not finished before a file ``gate`` is there."""
    file = tmp_path / "lines.toml"
    file.write_text(text(("[settings]", f'[settings]\ngate = "{tmp_path / "gate"}"')))
    program = [sys.executable, str(Path(__file__).with_name("sweep_program.py")), "run", str(file)]
    return [*program, "--store", str(store.path), "--backend", "ray", "--jobs", "2"]


def started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check_against_this_process(load: Load, tmp_path: Path, store: Store) -> None:
    experiment = load((tmp_path / "lines.toml").read_text())
    alone = Store(tmp_path / "alone")
    execute(experiment.cells(), alone)
    pd.testing.assert_frame_equal(
        load_table(experiment, store), load_table(experiment, alone), check_exact=True
    )
    assert not (store.path / "leases").exists()


def test_two_workers_give_the_bits_of_this_process_though_one_is_killed(
    head: subprocess.Popen[bytes], command: list[str], load: Load, tmp_path: Path, store: Store
) -> None:
    sweep = started(command)
    wait_until(lambda: len(list(tmp_path.glob("gate.*"))) == 2, "no two workers")
    worker = int(next(tmp_path.glob("gate.*")).suffix[1:])
    os.kill(worker, signal.SIGKILL)
    (tmp_path / "gate").touch()
    _, errors = sweep.communicate(timeout=120)
    assert errors.splitlines()[-1] == "4 cells: 4 run, 0 reused, 0 failed", errors
    assert "2 workers at present; --jobs does not apply" in errors
    check_against_this_process(load, tmp_path, store)


def test_a_sweep_without_its_head_is_continued_on_workers_of_this_machine(
    head: subprocess.Popen[bytes],
    command: list[str],
    load: Load,
    tmp_path: Path,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweep = started(command)
    wait_until(lambda: len(list(store.path.glob("*.parquet"))) == 2, "the flat cells are missing")
    os.killpg(head.pid, signal.SIGKILL)
    _, errors = sweep.communicate(timeout=120)
    assert sweep.returncode == 3, errors
    assert "the Ray cluster is gone" in errors
    (tmp_path / "gate").touch()
    monkeypatch.delenv("RAY_ADDRESS")
    _, errors = (continued := started(command)).communicate(timeout=120)
    assert continued.returncode == 0, errors
    assert errors.splitlines()[-1] == "4 cells: 2 run, 2 reused, 0 failed"
    check_against_this_process(load, tmp_path, store)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "ray://127.0.0.1:1"])
def test_an_address_without_a_cluster_is_bad_input(
    load: Load, text: Text, store: Store, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InvalidArgumentError, match=rf"RAY_ADDRESS: received '{address}'; no clus"):
        execute(load(text()).cells(), store, backend="ray")
