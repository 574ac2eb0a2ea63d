"""Keep what ``results.md`` quotes: the measured numbers of a store's verdicts, in ``results.json``.

python docs/record_results.py results/verdicts.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("results.json")
DIGITS = 6


def recorded(verdicts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return status and measured numbers of every claim, rounded to ``DIGITS`` digits."""
    kept = {}
    for each in sorted(verdicts, key=lambda verdict: verdict["claim"]):
        measured = [_rounded(rate) for rate in each["measured"]]
        kept[each["claim"]] = {"status": each["status"], "measured": measured}
    return kept


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def main(path: str) -> None:
    """Write the page's numbers from ``verdicts.json`` of a full study."""
    verdicts = json.loads(Path(path).read_text(encoding="utf-8"))
    if any(each["small_version"] for each in verdicts):
        sys.exit(f"{path} is of the small version (--quick): results.md quotes the full one")
    lines = [f"{json.dumps(name)}: {json.dumps(each)}" for name, each in recorded(verdicts).items()]
    PAGE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
