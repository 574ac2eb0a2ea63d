"""The quantity of CONTRIBUTING.md: one file, then it is found, and both routes agree on what it finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from theory_check.catalogue import Catalogue
from theory_check.worst_cases.search import find_worst
from theory_check.worst_cases.spaces import BanditSpace

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_example_is_found_and_searched(tmp_path: Path) -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## A worst case\n")[1]
    code = section.split("```python\n")[1].split("```")[0]
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "penalty_bias_value.py").write_text(code)
    case = Catalogue.shipped().with_folder(tmp_path).worst_cases["penalty-bias-value"]
    worst = find_worst(case, BanditSpace(features=1), budget=8, restarts=2, seed=0)
    assert worst.kept
    assert worst.first.value > 0
