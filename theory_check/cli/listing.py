"""The command ``list``: what there is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from theory_check.errors import visible

if TYPE_CHECKING:
    from theory_check.catalogue import Catalogue
    from theory_check.claims.base import Claim
    from theory_check.solvers.method import Method


def print_components(catalogue: Catalogue) -> None:
    """Print the name of everything that can be used, each with one line about it."""
    from theory_check.problems.stored import labels, origin
    from theory_check.runs.locations import directory, experiment_files, is_shipped
    from theory_check.runs.spec import load_experiment

    own = directory("experiments")
    whose = "" if is_shipped(own) else f" of this folder, {own.as_posix()}/"
    sections = {
        "problems": {name: _summary(found) for name, found in catalogue.families.items()},
        "reward classes": {name: _summary_and_settings(c) for name, c in catalogue.rewards.items()},
        "policy classes": {
            name: _summary_and_settings(c) for name, c in catalogue.policies.items()
        },
        "solvers": {name: _summary(found) for name, found in catalogue.solvers.items()},
        "methods": {name: _stated(found) for name, found in catalogue.methods.items()},
        "measurements": {name: _summary(found) for name, found in catalogue.measurements.items()},
        **_claims_by_section(catalogue),
        "worst cases": {name: case.quantity for name, case in catalogue.worst_cases.items()},
        "stored problems": {label: _origin(origin(label)) for label in labels()},
        f"experiments{whose}": {
            name: load_experiment(path, catalogue).description
            for name, path in experiment_files(catalogue).items()
        },
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
    from theory_check.cli.reporting import counted

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
    from theory_check.cli.reporting import kind_of

    return f"[{claim.provenance}] {kind_of(claim)}: {claim.statement} ({claim.source})"


def _origin(found: Mapping[str, Any]) -> str:
    if "quantity" not in found:
        return f"{found['what']}, family {found['family']}"
    return f"{found['value']:.4g} {found['unit']}: {found['quantity']}, family {found['family']}"


def _stated(method: Method) -> str:
    """Return title, information and stated rate of a method that ``compare`` compares."""
    rate = method.rate
    stated = (
        "no stated rate"
        if rate is None
        else f"epsilon^-{rate.exponent:g} {rate.cost} [{rate.provenance}] ({rate.source})"
    )
    return f"{method.title}: {method.solver.information}, {stated}"  # type: ignore[attr-defined]


def _summary(component: object) -> str:
    text = (getattr(component, "__doc__", None) or "").strip()
    return text.splitlines()[0] if text else ""


def _summary_and_settings(component: type) -> str:
    """Return the summary of a component and its settings with their defaults, as in a file."""
    from theory_check.runs.build import REQUIRED, field_parameters

    settings = [
        name if parameter.default is REQUIRED else f"{name} = {json.dumps(parameter.default)}"
        for name, parameter in field_parameters(component).items()
    ]
    return " ".join([_summary(component), *([f"({', '.join(settings)})"] if settings else [])])
