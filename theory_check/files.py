"""Paths and files that somebody names: read in full without waiting, or refused."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from theory_check.errors import InvalidArgumentError, shortened

LARGEST_FILE = 2**30
"""Bytes; what is read into memory is never so large."""


LONGEST_PATH = 4096
"""Characters; no system opens what is longer."""


def as_path(argument: str, value: object, remedy: str) -> Path:
    """Return what can be a path, whether or not there is anything.

    Parameters
    ----------
    argument
        What the caller called it.
    value
        Text, or an object with a path of text.
    remedy
        What to pass instead.

    Raises
    ------
    InvalidArgumentError
        For anything else, empty text, text that no system takes for a path, and a NUL.
    """
    try:
        text = os.fspath(value)  # type: ignore[call-overload]
        usable = isinstance(text, str) and text != "" and b"\0" not in os.fsencode(text)
        usable = usable and len(text) <= LONGEST_PATH
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(argument, shortened(value), remedy) from error
    if not usable:
        raise InvalidArgumentError(argument, shortened(value), remedy)
    return Path(text)


def read_file(path: Path) -> bytes:
    """Return the content of a file.

    Raises
    ------
    OSError
        When there is none or it cannot be read, and for what is no file and may have no end or no
        beginning: a folder, a named pipe, a device.
    """
    # A pipe would otherwise be waited for as soon as it is opened.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a file with a content", str(path))
        if found.st_size > LARGEST_FILE:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        # Some of what calls itself a file has no size and no end.
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content
