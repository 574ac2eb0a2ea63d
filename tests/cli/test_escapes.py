"""What is printed of files, records and errors cannot steer a terminal or forge a line."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from laboratory import Laboratory

from theory_check.cli import main
from theory_check.errors import visible

Capture = pytest.CaptureFixture[str]

FORGED = "9 cells: 9 run, 0 reused, 0 failed"
HOSTILE = f"a\x1b[2J\x07\n{FORGED}\u202e\x9b1m"


def steers(text: str) -> bool:
    """Return whether a text has a character beside line breaks that no reader sees."""
    return any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in text.replace("\n", ""))


def test_what_steers_is_shown_as_an_escape() -> None:
    assert visible(HOSTILE) == f"a\\x1b[2J\\x07\\n{FORGED}\\u202e\\x9b1m"
    assert visible("ε ≥ 1, plain") == "ε ≥ 1, plain"
    assert visible("\udc80") == "\\udc80"
    assert visible("a\nb\r", kept="\n") == "a\nb\\r"


def test_a_record_of_failure_forges_no_summary(laboratory: Laboratory, capsys: Capture) -> None:
    laboratory.failing.touch()
    assert main(["run", "flat"]) == 3
    (record,) = Path("results").glob("*.error.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "error": HOSTILE}))
    capsys.readouterr()
    assert main(["run", "flat"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert [
        line for line in lines if "cells:" in line and not line.startswith("theory-check:")
    ] == ["1 cells: 0 run, 0 reused, 1 failed"]
    assert not any(map(steers, lines))
    assert "\\x1b[2J" in lines[0]


def test_a_label_and_a_description_stay_on_their_line(
    laboratory: Laboratory, capsys: Capture
) -> None:
    path = Path("experiments/flat.toml")
    label = json.dumps(HOSTILE)
    text = path.read_text().replace("[problems.flat]", f"[problems.{label}]")
    path.write_text(text.replace('description = "', f"description = {label[:-1]} "))
    assert main(["list"]) == 0
    assert main(["run", "flat"]) == 0
    laboratory.failing.touch()
    assert main(["run", "flat", "--store", "other"]) == 3
    shown = capsys.readouterr()
    assert not steers(shown.out + shown.err)
    assert f"\n{FORGED}" not in shown.out + shown.err


@pytest.mark.slow
def test_the_report_of_verdicts_stays_a_report(laboratory: Laboratory, capsys: Capture) -> None:
    laboratory.failing.touch()
    assert main(["reproduce"]) == 3
    for record in Path("results").glob("*.error.json"):
        record.write_text(json.dumps({**json.loads(record.read_text()), "error": HOSTILE}))
    capsys.readouterr()
    assert main(["reproduce"]) == 3
    shown = capsys.readouterr()
    written = Path("results/verdicts.md").read_text()
    assert "\\x1b[2J" in written
    for text in (written, shown.out, shown.err):
        assert not steers(text)
        assert f"\n{FORGED}" not in text


def test_a_misspelt_word_is_shown_and_not_obeyed(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["verfy\x1b[2J"])
    assert not steers(capsys.readouterr().err)
