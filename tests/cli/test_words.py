"""Words of the command line as people write them."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from laboratory import Laboratory

from theory_check.cli import main
from theory_check.cli.words import positive
from theory_check.errors import InvalidArgumentError, shortened
from theory_check.problems.problem import Objective
from theory_check.runs.build import readable
from theory_check.studies.named import parse_setting

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("1e3", 1000), ("2.0", 2), ("9007199254740993", 2**53 + 1)]
)
def test_whole_numbers(text: str, value: int) -> None:
    assert positive(text) == value


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "nan", "inf", "1e30", "three", "", "9" * 5000])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="pass an integer of at least 1"):
        positive(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("states=3", 3),
        ("states=1e3", 1000),
        ("kl_weight=1e-3", 0.001),
        ("kl_weight=1.0", 1.0),
        ("objective=excess_risk", "excess_risk"),
        ("objective='excess_risk'", "excess_risk"),
        ("slippery=true", True),
        ("slippery=True", True),
        ("slippery=False", False),
        ("initial=[0.5, 0.5]", [0.5, 0.5]),
    ],
)
def test_settings(text: str, value: object) -> None:
    found = parse_setting(text)[1]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ("3\nother = 4", "write one value, on one line"),
        ("[" * 5000, "write the value as in a TOML file"),
        ("9" * 5000, "write the value as in a TOML file"),
        ("{a", "write the value as in a TOML file"),
    ],
)
def test_settings_that_are_refused_do_not_repeat_a_megabyte(value: str, remedy: str) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"^--set\.a: .*{remedy}$") as refusal:
        parse_setting(f"a={value}")
    assert len(str(refusal.value)) < 250


def test_the_middle_of_a_long_value_is_left_out() -> None:
    assert shortened("short") == "'short'"
    text = shortened("a" * 1000 + "z")
    assert len(text) <= 100
    assert text.startswith("'aaa")
    assert text.endswith("az'")


def test_choices_are_named_as_a_user_would_write_them() -> None:
    assert readable(Objective) == "one of 'cross_entropy', 'excess_risk'"
    assert readable(Objective | None) == "one of 'cross_entropy', 'excess_risk'"


def test_a_misspelt_command_gets_a_suggestion(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        main(["verfy"])
    assert left.value.code == 2
    assert "invalid choice: 'verfy' (did you mean 'verify'? choose from list, show, run" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ["my.tom", "experiments/flat", "nowhere/flat.toml"])
def test_a_file_that_is_not_there_is_called_so(
    laboratory: Laboratory, capsys: Capture, name: str
) -> None:
    assert main(["run", name]) == 2
    assert "o such file" in capsys.readouterr().err
    assert not Path("results").exists()
