"""What there is, by kind, for a terminal and as JSON: a name and a line about each component."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory_check.catalogue.kinds import experiment_files
from theory_check.claims.base import Claim
from theory_check.files import read_file
from theory_check.report.listing import listing
from theory_check.report.screen import STRONG, Paragraph, Part, Row, natural_width, shown
from theory_check.report.text import counted, kind_of, name_of

if TYPE_CHECKING:
    from theory_check.catalogue import Catalogue, Root

UNREAD = "files that cannot be read"

TITLES: Mapping[str, str] = {
    "problems": "problems",
    "rewards": "reward classes",
    "policies": "policy classes",
    "solvers": "solvers",
    "methods": "methods",
    "measurements": "measurements",
    "worst-cases": "worst cases",
}
"""Titles of the sections that are read from rooms, by the words of the command line."""

WIDEST_NAME = 36
LINES = 2
"""Of a claim, an experiment or a stored problem; ``show`` has the rest."""


def text_listing(catalogue: Catalogue, kind: str | None = None, *, width: int | None = None) -> str:
    """Return the name of everything that can be used, each with a few words about it.

    Parameters
    ----------
    catalogue
        What there is.
    kind
        One of :data:`theory_check.report.help.KINDS`; all when absent.
    width
        Columns; those of the terminal when absent.

    Raises
    ------
    DuplicateNameError
        Where two components of one kind have the same name.
    """
    parts: list[Part] = []
    for title, entries in contents(catalogue, kind).items():
        if not entries:
            continue
        rows = [(name, entries[name]) for name in sorted(entries)]
        if title == UNREAD:
            parts.append(Paragraph(f"{title}:", style=STRONG))
            parts += [Paragraph(f"{path}: {reason}", indent=2) for path, reason in rows]
            continue
        longest = min(natural_width(rows, 0), WIDEST_NAME)
        parts.append(Paragraph(f"{title}:", style=STRONG))
        most = None if title in TITLES.values() else LINES
        for name, line in rows:
            # A name that is too long for its column has a line of its own.
            if natural_width([(name,)], 0) > longest:
                parts.append(Paragraph(name, indent=2))
                name = ""
            parts.append(Row((name, line), (longest, None), indent=2, most=most))
    return shown(parts, width=width)


def json_listing(catalogue: Catalogue, kind: str | None = None) -> str:
    """Return the same as a JSON object of objects: title to name to line.

    Raises
    ------
    DuplicateNameError
        As :func:`text_listing`.
    """
    return json.dumps(contents(catalogue, kind), indent=2)


def contents(catalogue: Catalogue, kind: str | None = None) -> dict[str, dict[str, str]]:
    """Return what there is under the titles of sections, of one kind or of all.

    Raises
    ------
    DuplicateNameError
        As :func:`text_listing`.
    """
    titles = TITLES.values() if kind is None else [TITLES[kind]] if kind in TITLES else []
    found = listing(catalogue, titles)
    worst_cases = found.sections.pop("worst cases", {})
    sections = dict(found.sections)
    if kind in (None, "claims"):
        sections |= _claims_by_section(catalogue)
    sections["worst cases"] = worst_cases
    if kind in (None, "problems"):
        sections["stored problems"] = dict(_stored_problems(catalogue, found.failures))
    if kind in (None, "experiments"):
        sections |= _experiments_by_section(catalogue, found.failures)
    return {**sections, UNREAD: found.failures}


def _claims_by_section(catalogue: Catalogue) -> dict[str, dict[str, str]]:
    """Return the claims that are findings and those that test the program, under counted titles."""
    parts: dict[str, dict[str, Claim]] = {"claims": {}, "tests of the program": {}}
    for name, claim in catalogue.claims.items():
        parts["claims" if claim.finding else "tests of the program"][name] = claim
    return {
        f"{title}, {counted(list(part.values()))}": {
            name_of(claim): f"{kind_of(claim)}: {claim.statement} ({claim.source})"
            for claim in part.values()
        }
        for title, part in parts.items()
    }


def _stored_problems(catalogue: Catalogue, failures: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield labels and origins of the problems in files that a catalogue's rooms bring."""
    for root in catalogue.roots:
        for room in root.rooms.get("problems", ()):
            for path in sorted((root.folder / room / "instances").glob("*.json")):
                try:
                    yield path.stem, _origin(json.loads(read_file(path))["origin"])
                except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                    failures[path.as_posix()] = _reason(error)


def _origin(found: Mapping[str, Any]) -> str:
    if "quantity" not in found:
        return f"{found['what']}, family {found['family']}"
    return f"{found['value']:.4g} {found['unit']}: {found['quantity']}, family {found['family']}"


def _experiments_by_section(
    catalogue: Catalogue, failures: dict[str, str]
) -> dict[str, dict[str, str]]:
    """Return the experiments of every root."""
    return {
        "experiments" if root.is_shipped else f"experiments of {root.folder.as_posix()}/": dict(
            _experiments(root, failures)
        )
        for root in catalogue.roots
    }


def _experiments(root: Root, failures: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield names and descriptions; whether the rest of a file is valid, ``run`` says."""
    for path in sorted(experiment_files(root)):
        try:
            yield path.stem, _description(path)
        except (OSError, ValueError, RecursionError) as error:
            failures[path.as_posix()] = _reason(error)


def _description(path: Path) -> str:
    found = tomllib.loads(read_file(path).decode("utf-8")).get("description", "")
    return found if isinstance(found, str) else ""


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
