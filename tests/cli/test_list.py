"""What ``theory-check list`` says of the package's own components."""

from __future__ import annotations

import re

import pytest

from theory_check.cli.commands import main


def test_classes_are_listed_with_their_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are written in an experiment file, under a heading for each kind of class."""
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["list"]) == 0
    sections = dict(re.findall(r"^(\S.*):\n((?:  .*\n)+)", capsys.readouterr().out, re.M))
    rewards = sections["reward classes"].splitlines()
    assert rewards[0] == "  linear       Rewards linear in the features of the problem."
    settings = '(width = 16, depth = 1, activation = "tanh", weight_scale = 1.0)'
    assert rewards[1].startswith("  mlp          Rewards of a multilayer perceptron")
    assert rewards[1].endswith(settings)
    policies = [line.split()[0] for line in sections["policy classes"].splitlines()]
    assert policies == ["log-linear", "mlp", "tabular", "transformer"]
