"""What a sweep leaves outside the store when it is killed, and its removal by the next one."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from theory_check.runs.processes import ended, signature

PREFIX = "theory-check-"
OWNER = "owner.json"
SEMAPHORES = Path("/dev/shm")


@contextmanager
def workspace() -> Iterator[Path]:
    """Return a temporary folder that is signed, and remove those of processes that are gone."""
    remove_leftovers()
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder:
        path = Path(folder)
        (path / OWNER).write_text(signature(), encoding="ascii")
        yield path


def remove_leftovers() -> None:
    """Remove folders and semaphores of processes of this program and machine that are gone."""
    for owner in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{OWNER}"):
        with suppress(OSError):  # somebody else's, or removed by another process in the meantime
            record = owner.read_text(encoding="ascii")
            if not ended(record):
                continue
            # Worker processes are handed semaphores under names that begin so.
            for semaphore in SEMAPHORES.glob(f"sem.loky-{json.loads(record)['process']}-*"):
                semaphore.unlink(missing_ok=True)
            shutil.rmtree(owner.parent, ignore_errors=True)
