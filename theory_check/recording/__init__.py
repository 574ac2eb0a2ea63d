"""Runs of a solver and what is measured along them: the columns of a trace, and when they are filled."""

from typing import Protocol, runtime_checkable

__all__ = ["Progress"]


@runtime_checkable
class Progress(Protocol):
    """Told how far a run has come; cheap enough to be called at any rate."""

    def __call__(self, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` equal parts are finished."""
