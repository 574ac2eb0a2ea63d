"""Devices by name, refused before any work where this machine has none of that name."""

from __future__ import annotations

import torch

from theory_check.errors import InvalidArgumentError


def require_device(argument: str, device: object) -> None:
    """Refuse what torch cannot place a tensor on."""
    try:
        torch.empty(0, device=device)  # type: ignore[call-overload]
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InvalidArgumentError(
            argument,
            f"{str(device)!r} ({str(error).splitlines()[0]})",
            "pass a device of this machine, such as 'cpu' or 'cuda:0'",
        ) from error
