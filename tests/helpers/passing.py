"""An oracle without shortcuts."""

from __future__ import annotations

from typing import Any


class Passing:
    """An oracle that passes on what another one answers: its shortcuts are not its own."""

    def __init__(self, oracle: Any) -> None:
        self._oracle = oracle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._oracle, name)
