"""Which process wrote something down, and whether it is still there."""

from __future__ import annotations

import json
import os
import platform
import uuid
from contextlib import suppress
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
