"""The README's example runs as printed, and its numbers are those of the code."""

from __future__ import annotations

import contextlib
import io
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

import theory_check as tc
from theory_check.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def run_example(text: str, names: dict[str, Any]) -> None:
    exec(compile(text, "README.md", "exec"), names)


@pytest.fixture(scope="module")
def first() -> tuple[dict[str, Any], str]:
    """The names that the first example leaves, and what it prints."""
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        run_example(EXAMPLES[0], names)
    return names, printed.getvalue()


@pytest.mark.slow
def test_the_example_runs(first: tuple[dict[str, Any], str]) -> None:
    assert len(EXAMPLES) == 2
    assert len([line for line in EXAMPLES[0].splitlines() if line.strip()]) <= 10
    names, printed = first
    value = float(re.search(r"true reward: (\S+)", printed)[1])  # type: ignore[index]
    quoted = float(re.search(r"it is not \((\S+) there\)", README)[1])  # type: ignore[index]
    assert value == pytest.approx(quoted, abs=5e-4)
    table = names["trace"].table
    assert set(table["seed"]) == {0, 1, 2, 3}
    assert table["iteration"].max() == 100


@pytest.mark.slow
def test_the_second_example_continues_the_first(first: tuple[dict[str, Any], str]) -> None:
    names = dict(first[0])
    run_example(EXAMPLES[1], names)
    assert names["trace"].table["iteration"].max() == 50
    assert names["trace"].final_upper.shape == (
        4,
        names["problem"].with_classes(**names["classes"]).parameters,
    )
    probabilities = names["policy"].exp().sum(-1)
    torch.testing.assert_close(probabilities, torch.ones(16, dtype=torch.float64))


def test_the_two_sentences_about_the_objectives() -> None:
    gradients = {
        objective: tc.ExactOracle(problem).hypergradient(problem.true_parameters).norm().item()
        for objective in ("excess_risk", "cross_entropy")
        for problem in [
            tc.problems.garnet(
                states=3,
                actions=2,
                horizon=3,
                features=4,
                kl_weight=0.5,
                objective=objective,
                seed=0,
            )
        ]
    }
    assert gradients["excess_risk"] < 1e-12
    assert gradients["cross_entropy"] > 1e-2


def test_every_linked_file_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert len(links) >= 5
    for link in links:
        assert (ROOT / link).exists(), link


def test_the_findings_are_those_that_were_written_and_each_has_a_number() -> None:
    written = (ROOT / "docs" / "comparison" / "findings.md").read_text(encoding="utf-8")
    assert f"\n\n{written}\n" in README
    sentences = written.splitlines()
    assert len(sentences) >= 5
    for sentence in sentences:
        assert sentence.startswith("* ")
        assert any(character.isdigit() for character in sentence), sentence


NUMBER = re.compile(r"-?\d+\.\d+")


@pytest.mark.slow
def test_the_first_output_is_that_of_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Numbers to 0.002: their last digits are those of one machine."""
    (words,) = re.findall(r"^    theory-check (verify .*--quick)$", README, re.M)[:1]
    printed = README.partition("and prints\n\n")[2].partition("\nA claim that")[0]
    expected = textwrap.dedent(printed).strip().splitlines()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    assert main([*words.split(), "--jobs", "1"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert [NUMBER.sub("#", line) for line in lines] == [NUMBER.sub("#", line) for line in expected]
    for line, quoted in zip(lines, expected, strict=True):
        numbers = [float(found) for found in NUMBER.findall(line)]
        assert numbers == pytest.approx([float(q) for q in NUMBER.findall(quoted)], abs=2e-3)
    assert max(map(len, lines)) <= 80
