"""Where cells run: joblib's own backends, on this machine or on a cluster."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import joblib

from theory_check.errors import InvalidArgumentError

BACKENDS = ("loky", "dask", "ray")


@contextmanager
def parallel_backend(name: str, jobs: int) -> Iterator[None]:
    """Let :class:`joblib.Parallel` inside the ``with`` use ``jobs`` workers of a backend.

    Parameters
    ----------
    name
        ``"loky"``: processes of this machine. ``"dask"``: the cluster at the address in
        ``DASK_SCHEDULER_ADDRESS``, or a local one. ``"ray"``: the cluster at the address in
        ``RAY_ADDRESS``, or a local one. Both clusters come with the extra of their name.
    jobs
        Number of workers; a Dask cluster decides for itself.

    Raises
    ------
    InvalidArgumentError
        For a backend that is not installed.
    """
    if name == "loky":
        # One thread per worker: the numbers must not depend on how many cores it may use.
        with joblib.parallel_config(name, n_jobs=jobs, inner_max_num_threads=1):
            yield
    elif name == "ray":
        _module("ray.util.joblib", name).register_ray()
        with joblib.parallel_config(name, n_jobs=jobs):
            yield
    else:
        with _module("distributed", name).Client(), joblib.parallel_config(name):
            yield


def _module(module: str, backend: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InvalidArgumentError(
            "backend", repr(backend), f"install it: pip install 'theory-check[{backend}]'"
        ) from error
