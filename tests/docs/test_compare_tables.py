"""What counts as a difference between the committed tables of a comparison and those of a store."""

from __future__ import annotations

import re
import runpy
import shutil
from math import inf
from pathlib import Path

import pytest
from helpers.pages import ROOT

COMPARING = runpy.run_path(str(ROOT / "docs" / "compare_tables.py"))
difference, estimates, main = (COMPARING[name] for name in ("difference", "estimates", "main"))

TABLE = """\
By stationarity: cost of each accuracy

| problem | method | cost | 0.4 | 0.2 |
| --- | --- | --- | --- | --- |
| bandit | aho | samples | 200 [100, 400] (8/8) | 2e3 [1e3, 4e3] (7/8, edge) |
| bandit | hpgd | samples | 50 [20, 90] (8/8) | >7e4 [5e3, >7e4] (2/8) |
| garnet | aho | samples | -0.5 [-0.9, -0.1] (8/8) |  |

* A note on 1 [0, 2].
"""


def test_estimates_are_those_with_intervals() -> None:
    assert estimates(TABLE) == {
        ("bandit", "aho", "0.4"): (200.0, 100.0, 400.0),
        ("bandit", "aho", "0.2"): (2e3, 1e3, 4e3),
        ("bandit", "hpgd", "0.4"): (50.0, 20.0, 90.0),
        ("bandit", "hpgd", "0.2"): (inf, 5e3, inf),
        ("garnet", "aho", "0.4"): (-0.5, -0.9, -0.1),
    }


@pytest.mark.parametrize(
    "again",
    [
        TABLE,
        # The one lies in the other's interval, whichever way.
        TABLE.replace("200 [100, 400]", "450 [150, 900]"),
        TABLE.replace("200 [100, 400]", "390 [380, 420]"),
        TABLE.replace(">7e4 [5e3, >7e4]", "6e3 [4e3, 9e3]"),
        TABLE.replace("(7/8, edge)", "(8/8)").replace("A note", "Another"),
    ],
)
def test_rows_within_an_interval_are_confirmed(again: str) -> None:
    assert difference(TABLE, again).outside == difference(again, TABLE).outside == 0
    assert difference(TABLE, again).rows == 5


@pytest.mark.parametrize(
    ("old", "new", "row"),
    [
        ("200 [100, 400]", "450 [350, 900]", ("bandit", "aho", "0.4")),
        (">7e4 [5e3, >7e4]", "4e3 [2e3, 4.5e4]", ("bandit", "hpgd", "0.2")),
        ("-0.5 [-0.9, -0.1]", "0.5 [0.1, 0.9]", ("garnet", "aho", "0.4")),
    ],
)
def test_a_moved_row_is_counted(old: str, new: str, row: tuple[str, ...]) -> None:
    for found in (
        difference(TABLE, TABLE.replace(old, new)),
        difference(TABLE.replace(old, new), TABLE),
    ):
        assert (found.outside, found.moved, found.missing) == (1, (row,), ())


def test_a_missing_row_is_counted_whichever_table_lacks_it() -> None:
    (line,) = (line for line in TABLE.splitlines(keepends=True) if line.startswith("| garnet"))
    for old, new in ((line, ""), ("-0.5 [-0.9, -0.1] (8/8)", "-")):
        less = TABLE.replace(old, new)
        for found in (difference(TABLE, less), difference(less, TABLE)):
            assert (found.outside, found.rows) == (1, 5)
            assert found.missing == (("garnet", "aho", "0.4"),)


def test_the_committed_tables_are_compared_with_a_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "comparison"
    shutil.copytree(ROOT / "docs" / "comparison", written)
    main(str(tmp_path))
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 6
    assert all(": 0 of " in line for line in told)
    tables = ((written / f"{name}.md").read_text("utf-8") for name in COMPARING["TABLES"])
    assert all(len(estimates(table)) >= 20 for table in tables)
    lines = (written / "samples.md").read_text("utf-8").splitlines(keepends=True)
    # Of the first row with an interval that ends, its first such entry.
    finite = re.compile(r"[^ |]+ \[[\d.e]+, [\d.e]+\]")
    first = next(line for line in lines if finite.search(line))
    entries = [entry.strip() for entry in first.split("|")]
    place = next(at for at, entry in enumerate(entries) if finite.match(entry))
    header = [name.strip() for name in lines[2].split("|")]
    planted = finite.sub("1e99 [1e98, 1e99]", first, count=1)
    (written / "samples.md").write_text("".join(lines).replace(first, planted), "utf-8")
    main(str(tmp_path))
    samples, moved, *_ = capsys.readouterr().out.splitlines()
    assert samples.startswith("samples: 1 of ")
    row = [entries[header.index("problem")], entries[header.index("method")], header[place]]
    assert moved == f"  moved: {', '.join(row)}"
