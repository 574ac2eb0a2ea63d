"""Devices by name, refused before any work where this machine has none of that name."""

from __future__ import annotations

import torch

from theory_check.errors import InvalidArgumentError, is_integer, shortened


def require_device(argument: str, device: object) -> None:
    """Refuse what torch cannot place a tensor with values on."""
    reason = f"a {type(device).__name__}"
    if isinstance(device, str | torch.device) or is_integer(device):
        try:
            if not torch.empty(0, device=device).is_meta:
                return
            reason = "holds no values"
        except Exception as error:  # torch has many kinds of it, and its own backends raise others
            reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise InvalidArgumentError(
        argument,
        f"{shortened(device)} ({reason})",
        "pass a device of this machine, such as 'cpu' or 'cuda:0'",
    )
