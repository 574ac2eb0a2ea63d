"""Files that are none, have no end, or hold what no experiment does: named errors, and no waiting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import Load, Text

from theory_check.catalogue import installed
from theory_check.catalogue.catalogue import experiment_file
from theory_check.errors import InvalidArgumentError, StoreError
from theory_check.files import as_path, read_file
from theory_check.problems import stored
from theory_check.runs import Store, execute, load_experiment

ENDLESS = Path("/dev/zero")


@pytest.fixture(params=["pipe", "endless", "folder"])
def no_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "odd.toml"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "endless":
        path.symlink_to(ENDLESS)
    else:
        path.mkdir()
    return path


def test_what_is_no_file_is_not_read(no_file: Path) -> None:
    with pytest.raises(OSError, match=r"directory|not a file"):
        read_file(no_file)
    with pytest.raises(InvalidArgumentError, match="pass the path of a readable TOML file"):
        load_experiment(no_file)
    with pytest.raises(InvalidArgumentError, match=r"^file: received .*pass the path of a JSON"):
        stored(file=no_file)


def test_a_result_or_record_that_is_no_file_is_not_waited_for(
    no_file: Path, load: Load, text: Text, store: Store
) -> None:
    cell = load(text()).cells()[0]
    store.prepare()
    store.result_path(cell.key).symlink_to(no_file)
    with pytest.raises(StoreError, match="is not a file; move it away"):
        store.read(cell.key)
    store.result_path(cell.key).unlink()
    store.error_path(cell.key).symlink_to(no_file)
    assert store.read_error(cell.key) == "the record of this failure cannot be read"


def test_a_record_that_is_a_folder_does_not_end_the_other_cells(
    load: Load, text: Text, store: Store, failing: Path
) -> None:
    cells = load(text()).cells()
    store.prepare()
    store.error_path(cells[0].key).mkdir()
    failing.touch()
    report = execute(cells, store, retry_failed=True)
    assert [failure.message for failure in report.failed] == [
        "RuntimeError: the file is there"
    ] * len(cells)


def test_a_good_result_of_another_process_is_not_set_aside(
    load: Load, text: Text, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at a damaged file and its renaming, the other process mended it."""
    cell = load(text()).cells()[0]
    execute([cell], store)
    path = store.result_path(cell.key)
    good = path.read_bytes()
    path.write_bytes(b"damaged")
    plain = Path.replace

    def mended_before(self: Path, target: Path) -> Path:
        if self == path and path.read_bytes() == b"damaged":
            path.write_bytes(good)
        return plain(self, target)

    monkeypatch.setattr(Path, "replace", mended_before)
    assert store.read(cell.key) is None
    assert store.has(cell.key)
    assert path.read_bytes() == good


@pytest.mark.parametrize(
    "value", ["", "a\0b", "a\ud800", "x" * 5000, None, b"bytes", 3, Path, ["a"]], ids=repr
)
def test_what_is_no_path_is_named(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^file: received .*; pass one$"):
        as_path("file", value, "pass one")
    with pytest.raises(StoreError, match="pass the path of a directory"):
        Store(value)


@pytest.mark.parametrize("name", ["x" * 300, f"{'x' * 300}.toml", "x" * 5000, "a\0b"])
def test_a_name_that_no_file_has_is_named(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^experiment: |File name too long") as caught:
        load_experiment(experiment_file(name, installed()))
    assert len(str(caught.value)) < 5000


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("points = [1, 2.5]", f"points = {'[' * 1000}{']' * 1000}", "nested too deep"),
        ("points = [1, 2.5]", f"points = {'{a=' * 99}1{'}' * 99}", r"settings\.points: received \{'a': "),
        ("points = [1, 2.5]", f"points = [{'9' * 5000}]", "text that is not TOML"),
        ("points = [1, 2.5]", f"points = [{'9' * 400}]", r"points\[0\]: received 999"),
        ("points = [1, 2.5]", f'points = "{"x" * 10**6}"', "points: received 'xxx"),
        ("points = [1, 2.5]", f"{'x' * 10**6} = 1", "an unknown key"),
        ("slope = 0.5", "slope = 0.5\nlimit = 1e400", ""),
        ("seeds = 3", "seeds = 10_000_000_000", "pass at most 10000"),
        (
            'method = ["sum", "product"]',
            '"solver.step_size" = [1.0, 2.0]\n[grid.solver]\nname = ["gradient"]\nstep_size = [3.0]',
            r"grid\.solver\.step_size: received a value that is written twice, dotted and as a table",
        ),
        (
            'method = ["sum", "product"]',
            '"solver.step_size" = [1.0]\nsolver = [{ name = "gradient" }, { name = "newton" }]',
            r"grid\.solver: received values that would replace those of grid\.solver\.step_size",
        ),
        (
            'method = ["sum", "product"]',
            f'method = ["sum", "product"]\nrepeats = {list(range(1, 60_000))}',
            r"toml: grid: received 119998 combinations; list fewer values",
        ),
    ],
)  # fmt: skip
def test_what_no_experiment_holds_is_named_in_a_short_message(
    load: Load, text: Text, old: str, new: str, message: str
) -> None:
    if not message:
        load(text((old, new)))
        return
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        load(text((old, new)))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("key", ["instances", "starts"])
def test_a_family_has_no_more_instances_and_starts_than_seeds(tmp_path: Path, key: str) -> None:
    others = {"instances": 2, "starts": 1} | {key: 10**9}
    path = tmp_path / "family.toml"
    path.write_text(
        'measurement = "penalty-bias"\ndescription = "d"\nseeds = 1\n'
        '[problems.p]\nfamily = "bandit"\ncontexts = 2\nactions = 2\n'
        + "".join(f"{name} = {value}\n" for name, value in others.items())
        + "[settings]\nsigmas = [0.1, 0.05, 0.02, 0.01]\n"
    )
    with pytest.raises(InvalidArgumentError, match=rf"problems\.p\.{key}: .*pass at most 10000"):
        load_experiment(path)
