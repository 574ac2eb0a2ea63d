"""The command ``theory-check``."""

from theory_check.cli.commands import main

__all__ = ["main"]
