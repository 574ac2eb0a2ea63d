"""How the words of a command are read, and what is said of those that cannot be."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from theory_check.errors import suggestion, visible

_INVALID = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """A parser that points at the word that was probably meant."""

    def error(self, message: str) -> NoReturn:
        """Print the message and leave."""
        found = _INVALID.search(message)
        if found:
            known = [word.strip().strip("'") for word in found[2].split(",")]
            hint = suggestion(found[1], known)
            choices = f"invalid choice: {found[1]!r} ({hint}choose from {', '.join(known)})"
            message = message[: found.start()] + choices + message[found.end() :]
        super().error(visible(message, kept="\n"))


class Version(argparse.Action):
    """The word ``--version``, which looks the version up only where it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        """Print the version and leave."""
        from importlib.metadata import version

        print(f"{parser.prog} {version('theory-check')}")
        parser.exit()


class Flattened(argparse.Action):
    """Names separated by commas, by spaces, or by both, once each."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any
    ) -> None:
        """Keep the names."""
        names = tuple(dict.fromkeys(name for part in values for name in part))
        setattr(namespace, self.dest, names)


def names(text: str) -> tuple[str, ...]:
    """Return names that are separated by commas, once each."""
    found = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if "" in found:
        raise argparse.ArgumentTypeError(f"received {text!r}; pass names separated by commas")
    return found


def positive(text: str) -> int:
    """Return a whole number of at least 1; 1e3 is one."""
    try:
        value = int(text) if text.isdecimal() else float(text)
    except ValueError:
        value = 0
    if value < 1 or value != value // 1 or value >= 2**62:
        raise argparse.ArgumentTypeError(f"received {text[:50]!r}; pass an integer of at least 1")
    return int(value)
