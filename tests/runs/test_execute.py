from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sweep_toys
import torch
from sweep_toys import Careless, line

from theory_check.errors import InvalidArgumentError, StoreError
from theory_check.problems.spec import ProblemSpec
from theory_check.runs import Cell, Experiment, Store, execute, load_table
from theory_check.runs.store import _is_as_written

Load = Callable[[str], Experiment]
Text = Callable[..., str]


def executions(journal: Path) -> list[str]:
    return sorted(journal.read_text().splitlines())


ALL = ["0.5 product", "0.5 sum", "4.0 product", "4.0 sum"]


def test_every_cell_runs_once_and_is_reused(
    load: Load, text: Text, store: Store, journal: Path
) -> None:
    cells = load(text()).cells()
    first = execute(cells, store)
    assert str(first) == "4 cells: 4 run, 0 reused, 0 failed"
    assert executions(journal) == ALL
    assert str(execute(cells, store)) == "4 cells: 0 run, 4 reused, 0 failed"
    assert executions(journal) == ALL


def test_equal_cells_run_once(load: Load, text: Text, store: Store, journal: Path) -> None:
    cells = load(text()).cells()
    assert str(execute([*cells, *cells], store)) == "4 cells: 4 run, 0 reused, 0 failed"
    assert executions(journal) == ALL


def test_only_what_is_missing_runs(load: Load, text: Text, store: Store, journal: Path) -> None:
    cells = load(text()).cells()
    execute(cells[:3], store)
    report = execute(cells, store)
    assert report.executed == (cells[3],)
    assert executions(journal) == ALL


def test_a_failure_is_recorded_and_not_a_result(
    load: Load, text: Text, store: Store, journal: Path, failing: Path
) -> None:
    cells = load(text()).cells()
    execute(cells[:1], store)
    failing.touch()
    report = execute(cells[:2], store)
    assert str(report) == "2 cells: 0 run, 1 reused, 1 failed"
    (failure,) = report.failed
    assert failure.message == "RuntimeError: the file is there"
    record = json.loads(store.error_path(cells[1].key).read_text())
    assert "in measure" in record["traceback"]
    assert not store.has(cells[1].key)

    # Neither run again nor forgotten without being asked, even once it would succeed.
    failing.unlink()
    before = executions(journal)
    again = execute(cells[:2], store)
    assert str(again) == "2 cells: 0 run, 1 reused, 1 failed"
    assert again.failed[0].message == failure.message
    assert executions(journal) == before

    retried = execute(cells[:2], store, retry_failed=True)
    assert retried.executed == (cells[1],)
    assert not store.error_path(cells[1].key).exists()
    assert len(executions(journal)) == len(before) + 1


def test_the_other_cells_survive_a_failure(load: Load, text: Text, store: Store) -> None:
    good = load(text()).cells()[0]
    bad = Cell(
        "e", "bad", (), Careless(), ProblemSpec("line", {"slope": 1.0, "limit": None}, line), 2
    )
    report = execute([bad, good], store)
    assert report.executed == (good,)
    assert report.failed[0].message == "ValueError: rows for seeds [0]; expected [0, 1]"


@pytest.mark.slow
def test_the_number_of_jobs_does_not_change_a_bit(
    load: Load, text: Text, tmp_path: Path, journal: Path
) -> None:
    experiment = load(text())
    threads = torch.get_num_threads()
    tables = []
    for jobs in (1, 2):
        store = Store(tmp_path / f"jobs{jobs}")
        assert len(execute(experiment.cells(), store, jobs=jobs).executed) == 4
        tables.append(load_table(experiment, store))
    assert torch.get_num_threads() == threads
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert executions(journal) == sorted(ALL * 2)


def test_a_failure_in_a_worker_comes_back(
    load: Load, text: Text, store: Store, failing: Path
) -> None:
    failing.touch()
    report = execute(load(text()).cells(), store, jobs=2)
    assert str(report) == "4 cells: 0 run, 0 reused, 4 failed"
    assert {failure.message for failure in report.failed} == {"RuntimeError: the file is there"}


def test_the_table_has_the_label_and_the_grid(load: Load, text: Text, store: Store) -> None:
    experiment = load(text())
    execute(experiment.cells(), store)
    table = load_table(experiment, store)
    assert list(table.columns) == ["seed", "problem", "method", "x", "y"]
    assert len(table) == 4 * 3 * 2
    counts = table.groupby(["problem", "method"]).size()
    assert counts.to_dict() == {
        (problem, method): 6 for problem in ("flat", "steep") for method in ("product", "sum")
    }
    # The noise of a seed is the same in every cell of a problem; two problems share no seed.
    wide = table.pivot_table(index=["problem", "seed", "x"], columns="method", values="y")
    assert (wide["sum"] == wide["product"]).all()
    seeds = {name: set(part["seed"]) for name, part in table.groupby("problem")}
    assert [len(found) for found in seeds.values()] == [3, 3]
    assert seeds["flat"].isdisjoint(seeds["steep"])


def test_an_incomplete_table_is_refused(load: Load, text: Text, store: Store) -> None:
    experiment = load(text())
    execute(experiment.cells()[:1], store)
    with pytest.raises(StoreError, match=r"lines: 3 of 4 cells have no result .* theory-check run"):
        load_table(experiment, store)


def test_quick_results_live_beside_the_full_ones(load: Load, text: Text, store: Store) -> None:
    experiment = load(text())
    execute(experiment.cells(quick=True), store)
    assert len(load_table(experiment, store, quick=True)) == 2
    assert str(execute(experiment.cells(), store)) == "4 cells: 4 run, 0 reused, 0 failed"


def test_a_store_that_cannot_be_written_stops_before_any_work(
    load: Load, text: Text, tmp_path: Path, journal: Path
) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "store")
    with pytest.raises(StoreError, match=r"cannot write to .*file/store .*--store") as caught:
        execute(load(text()).cells(), store)
    assert isinstance(caught.value, StoreError)
    assert executions(journal) == []


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "foreign"])
def test_a_damaged_result_is_set_aside_and_run_again(
    load: Load,
    text: Text,
    store: Store,
    journal: Path,
    capsys: pytest.CaptureFixture[str],
    damage: str,
) -> None:
    experiment = load(text())
    cells = experiment.cells()
    execute(cells, store)
    whole = load_table(experiment, store)
    path = store.result_path(cells[0].key)
    content = path.read_bytes()
    # In the middle of a number: the file still reads as Parquet, with another number in it.
    position = content.index(struct.pack("<d", whole["y"].iloc[0])) + 4
    path.write_bytes(
        {
            "empty": b"",
            "truncated": content[: len(content) // 2],
            "flipped": content[:position]
            + bytes([content[position] ^ 1])
            + content[position + 1 :],
            "foreign": store.result_path(cells[1].key).read_bytes(),
        }[damage]
    )
    report = execute(cells, store)
    assert report.executed == (cells[0],)
    assert path.with_name(f"{path.name}.corrupt").exists()
    warning = capsys.readouterr().err
    assert warning.startswith(f"theory-check: warning: {path} cannot be read")
    assert warning.count("\n") == 1
    assert len(executions(journal)) == 5
    pd.testing.assert_frame_equal(load_table(experiment, store), whole, check_exact=True)


def test_no_flipped_bit_of_a_result_goes_unnoticed(load: Load, text: Text, store: Store) -> None:
    """20 000 random bits of one file; page checksums cover less than half of it."""
    cell = load(text()).cells()[0]
    execute([cell], store)
    content = store.result_path(cell.key).read_bytes()
    assert _is_as_written(content)
    generator = np.random.default_rng(0)
    for place in generator.integers(8 * len(content), size=20_000):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << (place % 8)
        assert not _is_as_written(bytes(damaged)), place


@pytest.mark.parametrize("change", ["half of the rows", "no rows", "a column less", "other names"])
def test_a_table_that_somebody_else_wrote_is_no_result(
    load: Load, text: Text, store: Store, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    cell = load(text()).cells()[0]
    execute([cell], store)
    table = store.read(cell.key)
    assert table is not None
    changed = {
        "half of the rows": lambda: table.slice(0, len(table) // 2),
        "no rows": lambda: table.slice(0, 0),
        "a column less": lambda: table.drop_columns(["y"]),
        "other names": lambda: table.rename_columns([f"{name}_" for name in table.column_names]),
    }[change]()
    pq.write_table(changed, store.result_path(cell.key))
    assert store.read(cell.key) is None
    assert "is not as it was written" in capsys.readouterr().err


def test_what_is_no_file_is_named_and_not_waited_for(load: Load, text: Text, store: Store) -> None:
    first, second = load(text()).cells()[:2]
    store.prepare()
    store.result_path(first.key).mkdir()
    os.mkfifo(store.result_path(second.key))
    for cell in (first, second):
        with pytest.raises(StoreError, match="is not a file; move it away"):
            store.read(cell.key)


def test_a_record_of_failure_that_is_a_folder_does_not_cost_the_result(
    load: Load, text: Text, store: Store
) -> None:
    cell = load(text()).cells()[0]
    store.prepare()
    store.error_path(cell.key).mkdir()
    report = execute([cell], store, retry_failed=True)
    assert report.executed == (cell,)
    assert store.has(cell.key)
    assert execute([cell], store).reused == (cell,)


def test_a_number_beyond_64_bits_is_the_failure_of_its_cell(
    load: Load, text: Text, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not the end of the sweep."""
    cells = load(text()).cells()
    plain = sweep_toys.Values.measure

    def measure(self: object, problem: object, seeds: object, progress: object) -> pd.DataFrame:
        return plain(self, problem, seeds, progress).assign(drawn=10**20)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep_toys.Values, "measure", measure)
    report = execute(cells, store)
    assert [failure.cell.key for failure in report.failed] == [cell.key for cell in cells]
    assert "its table cannot be stored" in str(report.failed[0])
    assert "its table cannot be stored" in str(store.read_error(cells[0].key))


def test_what_is_no_path_is_no_store() -> None:
    with pytest.raises(StoreError, match="pass the path of a directory"):
        Store("with\0nul")


def test_a_store_may_have_any_name_that_the_system_takes(
    load: Load, text: Text, tmp_path: Path
) -> None:
    """A name that is not UTF-8: everything was set aside as corrupt, and computed each time."""
    store = Store(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    cells = load(text()).cells()
    execute(cells, store)
    assert execute(cells, store).reused == tuple(cells)


def test_two_processes_may_find_the_same_damage(
    load: Load, text: Text, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = load(text()).cells()[0]
    execute([cell], store)
    path = store.result_path(cell.key)
    path.write_bytes(b"damaged")
    plain = Path.replace

    def replaced_before(self: Path, target: Path) -> Path:
        plain(self, target)
        return plain(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replaced_before)
        assert store.read(cell.key) is None
    assert store.read(cell.key) is None


def test_a_result_that_the_system_does_not_read_is_kept(
    load: Load, text: Text, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = load(text()).cells()
    execute(cells, store)
    path = store.result_path(cells[0].key)
    content = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(StoreError) as caught:
            store.read(cells[0].key)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert f"cannot read {path} (" in str(caught.value)
    assert "Too many open files" in str(caught.value)
    assert "run the same command again" in str(caught.value)
    assert path.read_bytes() == content
    assert not list(store.path.glob("*.corrupt"))
    assert store.has(cells[0].key)
    assert capsys.readouterr().err == ""


def test_a_result_carries_its_specification(load: Load, text: Text, store: Store) -> None:
    cell = load(text()).cells()[1]
    execute([cell], store)
    table = store.read(cell.key)
    assert table is not None
    metadata = json.loads(table.schema.metadata[b"theory_check"])
    assert metadata["key"] == cell.key
    assert metadata["cell"]["parameters"] == {"slope": 4.0, "offset": 1, "limit": None}
    assert metadata["cell"]["settings"]["repeats"] == 1
    assert metadata["cell"]["seeds"] == 3
    assert metadata["seconds"] >= 0
    assert metadata["versions"]["torch"] == importlib.metadata.version("torch")


def test_a_result_appears_complete_and_flushed(
    load: Load, text: Text, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = load(text()).cells()[0]
    flushed = []

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        flushed.append((status.st_ino, status.st_size, store.result_path(cell.key).exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    execute([cell], store)
    final = store.result_path(cell.key).stat()
    # First the whole file under another name, then, renamed, the directory that lists it.
    assert flushed[0] == (final.st_ino, final.st_size, False)
    assert flushed[1][0] == store.path.stat().st_ino
    assert flushed[1][2]


def test_a_full_disk_leaves_no_partial_result(
    load: Load, text: Text, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match="No space left on device"):
        execute(load(text()).cells(), store)
    assert list(store.path.iterdir()) == []


def test_leftovers_of_killed_processes_are_removed(store: Store) -> None:
    store.prepare()
    mine = store._partial("a.parquet")
    mine.touch()
    # Process numbers stay below 2**22 on Linux, so that nobody has this one.
    dead = mine.with_name(mine.name.replace(f".{os.getpid()}.", f".{2**22 + 1}."))
    dead.touch()
    store.prepare()
    assert list(store.path.iterdir()) == [mine]


@pytest.mark.parametrize(
    ("argument", "value", "remedy"),
    [("jobs", 0, "at least 1"), ("backend", "lok", "did you mean 'loky'")],
)
def test_bad_options_are_refused(store: Store, argument: str, value: object, remedy: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{argument}: .*{remedy}"):
        execute([], store, **{argument: value})


def test_longest_cells_run_first(
    load: Load, text: Text, store: Store, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = load(text()).cells()
    kind = type(cells[0].measurement)
    monkeypatch.setattr(kind, "relative_cost", lambda self: float(self.method == "product"))
    execute(cells, store)
    methods = [entry.split()[1] for entry in journal.read_text().splitlines()]
    assert methods == ["product", "product", "sum", "sum"]
