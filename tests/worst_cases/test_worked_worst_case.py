"""The quantity of CONTRIBUTING.md: one file, then it is found, and both routes agree on what it finds."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from theory_check.worst_cases import get_worst_case, quantities
from theory_check.worst_cases.search import find_worst
from theory_check.worst_cases.spaces import BanditSpace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## A worst case\n")[1]
    code = section.split("```python\n")[1].split("```")[0]
    (tmp_path / "penalty_bias_value.py").write_text(code)
    monkeypatch.setattr(quantities, "__path__", [*quantities.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield
    sys.modules.pop(f"{quantities.__name__}.penalty_bias_value", None)


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_the_example_is_found_and_searched() -> None:
    case = get_worst_case("penalty-bias-value")
    worst = find_worst(case, BanditSpace(features=1), budget=8, restarts=2, seed=0)
    assert worst.kept
    assert worst.first.value > 0
