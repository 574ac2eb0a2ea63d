"""The README is short, what it shows runs as printed, and its numbers are those of the pages."""

from __future__ import annotations

import contextlib
import io
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from helpers.pages import ROOT, commands, dead, examples

from theory_check.catalogue import Catalogue
from theory_check.cli import main
from theory_check.cli.commands import COMMANDS
from theory_check.cli.words import parser

PAGE = ROOT / "README.md"
README = PAGE.read_text(encoding="utf-8")

NUMBER = re.compile(r"-?\d+\.\d+")
ESTIMATE = re.compile(r"−?\d+\.\d+ \[[^\]]*\]")


def test_it_is_a_screen_and_a_half_with_python_on_the_first() -> None:
    lines = README.splitlines()
    assert len(lines) <= 120
    assert lines.index("```python") < 40


@pytest.mark.slow
def test_the_example_runs() -> None:
    (example,) = examples(PAGE)
    assert len([line for line in example.splitlines() if line.strip()]) <= 8
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(example, "README.md", "exec"), names)
    # For the cross-entropy, the default, the true reward is no stationary point (docs/theory.md, 1.4).
    value = float(re.search(r"true reward: (\S+)", printed.getvalue())[1])  # type: ignore[index]
    assert value > 1e-2
    table = names["trace"].table
    assert set(table["seed"]) == {0, 1, 2, 3}
    assert table["iteration"].max() == 100


def test_every_linked_file_and_heading_exists() -> None:
    assert dead(PAGE) == []


def test_the_commands_of_the_uses_can_be_given() -> None:
    given = commands(PAGE)
    assert len(given) >= 4
    for words in given:
        parser(COMMANDS).parse_args(words.split())
    catalogue = Catalogue.installed()
    (claim,) = {words.split()[1] for words in given if "--problem " in words}
    assert catalogue.claim(claim).id == claim


def test_the_table_of_claims_repeats_the_results() -> None:
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    rows = [line for line in README.splitlines() if "([more](docs/results.md#" in line]
    assert len(rows) == 8
    for row in rows:
        measured = row.split(" | ")[1]
        quoted = ESTIMATE.findall(measured) or re.findall(r"\d\.\d to \d\.\d times", measured)
        assert len(quoted) == 1, row
        assert quoted[0] in re.sub(r"\s+", " ", results), row


@pytest.mark.slow
def test_the_first_output_is_that_of_the_command(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Numbers to 0.002: their last digits are those of one machine."""
    (words,) = re.findall(r"^    theory-check (verify .*--quick)$", README, re.M)[:1]
    printed = README.partition("prints\n\n")[2].partition("\n```python")[0]
    expected = textwrap.dedent(re.split(r"\n\n(?=\S)", printed)[0]).strip().splitlines()
    assert len(expected) >= 8
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    assert main([*words.split(), "--jobs", "1"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert [NUMBER.sub("#", line) for line in lines] == [NUMBER.sub("#", line) for line in expected]
    for line, quoted in zip(lines, expected, strict=True):
        numbers = [float(found) for found in NUMBER.findall(line)]
        assert numbers == pytest.approx([float(q) for q in NUMBER.findall(quoted)], abs=2e-3)
    assert max(map(len, lines)) <= 80
