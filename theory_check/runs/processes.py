"""Which process wrote something down, and whether it is still there."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path


def alive(process: int) -> bool:
    """Return whether this machine has a process of that number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def signature() -> str:
    """Return a line that names this process, different at each call."""
    return json.dumps(
        {
            "host": platform.node(),
            "machine": _machine(),
            "process": os.getpid(),
            "token": uuid.uuid4().hex,
        }
    )


def ended(signature: str) -> bool:
    """Return whether the process that signed is known to be gone: only this machine's are."""
    try:
        record = json.loads(signature)
        return bool(record["machine"] == _machine()) and not alive(int(record["process"]))
    except (ValueError, KeyError, TypeError):
        return False  # being written, or not ours


def signatory(signature: str) -> str:
    """Return a signature in words."""
    try:
        record = json.loads(signature)
        return f"process {record['process']} on {record['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


@lru_cache
def _machine() -> str:
    """Return what process numbers are numbers of: a host, since its start, in one name space."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


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
