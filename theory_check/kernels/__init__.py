"""Compiled inner loops on plain arrays."""

import os
import tempfile
import warnings
from pathlib import Path

import numba


def _probe() -> None:
    """Do nothing: whether this can be cached is whether any kernel can."""


def _cache_somewhere() -> None:
    """Where neither the installation nor a home can hold compiled code, keep it in a temporary folder."""
    try:
        numba.njit(cache=True)(_probe)
    except RuntimeError:
        user = getattr(os, "getuid", int)()
        folder = Path(tempfile.gettempdir()) / f"theory-check-kernels-{user}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            mine = folder.stat().st_uid == user and not folder.is_symlink()
        except OSError:
            mine = False
        if not mine:
            folder = Path(tempfile.mkdtemp(prefix="theory-check-kernels-"))
        # In the environment, so that workers use the same and are silent.
        os.environ["NUMBA_CACHE_DIR"] = str(folder)
        numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
        warnings.warn(
            f"compiled code is kept in {folder}: neither the installation nor a home can be written; "
            "set NUMBA_CACHE_DIR to another folder",
            RuntimeWarning,
            stacklevel=2,
        )


_cache_somewhere()
