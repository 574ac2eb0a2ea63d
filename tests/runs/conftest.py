from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sweep_toys import CATALOGUE

from theory_check.runs import Experiment, Store, load_experiment, progress

BASIC = """\
measurement = "values"
description = "Values of lines."
seeds = 3

[settings]
points = [1, 2.5]
journal = "{journal}"
fail_if = "{failing}"

[grid]
method = ["sum", "product"]

[problems.flat]
family = "line"
slope = 0.5

[problems.steep]
family = "line"
slope = 4
offset = 1

[quick]
seeds = 2
problems = ["flat"]
settings = {{ points = [3.0] }}
grid = {{ method = ["sum"] }}
"""

Load = Callable[[str], Experiment]
Text = Callable[..., str]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """One line per execution of a cell."""
    path = tmp_path / "journal"
    path.touch()
    return path


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    """While this file exists, every cell fails."""
    return tmp_path / "failing"


@pytest.fixture
def text(journal: Path, failing: Path) -> Text:
    """The basic experiment file, with replacements ``(old, new)``, each of which must apply."""

    def replaced(*changes: tuple[str, str]) -> str:
        content = BASIC.format(journal=journal, failing=failing)
        for old, new in changes:
            assert old in content
            content = content.replace(old, new, 1)
        return content

    return replaced


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(content: str) -> Experiment:
        path = tmp_path / "lines.toml"
        path.write_text(content)
        return load_experiment(path, CATALOGUE)

    return loaded


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(autouse=True)
def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be told of sweeps that take long, which on a busy machine all do."""
    monkeypatch.setattr(progress, "DELAY", 3600.0)
