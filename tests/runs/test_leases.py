"""Several processes share a store: each cell is run once, and no lease outlives its holder."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from dask_processes import wait_until
from helpers.fresh import Started
from test_interruption import forked, last_line

from theory_check.errors import StoreError
from theory_check.runs import Experiment, Store, execute
from theory_check.runs.leases import Leases
from theory_check.runs.processes import ended, signatory, signature

Load = Callable[[str], Experiment]
Text = Callable[..., str]

ALL = ["0.5 product", "0.5 sum", "4.0 product", "4.0 sum"]


@pytest.fixture
def gated(text: Text, tmp_path: Path) -> str:
    return text(("[settings]", f'[settings]\ngate = "{tmp_path / "gate"}"'))


@pytest.fixture
def two(store: Store) -> Iterator[tuple[Leases, Leases]]:
    """Two holders, as of two machines: the second loses patience quickly."""
    store.prepare()
    with ExitStack() as stack:
        first, second = Leases(store, beat=0.02), Leases(store, patience=0.5)
        yield stack.enter_context(first), stack.enter_context(second)
    assert list(store.path.iterdir()) == []


def sweep(folder: Path, store: Store) -> Started:
    words = ["run", "lines.toml", "--jobs", "1", "--store", str(store.path)]
    return forked(Path(__file__).with_name("sweep_program.py"), words, folder)


@pytest.mark.slow
def test_two_processes_at_once_run_every_cell_once(
    gated: str, load: Load, store: Store, journal: Path, tmp_path: Path
) -> None:
    load(gated)
    both = [sweep(tmp_path, store) for _ in range(2)]
    # The gate is closed: each process is in one of the steep cells, which the other leaves alone.
    wait_until(lambda: len(list(tmp_path.glob("gate.*"))) == 2, "one process runs nothing")
    (tmp_path / "gate").touch()
    counts = [[int(word) for word in last_line(each).split() if word.isdigit()] for each in both]
    assert sorted(journal.read_text().splitlines()) == ALL
    assert [sum(count) for count in counts] == [8, 8]  # "4 cells: m run, 4 - m reused, 0 failed"
    assert counts[0][1] + counts[1][1] == 4
    assert len(list(store.path.iterdir())) == 4


@pytest.mark.slow
def test_what_a_killed_process_was_at_is_taken_over(
    gated: str, load: Load, store: Store, journal: Path, tmp_path: Path
) -> None:
    cells = load(gated).cells()
    killed = sweep(tmp_path, store)
    wait_until(lambda: list(tmp_path.glob("gate.*")), "no steep cell is run")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert len(list((store.path / "leases").iterdir())) == 1
    (tmp_path / "gate").touch()
    assert len(execute(cells, store).failed) == 0
    assert len(journal.read_text().splitlines()) == 5  # the one in which it was killed, twice
    assert len(list(store.path.iterdir())) == 4


def test_a_result_that_appears_is_waited_for_and_reused(
    load: Load, text: Text, store: Store, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = load(text()).cells()
    store.prepare()
    with Leases(store) as other:
        assert other.take(cells[0].key, None)

        def finish() -> None:
            wait_until(lambda: len(journal.read_text().splitlines()) == 3, "the others are not run")
            time.sleep(1.0)
            elsewhere = Store(store.path.with_name("elsewhere"))
            execute(cells[:1], elsewhere)
            elsewhere.result_path(cells[0].key).replace(store.result_path(cells[0].key))
            other.give_back(cells[0].key)

        thread = threading.Thread(target=finish)
        thread.start()
        report = execute(cells, store)
        thread.join()
    assert str(report) == "4 cells: 3 run, 1 reused, 0 failed"
    assert report.reused == (cells[0],)
    assert (
        f"waiting for 1 cells that are run by process {os.getpid()} on" in capsys.readouterr().err
    )
    assert len(list(store.path.iterdir())) == 4


def test_a_failure_elsewhere_is_a_failure_here(
    load: Load, text: Text, store: Store, journal: Path
) -> None:
    """Also where failures are tried again: the record is a new one."""
    (cell,) = load(text()).cells()[:1]
    store.prepare()
    store.write_error(cell, "earlier", "")
    with Leases(store) as other:
        assert other.take(cell.key, None)

        def fail() -> None:
            time.sleep(0.3)
            store.write_error(cell, "it went wrong there", "")
            other.give_back(cell.key)

        thread = threading.Thread(target=fail)
        thread.start()
        report = execute([cell], store, retry_failed=True)
        thread.join()
    assert [failure.message for failure in report.failed] == ["it went wrong there"]
    assert journal.read_text() == ""


def test_a_lease_is_one_process_s_until_it_is_given_back(two: tuple[Leases, Leases]) -> None:
    first, second = two
    assert first.take("a", None)
    for _ in range(5):  # longer than its patience, in which the holder gives signs of life
        assert not second.take("a", second.taken()["a"])
        time.sleep(0.2)
    assert not second.take("a", None)
    first.give_back("a")
    assert second.take("a", None)


def test_a_lease_without_a_sign_of_life_is_taken_over_by_one(
    store: Store, two: tuple[Leases, Leases]
) -> None:
    """Whatever the clocks of the two machines say."""
    first, second = two
    lease = store.path / "leases" / "a.1"
    lease.parent.mkdir()
    lease.write_text(json.dumps({"machine": "another", "host": "far", "process": 1}))
    os.utime(lease, (4e9, 4e9))  # written by a clock that is decades ahead
    assert not second.take("a", 1)
    assert second.holder("a", 1) == "process 1 on far"
    time.sleep(0.7)
    assert second.take("a", 1)
    assert not first.take("a", 1)
    assert first.taken() == {"a": 2}


def test_a_lease_of_a_dead_process_of_this_machine_is_taken_over_at_once(
    store: Store, two: tuple[Leases, Leases]
) -> None:
    record = json.loads(signature())
    assert not ended(json.dumps(record))
    record["process"] = 2**22 + 1  # more than Linux has
    assert ended(json.dumps(record))
    assert not ended(json.dumps({**record, "machine": "another"}))
    lease = store.path / "leases" / "a.1"
    lease.parent.mkdir()
    lease.write_text(json.dumps(record))
    assert two[0].take("a", 1)


def test_a_lease_whose_holder_was_killed_before_it_signed_expires_after_a_beat(
    store: Store, two: tuple[Leases, Leases]
) -> None:
    """Nobody can tell whose it is, and a living holder would have signed by then."""
    first, second = two  # with beats of 0.02 and 10 seconds
    lease = store.path / "leases" / "a.1"
    lease.parent.mkdir()
    lease.touch()
    assert not first.take("a", 1)
    assert not second.take("a", 1)
    time.sleep(0.1)
    assert not second.take("a", 1)
    assert first.take("a", 1)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"machine": 1}'])
def test_an_unreadable_signature_is_nobody_s_end(text: str) -> None:
    assert not ended(text)
    assert signatory(text) == "another process"


def test_the_lease_of_a_cell_with_a_result_is_removed(load: Load, text: Text, store: Store) -> None:
    (cell,) = load(text()).cells()[:1]
    execute([cell], store)
    (store.path / "leases").mkdir()
    (store.path / "leases" / f"{cell.key}.2").touch()
    assert execute([cell], store).reused == (cell,)
    assert not (store.path / "leases").exists()


def test_a_store_without_room_for_a_lease_is_named(store: Store) -> None:
    store.prepare()
    (store.path / "leases").touch()
    with Leases(store) as leases, pytest.raises(StoreError, match="cannot write to"):
        leases.take("a", None)
