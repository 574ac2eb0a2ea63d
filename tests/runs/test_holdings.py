from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from theory_check.errors import StoreError
from theory_check.runs import Cell, Experiment, Store, execute, identity, load_table
from theory_check.runs import holdings as module
from theory_check.runs import store as store_module
from theory_check.runs.holdings import (
    announce,
    holdings,
    measured_seconds,
    of_other_source,
    prune,
    results_in_words,
    stored_results,
    unreached,
)
from theory_check.runs.leases import Leases
from theory_check.runs.remaining import Work

Load = Callable[[str], Experiment]
Text = Callable[..., str]
Capture = pytest.CaptureFixture[str]

# The package passes on a function of the same name.
execution = sys.modules["theory_check.runs.execute"]

FRAME = pd.DataFrame({"seed": [1], "x": [1.0], "y": [-5.0]})


def of_source(cell: Cell, **changed: str) -> Cell:
    """Return a cell as it was when some of its source files had other digests."""
    other = replace(cell)
    files = {name.replace("__", "/") + ".py": digest for name, digest in changed.items()}
    other.__dict__["sources"] = {**cell.sources, **files}
    assert other.key != cell.key
    return other


@pytest.fixture
def cells(load: Load, text: Text) -> tuple[Cell, ...]:
    return load(text()).full


def test_the_latest_result_of_the_same_specification_is_found(
    cells: tuple[Cell, ...], store: Store
) -> None:
    store.prepare()
    first, second = of_source(cells[0], errors="1"), of_source(cells[0], errors="2")
    for seconds, cell in ((100, first), (200, second)):
        store.write(cell, FRAME, 0.1)
        os.utime(store.result_path(cell.key), (seconds, seconds))
    found = of_other_source(store, cells)
    assert {key: result.key for key, result in found.items()} == {cells[0].key: second.key}
    os.utime(store.result_path(first.key), (300, 300))
    assert of_other_source(store, cells)[cells[0].key].key == first.key
    # One with other settings, seeds or problem is none of theirs.
    assert of_other_source(store, cells[1:]) == {}
    assert of_other_source(store, [replace(cells[0], first_seed=7)]) == {}


def test_what_cells_took_is_known_whatever_their_source(
    cells: tuple[Cell, ...], store: Store, capsys: Capture
) -> None:
    """The latest time of each specification; nothing of cells that never ran."""
    store.prepare()
    old, new = of_source(cells[0], errors="1"), cells[0]
    for when, cell, seconds in ((100, old, 7.0), (200, new, 3.5)):
        store.write(cell, FRAME, seconds)
        os.utime(store.result_path(cell.key), (when, when))
    assert measured_seconds(store, cells) == {cells[0].key: 3.5}
    os.utime(store.result_path(old.key), (300, 300))
    assert measured_seconds(store, cells) == {cells[0].key: 7.0}
    # Who is about to run cells again is told, and learns what they took.
    store.write(of_source(cells[1], errors="1"), FRAME, 2.0)
    assert announce(store, cells) == {cells[1].key: 2.0}
    assert "1 result of other source" in capsys.readouterr().err


def test_a_sweep_expects_what_cells_took(
    cells: tuple[Cell, ...], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.prepare()
    store.write(of_source(cells[1], errors="1"), FRAME, 2.0)
    seen: list[dict[str, Work]] = []
    original = execution.sweep_progress

    def listen(work, names, workers):  # type: ignore[no-untyped-def]
        seen.append(dict(work))
        assert names == {cell.key: str(cell) for cell in cells}
        return original(work, names, workers)

    monkeypatch.setattr(execution, "sweep_progress", listen)
    execute(cells, store)
    (work,) = seen
    assert work[cells[1].key] == Work("values", 1.0, 2.0)
    assert {key for key, each in work.items() if math.isnan(each.seconds)} == {
        cell.key for cell in cells if cell != cells[1]
    }


def test_what_changed_is_told_by_groups(cells: tuple[Cell, ...], store: Store) -> None:
    store.prepare()
    changes = [{"solvers__parl": "old"}] * 2 + [{"errors": "old", "arrays": "old"}]
    for cell, changed in zip(cells, changes, strict=False):
        store.write(of_source(cell, **changed), FRAME, 0.1)
    found = of_other_source(store, cells)
    two = "2 results of other source: solvers/parl.py changed"
    assert results_in_words(cells[:2], found) == two
    assert results_in_words([*cells[:2], cells[0], cells[3]], found) == two
    assert results_in_words(cells[2:], found) == (
        "1 result of other source: arrays.py and errors.py changed"
    )
    assert results_in_words(cells, found) == (
        "3 results of other source: 2, solvers/parl.py changed; 1, arrays.py and errors.py changed"
    )
    assert results_in_words(cells[3:], found) == results_in_words((), found) == ""


def test_of_many_files_the_number_is_told(cells: tuple[Cell, ...], store: Store) -> None:
    store.prepare()
    store.write(of_source(cells[0], a="", b="", c="", d="", e=""), FRAME, 0.1)
    assert results_in_words(cells, of_other_source(store, cells)) == (
        "1 result of other source: a.py, b.py and 3 other files changed"
    )


def test_another_version_is_told_as_one(
    load: Load, text: Text, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.prepare()
    with monkeypatch.context() as patch:
        for user in (identity, store_module):
            patch.setattr(user, "version_of", lambda name: "0.0.9")
        store.write(load(text()).full[0], FRAME, 0.1)
    cells = load(text()).full
    monkeypatch.setattr(module, "version_of", lambda name: "0.1.0")
    assert results_in_words(cells, of_other_source(store, cells)) == (
        "1 result of other source: version 0.0.9, now 0.1.0"
    )


def test_a_sweep_says_so_before_it_runs_and_not_again(
    cells: tuple[Cell, ...], store: Store, journal: Path, capsys: Capture
) -> None:
    store.prepare()
    for cell in cells:
        store.write(of_source(cell, errors="old"), FRAME, 0.1)
    report = execute(cells, store)
    said = "theory-check: 4 results of other source: errors.py changed; run again\n"
    assert capsys.readouterr().err == said
    assert len(report.executed) == len(journal.read_text().splitlines()) == 4
    execute(cells, store)
    assert capsys.readouterr().err == ""


def test_the_store_is_read_once_and_only_where_something_is_missing(
    cells: tuple[Cell, ...], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(cells, store)
    read: list[str] = []
    metadata = pq.read_metadata
    monkeypatch.setattr(
        module.pq, "read_metadata", lambda path: read.append(path.name) or metadata(path)
    )
    execute(cells, store)
    load_table_of(cells, store)
    assert read == []
    store.result_path(cells[0].key).unlink()
    execute(cells, store)
    assert sorted(read) == sorted(f"{cell.key}.parquet" for cell in cells[1:])


def load_table_of(cells: tuple[Cell, ...], store: Store, **how: bool) -> pd.DataFrame:
    experiment = Experiment("lines", "", cells, (), Path("lines.toml"))
    return load_table(experiment, store, **how)


def test_a_table_is_read_of_any_source_where_that_is_asked_for(
    cells: tuple[Cell, ...], store: Store
) -> None:
    execute(cells, store)
    current = load_table_of(cells, store)
    assert "other_source" not in load_table_of(cells, store, any_source=True).attrs
    store.result_path(cells[1].key).unlink()
    old = of_source(cells[1], errors="old")
    store.write(old, FRAME, 0.1)
    with pytest.raises(StoreError, match=r"1 of 4 cells .* any_source=True reads"):
        load_table_of(cells, store)
    table = load_table_of(cells, store, any_source=True)
    assert table.attrs == {"other_source": "1 result of other source: errors.py changed"}
    label, method = cells[1].label, dict(cells[1].axes)["method"]
    of_old = (table["problem"] == label) & (table["method"] == method)
    assert table.loc[of_old, "y"].tolist() == [-5.0]
    of_cell = (current["problem"] == label) & (current["method"] == method)
    pd.testing.assert_frame_equal(
        table[~of_old].reset_index(drop=True), current[~of_cell].reset_index(drop=True)
    )
    store.result_path(old.key).unlink()
    with pytest.raises(StoreError, match="1 of 4 cells have no result"):
        load_table_of(cells, store, any_source=True)


def filled(cells: tuple[Cell, ...], store: Store) -> dict[str, Path]:
    """Fill a store with a file of every kind and with what is none of its own; cells[3] is not known."""
    store.prepare()
    store.write(cells[0], FRAME, 0.1)
    old, unknown = of_source(cells[1], errors="old"), cells[3]
    store.write(old, FRAME, 0.1)
    store.write(unknown, FRAME, 0.1)
    store.write_error(cells[2], "it failed", "")
    gone = of_source(cells[2], errors="old")
    store.write_error(gone, "it failed", "")
    damaged = store.path / f"{'a' * 64}.parquet"
    damaged.write_bytes(b"PAR1 of something else PAR1")
    misnamed = store.path / f"{'b' * 64}.parquet"
    misnamed.write_bytes(store.result_path(old.key).read_bytes())
    (store.path / f"{'c' * 64}.error.json").write_text("[]")
    foreign = [
        store.path / name
        for name in (
            "notes.txt",
            "table.parquet",
            "verdicts.json",
            "figures/one.pdf",
            f"{'d' * 64}",
        )
    ]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (store.path / f"{'e' * 64}.parquet").mkdir()
    (store.path / f"{'f' * 64}.parquet").symlink_to(store.result_path(old.key))
    return {
        "old": store.result_path(old.key),
        "unknown": store.result_path(unknown.key),
        "gone": store.error_path(gone.key),
    }


def everything_in(store: Store) -> set[Path]:
    return set(store.path.rglob("*"))


def test_every_file_is_told_for_what_it_is(cells: tuple[Cell, ...], store: Store) -> None:
    places = filled(cells, store)
    found = {each.path: each for each in holdings(store, cells[:3])}
    kinds = {path.name[:4]: each.kind for path, each in found.items()}
    assert kinds == {
        cells[0].key[:4]: "current",
        places["old"].name[:4]: "of other source",
        places["unknown"].name[:4]: "unknown",
        cells[2].key[:4]: "failed",
        places["gone"].name[:4]: "failed, unknown",
        "aaaa": "corrupt",
        "bbbb": "corrupt",
        "cccc": "corrupt",
    }
    old = found[places["old"]]
    assert old.difference == "errors.py changed"
    assert old.experiment == found[places["gone"]].experiment == "lines"
    assert old.size == places["old"].stat().st_size
    assert {each.path for each in unreached(found.values())} == set(places.values())


def test_pruning_removes_what_nothing_reaches_and_touches_nothing_else(
    cells: tuple[Cell, ...], store: Store
) -> None:
    places = filled(cells, store)
    before = {path: path.stat().st_mtime_ns for path in everything_in(store) if path.is_file()}
    removed, left = prune(store, holdings(store, cells[:3]))
    assert {each.path for each in removed} == set(places.values())
    assert left == []
    link = store.path / f"{'f' * 64}.parquet"
    assert link.is_symlink()
    after = {path: path.stat().st_mtime_ns for path in everything_in(store) if path.is_file()}
    kept = before.keys() - {*places.values(), link}
    assert after == {path: before[path] for path in kept}
    assert prune(store, holdings(store, cells[:3])) == ([], [])
    assert store.has(cells[0].key)


def test_a_result_is_left_to_whoever_runs_its_cell(cells: tuple[Cell, ...], store: Store) -> None:
    places = filled(cells, store)
    key = places["old"].name[:64]
    with Leases(store) as others:
        assert others.take(key, None)
        removed, left = prune(store, holdings(store, cells[:3]))
        assert [each.path for each in left] == [places["old"]]
        assert {each.path for each in removed} == {places["unknown"], places["gone"]}
        assert places["old"].is_file()
    prune(store, holdings(store, cells[:3]))
    assert not places["old"].exists()


def test_metadata_without_a_part_are_no_result(cells: tuple[Cell, ...], store: Store) -> None:
    store.prepare()
    store.write(cells[0], FRAME, 0.1)
    path = store.result_path(cells[0].key)
    table = pq.read_table(path)
    metadata = json.loads(table.schema.metadata[b"theory_check"])
    for part in ("key", "cell", "experiment", "sources", "versions"):
        lacking = {name: value for name, value in metadata.items() if name != part}
        pq.write_table(table.replace_schema_metadata({"theory_check": json.dumps(lacking)}), path)
        assert stored_results(store) == []
    pq.write_table(table.replace_schema_metadata({"theory_check": json.dumps(metadata)}), path)
    assert [result.key for result in stored_results(store)] == [cells[0].key]
