"""What runs cells, as the sweep sees it."""

from __future__ import annotations

import importlib
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from theory_check.errors import InvalidArgumentError, TheoryCheckError, one_line

if TYPE_CHECKING:
    from theory_check.runs.backends.measuring import Outcome
    from theory_check.runs.measurements.base import Progress
    from theory_check.runs.spec import Cell


class WorkerDiedError(TheoryCheckError):
    """A worker process was killed from outside, usually for lack of memory."""


class ClusterLostError(WorkerDiedError):
    """The cluster went away in the middle of a sweep."""


class WorkerMismatchError(WorkerDiedError):
    """A worker of a cluster would not compute what this process would."""


class Pool(Protocol):
    """Takes cells and returns their outcomes, in the order in which they are there."""

    shares_files: bool
    """Whether workers see the temporary folder of this process."""

    def room(self) -> int:
        """Return how many more cells it takes now."""

    def submit(self, cell: Cell, progress: Progress) -> None:
        """Run a cell."""

    def finished(self, timeout: float) -> Sequence[Outcome]:
        """Return what is finished and was not returned before.

        Where there is nothing, wait ``timeout`` seconds for the first; only then is it empty.

        Raises
        ------
        WorkerDiedError
            When a worker or the cluster is gone; what was finished has been returned before.
        """


def optional_module(module: str, backend: str) -> Any:
    """Import what the extra of a backend installs, or say how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InvalidArgumentError(
            "backend", repr(backend), f"install it: pip install 'theory-check[{backend}]'"
        ) from error


def silence_at(address: str, timeout: float) -> str:
    """Return why nothing can be reached at ``host:port``, ``""`` where something listens."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout).close()
    except (OSError, ValueError, OverflowError) as error:
        return one_line(error)
    return ""


def announce(backend: str, address: str, workers: int) -> None:
    """Say which cluster is used, and that it is as large as it is."""
    print(
        f"theory-check: {backend} cluster at {address}, {workers} workers at present; "
        "--jobs does not apply",
        file=sys.stderr,
    )


def mismatch(what: str) -> WorkerMismatchError:
    """Return the error about a worker; ``what`` names it and says how it differs."""
    return WorkerMismatchError(
        f"{what}; nothing of it is stored: install there what is installed here and restart it, "
        "or take it out of the cluster; finished cells are kept, the same command continues"
    )
