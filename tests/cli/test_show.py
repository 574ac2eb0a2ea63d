"""What is asked of a name, of a kind and of a shell."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from laboratory import Laboratory
from test_interruption import PATIENCE

from theory_check.catalogue import Catalogue
from theory_check.claims.bias import PENALTY_BIAS
from theory_check.cli import main
from theory_check.cli.commands import COMMANDS
from theory_check.cli.words import parser
from theory_check.report import text
from theory_check.report.arguments import arguments_of, summary_of
from theory_check.report.completion import completion
from theory_check.report.contents import WIDEST_NAME, contents, json_listing, text_listing
from theory_check.report.help import KINDS, SHELLS
from theory_check.report.showing import rate_in_words

Capture = pytest.CaptureFixture[str]


def test_a_claim_is_shown_with_its_experiment_and_what_it_costs(
    laboratory: Laboratory, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["show", "flatness"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:8] == [
        "claim flatness [V]",
        "  statement       It is flat.",
        "  source          here",
        "  provenance      [V] stated in the abstract or text of the source",
        "  kind            measured: nobody proved it: the data decide",
        "  otherwise       Yes: a hill.",
        "  audits          none",
        "  experiment      flat: Values of flat lines.",
    ]
    rest = lines.index("  problems        flat")
    assert "".join(line.strip() for line in lines[8:rest]).endswith("experiments/flat.toml)")
    assert lines[rest : rest + 6] == [
        "  problems        flat",
        "  cost            1 cell: not measured in results; small version 1 cell: not",
        "                  measured in results",
        "  command         theory-check verify flatness [--quick] [--problem NAME]",
        "  arguments",
        "    points   (1.0, 2.0)",
    ]
    assert lines[-1] == "    seeds    2"
    assert max(map(len, lines)) <= 80


def test_the_cost_is_what_cells_took_in_the_store(laboratory: Laboratory, capsys: Capture) -> None:
    """Of whatever source: an edit of a component changes no time."""
    assert main(["run", "flat", "--jobs", "1"]) == 0
    capsys.readouterr()
    assert main(["show", "flatness", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["kind"] == "claim"
    assert record["facts"]["cost"] in [
        f"1 cell: {seconds} s of one core; small version 1 cell: not measured in results"
        for seconds in range(60)
    ]
    # Elsewhere nothing is known.
    assert main(["show", "flatness", "--store", "other"]) == 0
    assert "not measured in other" in " ".join(capsys.readouterr().out.split())


def test_everything_of_a_name_is_shown(laboratory: Laboratory, capsys: Capture) -> None:
    assert main(["show", "flat"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("experiment flat\n  about           Values of flat lines.\n")
    assert "  claims          flatness [V]\n" in out
    assert main(["show", "line"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("problem family line\n  about           Draw a line.\n  arguments\n")
    assert main(["show", "values"]) == 0
    assert capsys.readouterr().out.startswith("measurement values\n")


def test_what_has_no_name_is_refused_with_the_nearest(
    laboratory: Laboratory, capsys: Capture
) -> None:
    assert main(["show", "flatnes"]) == 2
    message = "NAME: received 'flatnes'; did you mean 'flatness'? theory-check list names all"
    assert message in capsys.readouterr().err


def test_a_shipped_claim_says_how_it_is_judged() -> None:
    gradient, _ = PENALTY_BIAS.rates
    assert rate_in_words(gradient) == (
        "gradient_bias like sigma to the power 1 ± 0.02 (rivals 0.5, 2)"
    )
    for claim in Catalogue.shipped().claims.values():
        for rate in claim.rates:
            assert rate.y in rate_in_words(rate), claim.id


@dataclass(frozen=True)
class Example:
    """Do something.

    At length.

    Attributes
    ----------
    first, second
        Numbers of :class:`theory_check.Thing`
        and more.
    third
        Another.

    Raises
    ------
    ValueError
        Never.
    """

    first: int
    second: float = 2.5
    third: str = "x"
    fourth: int = 4


def test_arguments_have_defaults_and_what_the_docstring_says() -> None:
    assert summary_of(Example) == "Do something."
    assert arguments_of(Example) == {
        "first": "(required) Numbers of theory_check.Thing and more.",
        "second": "= 2.5. Numbers of theory_check.Thing and more.",
        "third": "= 'x'. Another.",
        "fourth": "= 4.",
    }


@pytest.mark.slow
def test_every_argument_of_a_shipped_family_and_solver_is_described() -> None:
    """What is not described is a hole of its docstring, which ``show`` would show."""
    shipped = Catalogue.shipped()
    holes = [
        f"{name}: {argument}"
        for each in (shipped.families, shipped.solvers)
        for name, component in each.items()
        for argument, told in arguments_of(component).items()
        if len(told.partition(" ")[2].split()) < 2
    ]
    assert holes == []


@pytest.mark.parametrize("width", [80, 120])
def test_listings_stay_within_the_terminal_and_leave_nobody_out(width: int) -> None:
    shipped = Catalogue.shipped()
    lines = text_listing(shipped, "claims", width=width).splitlines()
    assert max(map(len, lines)) <= width
    names = [f"{claim.id} [{claim.provenance}]" for claim in shipped.claims.values()]
    assert [line for line in lines if line.startswith("  ") and line[2] != " "] != []
    for name in names:
        assert sum(f"{line} ".startswith(f"  {name} ") for line in lines) == 1
    # Two lines each at most, those with a long name one more, and the titles of two sections.
    long = sum(len(name) > WIDEST_NAME for name in names)
    assert len(lines) <= 2 * len(names) + long + 2


@pytest.mark.slow
def test_kinds_together_are_everything() -> None:
    shipped = Catalogue.shipped()
    everything = contents(shipped)
    parts: dict[str, dict[str, str]] = {}
    for kind in KINDS:
        part = contents(shipped, kind)
        assert any(part.values()), kind
        parts |= {title: entries for title, entries in part.items() if entries}
    assert parts == {title: entries for title, entries in everything.items() if entries}
    assert json.loads(json_listing(shipped)) == everything
    assert json.loads(json_listing(shipped, "claims")) == contents(shipped, "claims")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_options_and_names(shell: str) -> None:
    script = completion(parser(COMMANDS), shell, Catalogue.shipped())
    words = ("penalty-bias", "schedule-7/2", "gradient-noise-neural", "verbose", "retry-failed")
    for word in (*COMMANDS, *words):
        assert word in script, word
    # Syntax, where the shell is there.
    if found := shutil.which(shell):
        checked = subprocess.run([found, "-n"], input=script, text=True, capture_output=True)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_a_name_that_a_shell_would_obey_is_not_completed() -> None:
    hostile = ["qq zz", "$(touch x)", "`id`", "x;y", "a'b", "good-1/2"]
    claims = dict.fromkeys(hostile, PENALTY_BIAS)
    for shell in SHELLS:
        script = completion(parser(COMMANDS), shell, Catalogue.of(claims=claims))
        assert "good-1/2" in script
        for name in hostile[:-1]:
            assert name not in script, name


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_offers_what_begins_as_typed() -> None:
    script = completion(parser(COMMANDS), "bash", Catalogue.shipped())
    asked = """
COMP_WORDS=(theory-check verify penalty-bias-c); COMP_CWORD=2
$(complete -p theory-check | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        ["bash", "--norc", "-c", script + asked], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout.split() == ["penalty-bias-central"]


@pytest.mark.slow
def test_the_package_runs_as_a_module() -> None:
    for module in ("theory_check", "theory_check.cli"):
        done = subprocess.run(
            [sys.executable, "-m", module, "--version"], capture_output=True, text=True
        )
        assert done.returncode == 0
        assert done.stdout.startswith("theory-check ")


def test_somebody_who_waits_is_told_before_the_work_is_done(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line comes from a thread of its own, while the command still reads; list says nothing."""
    told: list[str] = []
    monkeypatch.setattr(text, "say", told.append)
    monkeypatch.setattr(text, "SOON", 0.01)
    original = laboratory.judge

    def judge(*arguments):  # type: ignore[no-untyped-def]
        for _ in range(3000):
            if told:
                break
            Path("journal").stat()
        return original(*arguments)

    monkeypatch.setattr("theory_check.analysis.verdict.judge", judge)
    assert main(["verify", "flatness", "--jobs", "1"]) == 0
    assert told == ["reading libraries, experiments and the store"]
    assert main(["list"]) == 0
    assert len(told) == 1
