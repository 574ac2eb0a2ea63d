"""Sweeps on real Dask clusters: the same bits, and no fault of a cluster costs a result."""

from __future__ import annotations

import io
import platform
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import sweep_toys
from dask_processes import ROOT, DaskProcesses, wait_until

from theory_check.cli import main
from theory_check.errors import InvalidArgumentError
from theory_check.runs import Experiment, Store, execute, load_table
from theory_check.runs.backends import dask_cluster
from theory_check.runs.backends.local import ClusterLostError, WorkerMismatchError

Load = Callable[[str], Experiment]
Text = Callable[..., str]

ADDRESS = "DASK_SCHEDULER_ADDRESS"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    processes = DaskProcesses(tmp_path_factory.mktemp("cluster"))
    yield processes
    processes.stop()


@pytest.fixture
def gated(text: Text, load: Load, tmp_path: Path) -> Experiment:
    """Of the four cells, the two steep ones are not finished before a file ``gate`` is there."""
    return load(text(("[settings]", f'[settings]\ngate = "{tmp_path / "gate"}"')))


@contextmanager
def meanwhile(condition: Callable[[], bool], act: Callable[[], None]) -> Iterator[None]:
    """Do something in the middle of what the ``with`` block does."""

    def watch() -> None:
        try:
            wait_until(condition, "the middle of the sweep was not reached")
        finally:
            act()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def check_against_this_process(experiment: Experiment, store: Store, folder: Path) -> None:
    alone = Store(folder / "alone")
    execute(experiment.cells(), alone)
    pd.testing.assert_frame_equal(
        load_table(experiment, store), load_table(experiment, alone), check_exact=True
    )


@pytest.mark.slow
def test_a_cluster_gives_the_bits_of_this_process(
    cluster: DaskProcesses,
    load: Load,
    text: Text,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where somebody watches, whose folder for progress no other machine has."""
    address = cluster.start(2)
    monkeypatch.setenv(ADDRESS, address)
    monkeypatch.setattr(sys, "stderr", Terminal())
    experiment = load(text())
    report = execute(experiment.cells(), store, jobs=7, backend="dask")
    assert str(report) == "4 cells: 4 run, 0 reused, 0 failed"
    assert f"dask cluster at {address}, " in sys.stderr.getvalue()
    assert "--jobs does not apply" in sys.stderr.getvalue()
    check_against_this_process(experiment, store, tmp_path)


@pytest.mark.slow
def test_a_sweep_survives_a_killed_worker(
    cluster: DaskProcesses,
    gated: Experiment,
    store: Store,
    journal: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ADDRESS, cluster.start(2))

    def kill() -> None:
        cluster.workers[0].kill()
        cluster.workers[0].wait()
        (tmp_path / "gate").touch()

    # Each worker has a steep cell, and keeps it.
    with meanwhile(lambda: journal.read_text().count("4.0") == 2, kill):
        report = execute(gated.cells(), store, backend="dask")
    assert str(report) == "4 cells: 4 run, 0 reused, 0 failed"
    assert journal.read_text().count("4.0") == 3
    check_against_this_process(gated, store, tmp_path)


@pytest.mark.slow
def test_a_sweep_without_its_scheduler_is_continued_on_another(
    cluster: DaskProcesses,
    gated: Experiment,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ADDRESS, cluster.start(2))
    monkeypatch.setattr(dask_cluster, "TIMEOUT", 5.0)
    assert cluster.scheduler is not None
    stored = store.path.glob
    with (
        meanwhile(lambda: len(list(stored("*.parquet"))) == 2, cluster.scheduler.kill),
        pytest.raises(ClusterLostError, match=r"cluster is gone .* finished cells are kept"),
    ):
        execute(gated.cells(), store, backend="dask")
    assert not list(stored("leases"))
    (tmp_path / "gate").touch()
    monkeypatch.setenv(ADDRESS, cluster.start(1))
    report = execute(gated.cells(), store, backend="dask")
    assert str(report) == "4 cells: 2 run, 2 reused, 0 failed"
    check_against_this_process(gated, store, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("other", ["a line more", "none"])
def test_a_worker_with_other_source_stores_nothing(
    load: Load,
    text: Text,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    other: str,
) -> None:
    package = tmp_path / "node" / "theory_check"
    if other == "none":
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise ModuleNotFoundError('not here')")
        reason = rf"the worker on {platform.node()} \(process \d+\) cannot load theory-check"
    else:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "theory_check", package, ignore=ignored)
        # One that every cell reaches: what a cell cannot reach may differ.
        with (package / "errors.py").open("a") as file:
            file.write("\nEXTRA = 1\n")
        reason = (
            rf"the worker on {platform.node()} \(process \d+\) differs: "
            r"the source of errors.py is not the sender's"
        )
    node = DaskProcesses(tmp_path)
    try:
        monkeypatch.setenv(ADDRESS, node.start(1, path=package.parent))
        with pytest.raises(WorkerMismatchError, match=rf"{reason}.*nothing of it is stored"):
            execute(load(text()).cells(), store, backend="dask")
    finally:
        node.stop()
    assert list(store.path.iterdir()) == []


@pytest.mark.slow
def test_without_an_address_there_are_as_many_workers_as_jobs(
    load: Load, text: Text, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ADDRESS, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    experiment = load(text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_toys.Values, "measure", lambda *_: pytest.fail("run in the client"))
        report = execute(experiment.cells(), store, jobs=2, backend="dask")
    assert str(report) == "4 cells: 4 run, 0 reused, 0 failed"
    check_against_this_process(experiment, store, tmp_path)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "tcp://", "a://b:1"])
def test_an_address_without_a_scheduler_is_bad_input(
    load: Load, text: Text, store: Store, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS, address)
    monkeypatch.setattr(dask_cluster, "TIMEOUT", 1.0)
    with pytest.raises(InvalidArgumentError, match=rf"{ADDRESS}: received '{address}'; no sched"):
        execute(load(text()).cells(), store, backend="dask")


@pytest.mark.slow
def test_the_command_says_so_with_exit_code_2(
    load: Load,
    text: Text,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load(text())
    monkeypatch.setenv(ADDRESS, "nonsense")
    words = ["run", str(tmp_path / "lines.toml"), "--store", str(store.path), "--backend", "dask"]
    assert main(words, sweep_toys.CATALOGUE) == 2
    assert f"error: {ADDRESS}: received 'nonsense'; " in capsys.readouterr().err
