"""The completion of the command line for a shell, by ``shtab``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import shtab

if TYPE_CHECKING:
    from theory_check.catalogue import Catalogue

_WORD = re.compile(r"[\w./-]+", re.ASCII)


def completion(words: argparse.ArgumentParser, shell: str, catalogue: Catalogue) -> str:
    """Return a script that completes commands, options, names and paths.

    Parameters
    ----------
    words
        The parser of the command line, which is changed: names become choices.
    shell
        One of :data:`theory_check.report.help.SHELLS`.
    catalogue
        Whose names are completed, as there are now.
    """
    claims, experiments = list(catalogue.claims), list(catalogue.experiments)
    names: Mapping[tuple[str, str], Iterable[str]] = {
        ("verify", "claims"): claims,
        ("report", "claims"): claims,
        ("show", "name"): dict.fromkeys([*claims, *experiments]),
        ("run", "file"): experiments,
        ("figures", "names"): catalogue.figures,
        ("worst-case", "claim"): catalogue.worst_cases,
    }
    for command, parser in _commands(words).items():
        for action in parser._actions:
            known = names.get((command, action.dest))
            if known is not None:
                # Names that a shell would read as more than a word are left to be typed.
                action.choices = [name for name in known if _WORD.fullmatch(name)]
            elif action.type is Path:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    return str(shtab.complete(words, shell))


def _commands(words: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    for action in words._actions:
        if isinstance(action, argparse._SubParsersAction):
            found: Mapping[str, argparse.ArgumentParser] = action.choices
            return found
    return {}
