"""The command ``list``: what there is."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from theory_check.catalogue import Catalogue
from theory_check.claims.base import Claim
from theory_check.cli.claim_words import counted, kind_of
from theory_check.cli.static_listing import listing
from theory_check.errors import visible
from theory_check.files import read_file

# Nothing here loads torch, which takes longer than all of the rest: components are read, not imported.

UNREAD = "files that cannot be read"


def print_components(catalogue: Catalogue) -> None:
    """Print the name of everything that can be used, each with one line about it."""
    found = listing(catalogue)
    worst_cases = found.sections.pop("worst cases")
    sections = {
        **found.sections,
        **_claims_by_section(catalogue),
        "worst cases": worst_cases,
        "stored problems": dict(_stored_problems(catalogue, found.failures)),
        **_experiments_by_section(catalogue, found.failures),
        UNREAD: found.failures,
    }
    for title, entries in sections.items():
        if not entries:
            continue
        print(visible(f"{title}:"))
        width = max(map(len, entries), default=0)
        for name in sorted(entries):
            print(visible(f"  {name.ljust(width)}  {entries[name]}"))


def _claims_by_section(catalogue: Catalogue) -> dict[str, dict[str, str]]:
    """Return the claims that are findings and those that test the program, under counted titles."""
    parts: dict[str, dict[str, Claim]] = {"claims": {}, "tests of the program": {}}
    for name, claim in catalogue.claims.items():
        parts["claims" if claim.finding else "tests of the program"][name] = claim
    return {
        f"{title}, {counted(list(part.values()))}": {
            name: _describe(claim) for name, claim in part.items()
        }
        for title, part in parts.items()
    }


def _describe(claim: Claim) -> str:
    return f"[{claim.provenance}] {kind_of(claim)}: {claim.statement} ({claim.source})"


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
            _experiments(root.experiments, failures)
        )
        for root in catalogue.roots
    }


def _experiments(folder: Path, failures: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield names and descriptions; whether the rest of a file is valid, ``run`` says."""
    for path in sorted(folder.glob("*.toml")):
        try:
            yield path.stem, _description(path)
        except (OSError, ValueError, RecursionError) as error:
            failures[path.as_posix()] = _reason(error)


def _description(path: Path) -> str:
    found = tomllib.loads(read_file(path).decode("utf-8")).get("description", "")
    return found if isinstance(found, str) else ""


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
