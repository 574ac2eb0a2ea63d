from __future__ import annotations

import io
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from laboratory import FIGURE, Laboratory
from matplotlib.figure import Figure

from theory_check import catalogue
from theory_check.analysis.conclusions import Conclusion
from theory_check.catalogue import Catalogue
from theory_check.cli import main
from theory_check.errors import InvalidArgumentError, StoreError
from theory_check.runs import holdings, identity, load_table
from theory_check.runs.store import ReadOnce, Store
from theory_check.runs.tables import export_tables
from theory_check.studies import RunOptions, sweep, verify

Capture = pytest.CaptureFixture[str]
CHANGED = "version 0.1.0, now 0.2.0"


def run(*words: str) -> int:
    return main([*words, "--jobs", "1"])


@pytest.fixture
def older(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Laboratory:
    """A laboratory whose two results were computed by another version."""
    assert run("run", "flat") == run("run", "steep") == 0
    capsys.readouterr()
    for user in (identity, holdings):
        monkeypatch.setattr(user, "version_of", lambda name: "0.2.0")
    return laboratory


def catalogue_of(laboratory: Laboratory) -> Catalogue:
    from theory_check import catalogue

    return catalogue.installed()


def test_results_of_another_version_are_told_and_run_again(
    older: Laboratory, capsys: Capture
) -> None:
    assert run("verify") == 0
    said = f"theory-check: 2 results of other source: {CHANGED}; run again\n"
    assert capsys.readouterr().err == f"{said}2 cells: 2 run, 0 reused, 0 failed\n"
    assert older.executions() == 4


def test_verify_reads_them_on_request_and_says_so(older: Laboratory, capsys: Capture) -> None:
    assert run("verify", "--any-source") == 0
    out, err = capsys.readouterr()
    assert err == "2 cells: 0 run, 2 reused, 0 failed\n"
    assert older.executions() == 2
    heading = " ".join(out.split("\n\n")[0].split())
    assert heading.endswith(f"Read in place of runs: 2 results of other source: {CHANGED}.")
    assert run("verify", "flatness", "--any-source", "--json") == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["other_source"] == f"1 result of other source: {CHANGED}"


def test_what_has_no_result_of_any_source_is_run(older: Laboratory, capsys: Capture) -> None:
    (steep,) = (
        path
        for path in Path("results").glob("*.parquet")
        if json.loads(pq.read_metadata(path).metadata[b"theory_check"])["experiment"] == "steep"
    )
    steep.unlink()
    assert run("verify", "--any-source") == 0
    out, err = capsys.readouterr()
    assert err == "2 cells: 1 run, 1 reused, 0 failed\n"
    assert "1 result of other source" in " ".join(out.split())
    # Current results come first, without a word.
    assert run("verify") == run("verify", "--any-source") == 0
    assert "other source" not in capsys.readouterr().out


def test_python_reads_them_as_well(older: Laboratory) -> None:
    verify("flatness", store="results", any_source=True)
    assert older.executions() == 2
    table = load_table("flat", "results", any_source=True, catalogue=catalogue_of(older))
    assert table.attrs == {"other_source": f"1 result of other source: {CHANGED}"}
    with pytest.raises(StoreError, match="1 of 1 cells have no result"):
        load_table("flat", "results", catalogue=catalogue_of(older))


def test_figures_with_them_are_stamped(
    older: Laboratory, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps: list[str] = []
    text = Figure.text

    def noted(self: Figure, x: float, y: float, words: str, **how: object) -> object:
        stamps.append(words)
        return text(self, x, y, words, **how)

    monkeypatch.setattr(Figure, "text", noted)
    assert run("figures", "--any-source") == 0
    assert stamps[-1].endswith(f"With 2 results of other source: {CHANGED}.")
    assert older.executions() == 2
    assert run("figures") == 0
    assert "other source" not in stamps[-1]


@pytest.mark.slow
def test_only_named_figures_are_drawn_and_only_what_they_need_is_run(
    laboratory: Laboratory, capsys: Capture
) -> None:
    scripts = laboratory.folder / "paper_figures"
    flat = FIGURE.replace('("steep",)', "()").replace('tables["steep"]', 'tables["flat"]')
    (scripts / "plain.py").write_text(flat)
    # A script that cannot even be imported is no hindrance where it is not named.
    (scripts / "broken.py").write_text("raise RuntimeError('of no interest')\n")
    assert run("figures", "plain") == 0
    assert "1 cells: 1 run" in capsys.readouterr().err
    drawn = {path.name for path in Path("results/figures").iterdir()}
    assert drawn == {"plain.pdf", "plain.png"}
    assert laboratory.journal.read_text() == "0.5 sum\n"
    assert run("figures", "plain", "line") == 2
    error = capsys.readouterr().err
    assert "figure: received 'line'; did you mean 'lines'? known: broken, lines, plain" in error
    assert run("figures", "lines", "plain") == 0
    assert {path.stem for path in Path("results/figures").iterdir()} == {"plain", "lines"}


def test_the_store_is_counted(older: Laboratory, capsys: Capture) -> None:
    assert run("run", "flat", "--quick") == 0
    older.failing.touch()
    assert run("run", "steep", "--quick") == 3
    capsys.readouterr()
    assert main(["store"]) == 0
    rows = [re.split("  +", line.strip()) for line in capsys.readouterr().out.splitlines()]
    counts = {row[0]: row[1] for row in rows if len(row) == 4}
    assert counts == {
        "current": "1",
        "of other source": "2",
        "unknown": "0",
        "failed": "1",
        "failed, unknown": "0",
        "corrupt": "0",
    }
    assert ["2", CHANGED] in rows


def test_pruning_is_shown_first_and_keeps_what_commands_look_up(
    older: Laboratory, capsys: Capture
) -> None:
    assert run("run", "flat") == run("run", "flat", "--quick") == 0
    before = set(Path("results").rglob("*"))
    capsys.readouterr()
    assert main(["store", "--prune", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert re.fullmatch(
        r"would be removed: 2 files, 0\.\d\d MB\n  1 of flat\n  1 of steep\n", shown
    )
    assert set(Path("results").rglob("*")) == before
    assert main(["store", "--prune"]) == 0
    assert capsys.readouterr().out == shown.replace("would be removed", "removed")
    assert len(list(Path("results").glob("*.parquet"))) == 2
    assert run("run", "flat") == run("run", "flat", "--quick") == 0
    assert "1 cells: 0 run, 1 reused" in capsys.readouterr().err
    (older.folder / "experiments" / "flat.toml").rename(older.folder / "experiments" / "even.toml")
    assert main(["store", "--prune"]) == 0
    assert "  2 of flat, no experiment here\n" in capsys.readouterr().out


def test_nothing_is_removed_where_the_store_or_an_experiment_cannot_be_read(
    older: Laboratory, capsys: Capture
) -> None:
    assert main(["store", "--prune", "--store", "nowhere"]) == 2
    assert not Path("nowhere").exists()
    assert main(["store", "--dry-run"]) == 2
    (older.folder / "experiments" / "worse.toml").write_text("measurement = 1")
    assert main(["store", "--prune"]) == 2
    assert len(list(Path("results").glob("*.parquet"))) == 2


def test_what_is_exported_is_what_is_loaded(laboratory: Laboratory, capsys: Capture) -> None:
    assert run("run", "flat") == 0
    capsys.readouterr()
    assert main(["export", "out"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "theory-check: 1 experiment is not exported, for want of results: steep; "
        "out/manifest.json says what each lacks",
        "theory-check: wrote 1 table to out",
        # The one figure needs the other experiment as well.
        "theory-check: wrote 1 verdict and 0 figures to out",
    ]
    assert {path.name for path in Path("out").iterdir()} == {
        "flat.csv",
        "flat.parquet",
        "manifest.json",
        *(f"verdicts.{suffix}" for suffix in ("csv", "md", "tex", "json")),
        "CITATION.cff",
        "references.bib",
    }
    expected = load_table("flat", "results", catalogue=catalogue_of(laboratory))
    pd.testing.assert_frame_equal(pd.read_parquet("out/flat.parquet"), expected, check_exact=True)
    text = pd.read_csv("out/flat.csv")
    pd.testing.assert_frame_equal(text, expected, check_exact=True)
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert manifest["small_version"] is False
    assert manifest["version"] == identity.version_of("theory-check")
    assert manifest["incomplete"] == {"steep": "1 of 1 cells have no result"}
    (record,) = manifest["tables"]
    (cell,) = laboratory_cells(laboratory, "flat")
    assert record["experiment"] == "flat"
    assert record["description"] == "Values of flat lines."
    assert record["measurement"] == "values"
    assert record["measured"].startswith("Evaluate the line, with noise")
    assert (record["results"], record["rows"]) == (1, len(expected))
    assert record["sources"] == cell.sources
    assert record["other_source"] == ""
    assert [column["name"] for column in record["columns"]] == list(expected.columns)
    meanings = {column["name"]: column["meaning"] for column in record["columns"]}
    assert meanings == {
        "seed": "seed of the replicate",
        "problem": "label of the problem in the experiment file",
        "x": "",
        "y": "",
    }


def test_what_is_left_out_of_an_export_is_told_in_one_line(
    laboratory: Laboratory, capsys: Capture
) -> None:
    steep = laboratory.folder / "experiments" / "steep.toml"
    for number in range(4):
        shutil.copy(steep, steep.with_name(f"steeper-{number}.toml"))
    assert run("run", "flat") == 0
    capsys.readouterr()
    assert main(["export", "out"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "theory-check: 5 experiments are not exported, for want of results: steep, steeper-0, "
        "steeper-1 and 2 more; out/manifest.json says what each lacks",
        "theory-check: wrote 1 table to out",
        "theory-check: wrote 1 verdict and 0 figures to out",
    ]
    manifest = json.loads(Path("out/manifest.json").read_text())
    reason = "1 of 1 cells have no result"
    assert set(manifest["incomplete"].values()) == {reason}
    assert len(manifest["incomplete"]) == 5


def laboratory_cells(laboratory: Laboratory, name: str, quick: bool = False) -> tuple:
    from theory_check.runs import load_experiment

    file = laboratory.folder / "experiments" / f"{name}.toml"
    return load_experiment(file, catalogue_of(laboratory)).cells(quick)


def test_failed_cells_and_old_results_are_named_in_an_export(
    older: Laboratory, capsys: Capture
) -> None:
    here = catalogue_of(older)
    older.failing.touch()
    assert run("run", "steep") == 3
    with pytest.raises(StoreError, match="no experiment is complete in results"):
        export_tables("out", "results", catalogue=here)
    assert not Path("out").exists()
    written = export_tables("out", "results", any_source=True, catalogue=here)
    assert written.tables == ("flat", "steep")
    records = json.loads(Path("out/manifest.json").read_text())["tables"]
    assert {each["other_source"] for each in records} == {f"1 result of other source: {CHANGED}"}
    older.failing.unlink()
    assert run("run", "flat") == 0
    written = export_tables("again", "results", catalogue=here)
    assert written.incomplete == {"steep": "1 of 1 cells have no result, 1 of them failed"}


def test_a_folder_that_holds_something_is_left_alone_unless_told_otherwise(
    laboratory: Laboratory, capsys: Capture
) -> None:
    assert run("run", "flat") == 0
    out = Path("out")
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "flat.csv").write_text("old")
    assert main(["export", "out"]) == 2
    assert "out', which holds flat.csv; pass an empty or new folder, or --overwrite" in (
        capsys.readouterr().err
    )
    assert (out / "flat.csv").read_text() == "old"
    with pytest.raises(InvalidArgumentError, match=r"^directory: received .*; pass a folder"):
        export_tables(out / "notes.txt", "results", overwrite=True)
    assert main(["export", "out", "--overwrite"]) == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert len(pd.read_csv(io.StringIO((out / "flat.csv").read_text()))) == 4


def test_columns_of_a_trace_have_their_meaning(tmp_path: Path) -> None:
    from theory_check.catalogue.catalogue import experiment_file
    from theory_check.recording.recorder import COLUMNS
    from theory_check.runs import load_experiment
    from theory_check.runs.tables import column_meanings

    shipped = Catalogue.shipped()

    def meanings(name: str) -> dict[str, str]:
        return column_meanings(
            load_experiment(experiment_file(name, shipped), shipped).cells(quick=True)
        )

    assert meanings("control-quartic")["stationarity"] == COLUMNS["stationarity"]
    # Of the same name, and something else: "status" says there whether a level was solved.
    assert "status" not in meanings("penalty-bias")


def test_the_problem_of_verify_is_named_or_refused_before_any_work(
    laboratory: Laboratory, capsys: Capture
) -> None:
    def refusal(*words: str) -> str:
        assert run("verify", *words) == 2
        return capsys.readouterr().err

    slope = ["--set", "slope=0.25"]
    assert "CLAIM: received none; name the claims" in refusal("--problem", "line", *slope)
    assert "--set: received slope=0.25; name a family" in refusal("flatness", *slope)
    assert "did you mean 'line'?" in refusal("flatness", "--problem", "lin", *slope)
    assert "in steep: did you mean 'steep'?" in refusal("flatness", "--problem", "steep/step")
    assert not Path("results").exists()


def test_verify_runs_a_claim_on_the_named_problem_alone(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    labels: list[set[str]] = []
    from theory_check.analysis import verdict

    def judge(claim: object, table: pd.DataFrame, *others: object) -> object:
        labels.append(set(table["problem"]))
        return laboratory.judge(claim, table.assign(problem="flat"), *others)  # type: ignore[arg-type]

    monkeypatch.setattr(verdict, "judge", judge)
    file = laboratory.folder / "my.toml"
    file.write_text(
        (laboratory.folder / "experiments" / "flat.toml")
        .read_text()
        .replace("problems.flat", "problems.mine")
        .replace("slope = 0.5", "slope = 0.75")
    )
    assert run("verify", "flatness", "--problem", f"{file}/mine") == 0
    assert run("verify", "flatness", "--problem", "steep/steep", "--quick") == 0
    assert run("verify", "flatness", "--problem", "line", "--set", "slope=0.25") == 0
    assert labels == [{"mine"}, {"steep"}, {"line"}]
    assert laboratory.journal.read_text() == "0.75 sum\n4.0 sum\n0.25 sum\n"


@pytest.mark.slow
@pytest.mark.parametrize("complete", [False, True])
def test_reproduce_reads_each_result_once(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, complete: bool
) -> None:
    """Two claims, a conclusion and a figure rest on the same two tables, of a cell each."""

    def compose(verdicts: object, tables: dict[str, pd.DataFrame]) -> list[str]:
        return [f"{name}: {len(table)} rows" for name, table in tables.items()]

    both = Conclusion("both", ("flatness", "steepness"), compose)
    known = catalogue.installed()
    known = Catalogue(known.roots, {**known.given, "conclusions": {"both": both}})
    words = ["reproduce", "--quick", "--jobs", "1"]
    if complete:
        assert main(words, known) == 0
    read: Counter[str] = Counter()
    whole = Store.read

    def counted(store: Store, key: str) -> pa.Table | None:
        found = whole(store, key)
        read[key] += found is not None
        return found

    monkeypatch.setattr(Store, "read", counted)
    assert main(words, known) == 0
    assert "flatness: 2 rows" in Path("results/quick/verdicts.md").read_text()
    assert laboratory.executions() == 2
    assert len(read) == 2
    assert set(read.values()) == {1}


def test_what_was_read_is_kept_and_what_was_not_is_looked_for_again(
    laboratory: Laboratory,
) -> None:
    assert run("verify") == 0
    (path, other) = Path("results").glob("*.parquet")
    content = other.read_bytes()
    other.unlink()
    store = ReadOnce("results")
    first = store.read(path.stem)
    assert not store.has(other.stem)
    path.unlink()
    other.write_bytes(content)
    assert first is not None
    assert store.read(path.stem) is first
    assert store.has(other.stem)
    assert not Store("results").has(path.stem)


def test_a_table_that_is_changed_changes_no_other(laboratory: Laboratory) -> None:
    done = sweep(["flat"], RunOptions(catalogue=catalogue.installed()))
    table = done.table("flat")
    expected = table.copy()
    table["y"] = 0.0
    pd.testing.assert_frame_equal(done.table("flat"), expected, check_exact=True)
